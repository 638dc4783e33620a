"""The inspector: two models' class maps beside image and target, in one page without a network.

    inspector = Inspector(patches, CORINE_19, gsd=10.0, names=("U-Net", "ViT"))
    inspector                       # in a notebook: the page, and a picture where none may run
    inspector.save("compare.html")  # for colleagues without Jupyter

Patches may come from a generator: each is packed as it arrives and its arrays are let go. Nothing
that is read, ranked or voted on in the page depends on a kernel; `workbench.viz.controls` has the
widget for where Python must hear of it.
"""

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import EvaluationError
from workbench.escape import filled, html_text, script_json
from workbench.legends import Legend
from workbench.viz import assets, palettes
from workbench.viz.embed import OfflineView
from workbench.viz.inspector_data import InspectorPatch, PackedPatch, PackedSpectra, pack_patch
from workbench.viz.inspector_pairs import MEASURES, Images, compared_patches

if TYPE_CHECKING:
    from workbench.evaluation.comparison import Comparison, Maps
    from workbench.evaluation.predictions import Predictions

NOTEBOOK_MB = 6.0
"""What a view in a notebook may weigh; more patches than fit are told of and can be saved."""
VIEW_HEIGHT = 720
"""Height of the page in a notebook, CSS pixels."""
SCRIPTS = ("data", "boundary", "layers", "panes", "probe", "strip", "votes", "options", "")
"""Parts of the page's script, ``inspector_NAME.js``; the last one, `inspector.js`, joins them."""

Classes = Legend | Sequence[tuple[str, str]]
"""The classes in the order of their indices: a legend, or (name, "#rrggbb") pairs."""


class Inspector:
    """Two predictions of the same patches, to be looked at side by side.

    Args:
        patches: The patches, in the order to be shown when none is asked for; may be a generator.
        classes: Names and colours of the classes.
        gsd: Side of a pixel on the ground, m.
        names: What the two models are called.
        title: Heading of the page.
        sort_by: Measure the page and the view in a notebook begin with, highest first.
        wavelengths_nm: Of the bands of the patches, where they have `bands`.
        units: Of the bands.
        ignore_index: Value of targets without a label; default: the legend's, one past the last
            class.
        seed: Decides which model stands left in blind votes, patch by patch.
        lossless: Pictures as PNG, three to four times the size, instead of JPEG.

    Raises:
        EvaluationError: If a patch is not as `InspectorPatch` says, an id stands twice, or
            there is no patch.
    """

    def __init__(
        self,
        patches: Iterable[InspectorPatch],
        classes: Classes,
        *,
        gsd: float,
        names: tuple[str, str] = ("A", "B"),
        title: str = "",
        sort_by: str = "disagreement",
        wavelengths_nm: Sequence[float | None] = (),
        units: str = "reflectance",
        ignore_index: int | None = None,
        seed: int = 0,
        lossless: bool = False,
    ) -> None:
        self.names = (str(names[0]), str(names[1]))
        self.title = title or " and ".join(distinct_names(self.names))
        self.classes = _class_table(classes)
        self.gsd = _positive(gsd)
        self.seed = seed
        self.wavelengths_nm = tuple(wavelengths_nm)
        self.units = units
        ignore = len(self.classes) if ignore_index is None else ignore_index
        colours = [colour for _, colour in self.classes]
        self._patches = [pack_patch(p, colours, ignore, lossless=lossless) for p in patches]
        self._lossless = lossless
        self.sort_by = sort_by
        self._check()

    @classmethod
    def from_comparison(
        cls,
        comparison: "Comparison",
        predictions: Mapping[str, "Maps"],
        targets: "Predictions",
        images: Images,
        *,
        pair: tuple[str, str] | None = None,
        bands: Images | None = None,
        **options: Any,
    ) -> "Inspector":
        """Show two models that `compare_models` compared, the most disputed patches first.

        Args:
            comparison: What `compare_models` found.
            predictions: Each model's maps by its name, as they were given to it.
            targets: The true maps; their classes, colours and pixel size are those of the page.
            images: Picture of each patch by id, or a function from id to picture; see
                `InspectorPatch.image`.
            pair: Names of the two models; None for the pair that hides the greatest difference.
            bands: As `images`, for `InspectorPatch.bands`.
            options: More arguments of `Inspector`, as title, wavelengths_nm and units.

        Raises:
            EvaluationError: If the two were not compared, or maps or pictures are missing.
        """
        found = comparison.pairs[0] if pair is None else comparison.pair(*pair)
        colours = targets.colors or palettes.class_colours(len(targets.classes))
        known: dict[str, Any] = {
            "gsd": targets.gsd,
            "names": (found.first, found.second),
            "ignore_index": targets.ignore_index,
            "sort_by": MEASURES["score"],
        }
        patches = compared_patches(found, predictions, targets, images, bands)
        return cls(patches, list(zip(targets.classes, colours, strict=True)), **(known | options))

    def __len__(self) -> int:
        return len(self._patches)

    def __iter__(self) -> Iterator[PackedPatch]:
        return iter(self._patches)

    def __repr__(self) -> str:
        size = sum(patch.nbytes for patch in self._patches) * 4 / 3e6
        return f"<Inspector of {self.title}: {len(self):,} patches, {size:.1f} MB>"

    @cached_property
    def comparison(self) -> str:
        """Fingerprint of what is compared: the same models on the same patches, 16 hex digits."""
        digest = hashlib.sha256(json.dumps([self.names, self.classes]).encode())
        for patch in sorted(self._patches, key=lambda patch: patch.id):
            digest.update(patch.id.encode() + b"\0" + patch.maps)
        return digest.hexdigest()[:16]

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the measures that patches can be sorted by."""
        return tuple(dict.fromkeys(name for patch in self._patches for name in patch.scores))

    def ranked(self) -> list[PackedPatch]:
        """The patches, highest `sort_by` first; undefined ones last, ties in the given order."""

        def height(patch: PackedPatch) -> float:
            score = patch.scores.get(self.sort_by, math.nan)
            return math.inf if math.isnan(score) else -score

        return sorted(self._patches, key=height)

    def page(self, patches: Sequence[PackedPatch] | None = None) -> str:
        """The viewer as one HTML document that fetches nothing.

        Args:
            patches: Those to carry, out of this inspector's; default: all.
        """
        shown = self._patches if patches is None else list(patches)
        data = "\n".join(
            f'<script type="text/plain" id="patch-{k}">{_carried(patch)}</script>'
            for k, patch in enumerate(shown)
        )
        parts = [
            ("TITLE", html_text(self.title)),
            ("STYLE", assets.script("inspector.css")),
            ("META", script_json(self._meta(shown))),
            ("PATCHES", data),
            ("SCRIPT", "\n".join(assets.script(_script_name(name)) for name in SCRIPTS)),
        ]
        return filled(assets.script("inspector.html"), parts)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the page with every patch; the file is whole or not there.

        Returns:
            The path, for a link.
        """
        from workbench.datasets.files import whole_file

        path = Path(path)
        with whole_file(path) as unfinished:
            unfinished.write_text(self.page(), encoding="utf-8")
        return path

    def view(self, *, megabytes: float = NOTEBOOK_MB) -> OfflineView:
        """The page and a picture of its first patches, as a notebook shows them.

        Args:
            megabytes: What the page may weigh. If not all patches fit, the first of `ranked` are
                shown, and the page says how many of how many.
        """
        from workbench.viz.statics import picture
        from workbench.viz.statics_inspector import inspector_figure

        ranked, room = self.ranked(), megabytes * 1e6 * 3 / 4
        fitting = 0
        while fitting < len(ranked) and (room := room - ranked[fitting].nbytes) >= 0:
            fitting += 1
        shown = ranked[: max(fitting, 1)]
        png = picture(
            inspector_figure(shown, self.classes, self.names, self.title, self.sort_by, len(self))
        )
        return OfflineView(self.title, png, self.page(shown), VIEW_HEIGHT)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.view()._repr_html_()}

    def _meta(self, shown: Sequence[PackedPatch]) -> dict[str, Any]:
        """What the page knows besides pixels."""
        measures = self.measures
        safe = palettes.class_colours(len(self.classes))
        return {
            "title": self.title,
            "names": self.names,
            "labels": distinct_names(self.names),
            "classes": [
                {"name": name, "colour": colour, "safe": safe[k]}
                for k, (name, colour) in enumerate(self.classes)
            ],
            "gsd": self.gsd,
            "wavelengths": self.wavelengths_nm,
            "units": self.units,
            "seed": self.seed,
            "comparison": self.comparison,
            "total": len(self),
            "lossless": self._lossless,
            "measures": measures,
            "sortBy": self.sort_by,
            "patches": [_patch_meta(patch, measures) for patch in shown],
        }

    def _check(self) -> None:
        if not self._patches:
            raise EvaluationError("An inspector needs at least one patch, but got none.")
        ids = [patch.id for patch in self._patches]
        if len(set(ids)) < len(ids):
            twice = next(name for name in ids if ids.count(name) > 1)
            raise EvaluationError(
                f"Ids of patches must be distinct, but {twice!r} stands {ids.count(twice)} times."
            )
        if self.sort_by not in self.measures:
            raise EvaluationError(
                f"`sort_by` must be a measure of the patches, but none has {self.sort_by!r}.\n"
                f"They have: {', '.join(self.measures)}."
            )


def distinct_names(names: tuple[str, str], most: int = 26) -> tuple[str, str]:
    """Shorten two names to what tells them apart, so that both can stand over a pane.

    Args:
        names: Of two models.
        most: Letters up to which distinct names stay as they are.

    Returns:
        The names, or "A · " and "B · " with the parts that differ.

    Example:
        >>> distinct_names(("U-Net", "ViT"))
        ('U-Net', 'ViT')
        >>> distinct_names(("finetuned-2022-vit_small-seed=0", "finetuned-2022-resnet-seed=0"))
        ('A · vit_small', 'B · resnet')
    """
    if names[0] != names[1] and max(map(len, names)) <= most:
        return names
    parts = [re.findall(r"[^\W_]+(?:[_.][^\W_]+)*|.", name, re.DOTALL) for name in names]
    first, second = parts
    shortest = min(len(first), len(second))
    head = next((i for i in range(shortest) if first[i] != second[i]), shortest)
    tail = next(
        (i for i in range(shortest - head) if first[-1 - i] != second[-1 - i]), shortest - head
    )
    told = []
    for letter, words in zip("AB", parts, strict=True):
        text = "".join(words[head : len(words) - tail]).strip(" -/,;:|")
        text = text if len(text) <= most else f"{text[: most - 1]}…"
        told.append(f"{letter} · {text}" if text else letter)
    return told[0], told[1]


def _class_table(classes: Classes) -> tuple[tuple[str, str], ...]:
    pairs = (
        zip(classes.names, classes.colors, strict=True) if isinstance(classes, Legend) else classes
    )
    table = tuple((str(name), palettes.hex_colour(colour, str(name))) for name, colour in pairs)
    if not 1 <= len(table) <= 255:
        raise EvaluationError(f"There must be 1–255 classes, but there are {len(table)}.")
    return table


def _positive(gsd: float) -> float:
    if not (math.isfinite(gsd) and gsd > 0):
        raise EvaluationError(f"The side of a pixel must be positive, but `gsd` is {gsd} m.")
    return float(gsd)


def _patch_meta(patch: PackedPatch, measures: Sequence[str]) -> dict[str, Any]:
    scores = [patch.scores.get(name, math.nan) for name in measures]
    meta: dict[str, Any] = {
        "id": patch.id,
        "width": patch.width,
        "height": patch.height,
        "pictures": list(patch.pictures),
        "scores": [float(f"{s:.6g}") if math.isfinite(s) else None for s in scores],
        "differing": patch.differing,
        "largest": patch.largest,
    }
    if patch.spectra:
        meta["spectra"] = _spectra_meta(patch.spectra)
    return meta


def _spectra_meta(spectra: PackedSpectra) -> dict[str, Any]:
    return {"low": spectra.low, "step": spectra.step, "error": float(f"{spectra.error:.3g}")}


def _carried(patch: PackedPatch) -> str:
    """The bytes of a patch as Base64 words: class maps, pictures, then planes and basis."""
    spectra = (patch.spectra.planes, patch.spectra.basis) if patch.spectra else ()
    words = (patch.maps, *patch.pictures.values(), *spectra)
    return " ".join(base64.b64encode(word).decode() for word in words)


def _script_name(part: str) -> str:
    return f"inspector_{part}.js" if part else "inspector.js"
