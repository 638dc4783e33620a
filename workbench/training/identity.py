"""Identity of a pretraining run: everything its weights depend on, and how two runs differ.

All of it is read from the objects that are trained. A run is resumed, or found complete, only by a
call whose identity is the same; see `differences`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from torch import nn

from workbench.datasets.augmentation_draws import ViewOptions
from workbench.datasets.statistics import BandStatistics
from workbench.datasets.temporal_patches import TemporalPatches
from workbench.methods.options import default_options, options_of, plain_value, structure
from workbench.training.checkpoint import package_versions
from workbench.training.encoders import describe_encoder
from workbench.training.settings import PretrainSettings, harmless_settings

_NOT_RECORDED = "not recorded"


def run_identity(
    method: nn.Module,
    dataset: TemporalPatches,
    views: Sequence[ViewOptions],
    settings: PretrainSettings,
    statistics: BandStatistics,
    *,
    seed: int,
    precision: str,
) -> dict[str, Any]:
    """Describe a run in plain values, before anything is trained.

    Args:
        method: With all its options; its encoder by how it was made and by its layers.
        dataset: Checksum of the manifest, choice of patches and bands, pairs.
        views: Augmentation options of each view.
        settings: Of the run.
        statistics: By which images are standardised.
        seed: Of order, pairs, views and masks.
        precision: In which the run computes, "auto" resolved.
    """
    spec = describe_encoder(method.encoder)  # type: ignore[arg-type]
    policy = dataset.policy
    return {
        "method": method_name(method),
        "options": method_options(method),
        "encoder": None if spec is None else plain_value(asdict(spec)),
        "structure": structure(method),
        "views": [plain_value(asdict(view)) for view in views],
        "data": {
            **dataset.patches.made_from,
            "locations": len(dataset),
            "counts": asdict(dataset.counts),
            "pairs": None if policy is None else plain_value(policy.to_dict()),
            "dataset seed": dataset.seed,
        },
        "statistics": _statistics_checksum(statistics),
        "seed": seed,
        "settings": {**settings.to_dict(), "precision": precision},
        "versions": package_versions(),
    }


def method_name(method: nn.Module) -> str:
    """Name of a method's class; of one's own classes with the module they are from."""
    kind = type(method)
    ours = kind.__module__.partition(".")[0] == "workbench"
    return kind.__name__ if ours else f"{kind.__module__}.{kind.__qualname__}"


def method_options(method: nn.Module) -> dict[str, Any]:
    """All constructor options of a method but its encoder, as they are now."""
    return options_of(method, leave_out=method.encoder)  # type: ignore[arg-type]


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any], kind: type) -> list[str]:
    """List in what a recorded run differs from the one that is asked for.

    What the record lacks, because it was written before there was such an option, counts as that
    option's default. Layers are compared where the packages are the same and nothing else differs:
    their descriptions change from version to version.

    Args:
        theirs: Identity as it was recorded.
        ours: Identity of the run that is asked for.
        kind: Class of the method.

    Returns:
        "mask_ratio 0.75, now 0.5", in a fixed order.
    """
    if theirs.get("method") != ours["method"]:
        return [_told("method", theirs.get("method", _NOT_RECORDED), ours["method"])]
    before, now = _flat(_completed(theirs, kind)), _flat(ours)
    found = [
        _told(name, before.get(name, _NOT_RECORDED), now.get(name, "none"))
        for name in dict.fromkeys([*now, *before])
        if before.get(name, _NOT_RECORDED) != now.get(name, _NOT_RECORDED)
    ]
    if found or theirs.get("versions") != ours["versions"]:
        return found
    layers, our_layers = theirs.get("structure", {}), ours["structure"]
    return [
        _told(f"layer {name or 'method'}:", layers.get(name, "none"), our_layers.get(name, "none"))
        for name in dict.fromkeys([*our_layers, *layers])
        if layers.get(name) != our_layers.get(name)
    ]


def _completed(theirs: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """A recorded identity with today's defaults for what it does not mention."""
    defaults = default_options(kind)
    view = plain_value(asdict(ViewOptions()))
    return {
        **theirs,
        "options": {**defaults, **theirs.get("options", {})},
        "settings": {**PretrainSettings().to_dict(), **theirs.get("settings", {})},
        "views": [{**view, **each} for each in theirs.get("views", [])],
    }


def _flat(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Every value under the name by which people know it."""
    settings = {k: v for k, v in identity["settings"].items() if k not in harmless_settings()}
    options = identity["options"]
    encoder = identity["encoder"] or {"factory": None, "options": {}}
    return {
        **{f"option {k}" if k in settings else k: v for k, v in options.items()},
        **{f"setting {k}" if k in options else k: v for k, v in settings.items()},
        "encoder": encoder["factory"],
        **{f"encoder {k}": v for k, v in encoder["options"].items()},
        "views": len(identity["views"]),
        **{f"view {i} {k}": v for i, each in enumerate(identity["views"]) for k, v in each.items()},
        **{f"data {k}": v for k, v in identity["data"].items()},
        "statistics": identity.get("statistics", _NOT_RECORDED),
        "seed": identity["seed"],
    }


def _told(name: str, before: Any, now: Any) -> str:
    return f"{name} {_short(before)}, now {_short(now)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _statistics_checksum(statistics: BandStatistics) -> str:
    text = json.dumps(statistics.to_dict(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
