"""Images with targets for fine-tuning, whatever they are from: patches of a manifest, or one scene.

A task needs more than (image, target): an id for each image, by which predictions are matched, and
the group it belongs to, over which intervals are drawn. `Examples` carries them beside any dataset.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.datasets.labelled_patches import ChangePatches, LabelledPatches
from workbench.errors import ContractMismatchError, ManifestError
from workbench.nodata import is_missing
from workbench.sensors import InputContract

Kind = Literal["classes", "presence", "density", "change"]
"""What a target is: a class for each pixel, which classes occur, a share for each pixel, or what
changed between two dates for each pixel."""
Ints: TypeAlias = NDArray[np.int64]


class Sampled(Protocol):
    """Anything indexed that gives an image and its target."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> Any: ...


@dataclass(frozen=True)
class Examples:
    """N images with targets.

    Raises:
        ManifestError: If ids repeat, or ids and groups are not one for each image.
    """

    source: Sampled
    """Gives {"image": (C, H, W) stored numbers, "target": Tensor} by number."""
    ids: tuple[str, ...]
    """(N,) distinct ids of the images."""
    groups: tuple[str, ...]
    """(N,) what each image belongs to: its location, overlap component, or block of ground."""
    kind: Kind
    """What the targets are."""
    class_names: tuple[str, ...]
    """Names of the K classes; empty for densities."""
    ignore_index: int | None
    """Target of pixels that are not judged; None if each pixel is."""
    contract: InputContract
    """How the stored numbers are to be read."""
    numbers: tuple[int, ...] | None = None
    """(N,) number of each image in the source; None: in its order."""

    def __post_init__(self) -> None:
        size = len(self.source) if self.numbers is None else len(self.numbers)
        if not (size == len(self.ids) == len(self.groups)):
            raise ManifestError(
                f"Each example has an id and a group, but {size} have {len(self.ids)} ids and "
                f"{len(self.groups)} groups."
            )
        if len(set(self.ids)) < size:
            raise ManifestError("Ids of examples must be distinct, but some repeat.")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        """Give (C, H, W) stored numbers and the target of an example."""
        found = self.source[i if self.numbers is None else self.numbers[i]]
        return found["image"], found["target"]

    def __repr__(self) -> str:
        return (
            f"<{len(self)} examples in {len(set(self.groups))} groups, {self.kind} of "
            f"{len(self.class_names)} classes, {len(self.contract.band_names)} bands>"
        )

    @property
    def outputs(self) -> int:
        """Channels that a model for this task puts out."""
        return 1 if self.kind == "density" else len(self.class_names)

    def subset(self, chosen: Sequence[int] | Ints) -> "Examples":
        """Keep some examples, by number, in the order given."""
        own = range(len(self)) if self.numbers is None else self.numbers
        picked = [int(i) for i in chosen]
        return replace(
            self,
            numbers=tuple(own[i] for i in picked),
            ids=tuple(self.ids[i] for i in picked),
            groups=tuple(self.groups[i] for i in picked),
        )

    def where(self, groups: Sequence[str]) -> "Examples":
        """Keep the examples of some groups.

        Raises:
            ManifestError: If none is left.
        """
        wanted = set(groups)
        chosen = [i for i, group in enumerate(self.groups) if group in wanted]
        if not chosen:
            raise ManifestError(
                f"A part of a split needs examples, but none of {len(self)} is in its "
                f"{len(wanted)} groups."
            )
        return self.subset(chosen)

    def batch(self, chosen: Sequence[int] | Ints) -> tuple[Tensor, Tensor]:
        """Stack some examples: (B, C, H, W) stored numbers and (B, ...) targets."""
        images, targets = zip(*(self[int(i)] for i in chosen), strict=True)
        return torch.stack(images), torch.stack(targets)

    def occurrence(self) -> NDArray[np.bool_]:
        """Say which classes occur in which example: (N, K); (N, 1) of True for densities.

        Reads every target once.
        """
        if self.kind == "density":
            return np.ones((len(self), 1), dtype=bool)
        found = np.zeros((len(self), len(self.class_names)), dtype=bool)
        for i in range(len(self)):
            target = self[i][1]
            if self.kind == "presence":
                found[i] = target.numpy() > 0
            else:
                values = target.unique().numpy()
                found[i, values[(values >= 0) & (values < found.shape[1])]] = True
        return found


class _Change:
    """Two dates as one image of twice the bands, the earlier one first."""

    def __init__(self, patches: ChangePatches) -> None:
        self.patches = patches

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        found = self.patches[i]
        both = torch.cat([found["before"], found["after"]])
        return {"image": both, "target": found["target"]}


def examples_of(
    patches: LabelledPatches | ChangePatches, groups: Sequence[str] | None = None
) -> Examples:
    """Take labelled patches as examples.

    Args:
        patches: Labelled acquisitions, or pairs of dates around an event. A pair becomes one image
            of twice the bands, for an encoder that looks at both halves alike.
        groups: The group of each location, in the order of `patches.patches.index`, as its overlap
            component; None: each location is a group.

    Raises:
        ManifestError: If there is not one group for each location.
    """
    index, labels = patches.patches.index, patches.labels
    names = [name.decode() for name in index.location]
    if groups is not None and len(groups) != len(names):
        raise ManifestError(
            f"Each location has a group, but {len(names)} locations have {len(groups)}."
        )
    of = [str(g) for g in groups] if groups is not None else names
    if isinstance(patches, ChangePatches):
        at = patches.locations.tolist()
        ids = [names[i] for i in at]
        source: Sampled = _Change(patches)
    else:
        shown = patches.acquisitions
        at = [int(index.of[a]) for a in shown]
        ids = [f"{names[i]}/{int(a) - int(index.first[i])}" for a, i in zip(shown, at, strict=True)]
        source = patches
    return Examples(
        source,
        tuple(ids),
        tuple(of[i] for i in at),
        "change" if isinstance(patches, ChangePatches) else labels.kind,
        tuple(labels.class_names),
        labels.ignore_index,
        patches.patches.contract,
    )


class SceneWindows:
    """Square windows of one labelled scene, side by side.

    Args:
        image: (C, H, W) stored numbers.
        labels: (H, W) class indices.
        size: Side of a window in pixels.
        corners: (N, 2) top row and left column of each window.
    """

    def __init__(
        self, image: NDArray[Any], labels: NDArray[np.uint8], size: int, corners: Ints
    ) -> None:
        self.image, self.labels, self.size, self.corners = image, labels, size, corners

    def __len__(self) -> int:
        return len(self.corners)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        row, col = self.corners[i].tolist()
        at = (slice(row, row + self.size), slice(col, col + self.size))
        return {
            "image": torch.from_numpy(np.ascontiguousarray(self.image[:, *at])),
            "target": torch.from_numpy(self.labels[at].astype(np.int64)),
        }


def scene_examples(
    image: NDArray[Any],
    labels: NDArray[np.uint8],
    contract: InputContract,
    class_names: Sequence[str],
    *,
    size: int,
    block: int,
    ignore_index: int | None = None,
    least_labelled: float = 0.0,
) -> Examples:
    """Cut a labelled scene into windows that share no pixel, grouped by blocks of ground.

    Args:
        image: (C, H, W) stored numbers.
        labels: (H, W) class indices, `ignore_index` where there is none.
        contract: How the numbers are to be read.
        class_names: Names of the K classes.
        size: Side of a window in pixels; what is left over at the far edges is not used.
        block: Side of a block in windows; a split that keeps blocks whole is a spatial one.
        ignore_index: Label of pixels that are not judged.
        least_labelled: Windows of which a smaller share of pixels has a label, or holds
            measurements, are left out, in [0, 1].

    Raises:
        ContractMismatchError: If image, labels and contract do not fit, or a label is no class.
        ManifestError: If no window is left.
    """
    height, width = labels.shape
    if image.shape != (len(contract.band_names), height, width):
        raise ContractMismatchError(
            f"A scene needs {len(contract.band_names)} bands on the pixels of its labels "
            f"{labels.shape}, but its image is {image.shape}."
        )
    known = np.isin(labels, np.arange(len(class_names)))
    strange = np.unique(labels[~known & (labels != ignore_index)])
    if strange.size:
        raise ContractMismatchError(
            f"Labels must be 0 to {len(class_names) - 1} or the ignored {ignore_index}, but the "
            f"scene has {strange[:5].tolist()}.\nIs this the right legend?"
        )
    known &= ~is_missing(image, contract.nodata).any(axis=0)
    corners = [
        (row, col)
        for row in range(0, height - size + 1, size)
        for col in range(0, width - size + 1, size)
        if known[row : row + size, col : col + size].mean() >= least_labelled
    ]
    if not corners:
        raise ManifestError(
            f"A scene needs a window of {size} px with {least_labelled:.0%} of it labelled, but "
            f"its {height} × {width} px have none.\nUse smaller windows or a smaller share."
        )
    return Examples(
        SceneWindows(image, labels, size, np.array(corners, dtype=np.int64)),
        tuple(f"r{row:05d}-c{col:05d}" for row, col in corners),
        tuple(f"b{row // size // block:03d}-{col // size // block:03d}" for row, col in corners),
        "classes",
        tuple(class_names),
        ignore_index,
        contract,
    )
