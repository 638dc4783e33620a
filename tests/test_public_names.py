"""The names users call are there, documented and annotated, in every room's `__all__`."""

import importlib
import inspect
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

import workbench

PACKAGE = Path(__file__).parent.parent / "workbench"

PUBLIC = {  # what users, notebooks and outside checks call; it may grow, and does not shrink
    "workbench.catalog": ["open_catalog"],
    "workbench.readers": ["read_tiles"],
    "workbench.extraction": [
        "Tile",
        "ViewRules",
        "drop_duplicates",
        "leak_report",
        "overlap_graph",
        "read_manifest",
        "split_locations",
        "temporal_views",
    ],
    "workbench.models": [
        "SpectralAdapter",
        "load_published_weights",
        "resnet",
        "segmentation_model",
        "spectral_resnet50",
        "spectral_vit",
        "vit",
    ],
    "workbench.methods": [
        "BYOL",
        "DINO",
        "MAE",
        "BEiT",
        "BarlowTwins",
        "Data2Vec",
        "MaskFeat",
        "MoCo",
        "PretextOutput",
        "SimCLR",
        "SimSiam",
        "SwAV",
        "VICReg",
        "recipe",
    ],
    "workbench.training": [
        "CollapseSentinel",
        "Distillation",
        "PretrainSettings",
        "load_checkpoint",
        "pretrain",
        "save_checkpoint",
    ],
    "workbench.datasets": ["TemporalPatches", "ViewOptions", "ViewPipeline", "multi_crop"],
    "workbench.execution": [
        "RunFolder",
        "compare_runs",
        "list_runs",
        "run_chain",
        "run_notebook",
        "run_sweep",
        "submit",
    ],
    "workbench.viz": ["Inspector", "InspectorPatch"],
    "workbench.evaluation": [
        "boundary_curve",
        "boundary_iou",
        "compare_models",
        "paired_bootstrap",
        "paired_permutation",
        "published_table",
        "run_study",
    ],
}
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def exported() -> list[tuple[str, str]]:
    """Every (module, name) that a room lists as its public face."""
    rooms = [f"workbench.{room}" for room in ROOMS]
    return [
        (room, name)
        for room in rooms
        for name in getattr(importlib.import_module(room), "__all__", [])
    ]


def signatures(thing) -> list:
    """The functions whose annotations count: the function itself, or a class's public methods."""
    if inspect.isclass(thing):
        own = (value for name, value in vars(thing).items() if not name.startswith("_"))
        return [getattr(value, "__func__", value) for value in own if callable(value)]
    return [thing] if inspect.isfunction(thing) else []


@pytest.mark.parametrize(("room", "name"), [(r, n) for r in PUBLIC for n in PUBLIC[r]])
def test_a_promised_name_is_there(room, name):
    module = importlib.import_module(room)
    assert name in module.__all__
    assert hasattr(module, name)


@pytest.mark.parametrize(("room", "name"), exported())
def test_a_public_name_is_documented(room, name):
    thing = getattr(importlib.import_module(room), name)
    if inspect.isclass(thing) or callable(thing):
        first = (inspect.getdoc(thing) or "").partition("\n")[0]
        assert first.endswith((".", ":")), f"{name}: {first!r}"


@pytest.mark.parametrize(("room", "name"), exported())
def test_a_public_function_is_annotated(room, name):
    for function in signatures(getattr(importlib.import_module(room), name)):
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty, function
        unnamed = {"self", "cls"}
        for parameter in signature.parameters.values():
            assert parameter.name in unnamed or parameter.annotation is not parameter.empty


def test_the_version_is_the_one_installed_and_cited():
    citation = yaml.safe_load((PACKAGE.parent / "CITATION.cff").read_text(encoding="utf-8"))
    assert workbench.__version__ == version("spectral-workbench") == citation["version"]
