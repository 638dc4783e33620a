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


FIRST = inspect.Parameter.empty  # an argument without a default
STATED = {  # imported as written; arguments by name, with the defaults that were promised
    "from workbench.catalog import open_catalog": {"path": "data_catalog.yaml"},
    "from workbench.readers import read_tiles": {"entry": FIRST},
    "from workbench.extraction import Tile": {
        "id": FIRST,
        "acquired": FIRST,
        "footprint": FIRST,
        "crs": FIRST,
        "path": None,
        "group": None,
        "grid": None,
    },
    "from workbench.extraction import overlap_graph": {"tiles": FIRST, "min_area": 0.0},
    "from workbench.extraction import temporal_views": {"tiles": FIRST, "rules": None},
    "from workbench.extraction import ViewRules": {
        "patch_size": 128,
        "gsd": None,
        "method": "coverage",
        "min_acquisitions": 1,
        "origin": None,
        "crs": None,
        "resample": False,
    },
    "from workbench.extraction import drop_duplicates": {"tiles": FIRST},
    "from workbench.extraction import extract_patches": {
        "plan": FIRST,
        "tiles": FIRST,
        "out": FIRST,
    },
    "from workbench.extraction import read_manifest": {"path": FIRST},
    "from workbench.extraction import split_locations": {"plan": FIRST, "seed": FIRST},
    "from workbench.extraction import leak_report": {"split": FIRST, "plan": None},
    "from workbench.datasets import open_patches": {"folder": FIRST},
    "from workbench.models import SpectralAdapter": {"bands": 202},
    "from workbench.models import spectral_resnet50": {"bands": 202},
    "from workbench.models import spectral_vit": {
        "size": "S",
        "bands": 202,
        "image_size": 128,
        "token_size": 4,
    },
    "from workbench.models import resnet": {"depth": 18, "bands": 12, "stem": "standard"},
    "from workbench.models import vit": {"size": "S", "bands": 12},
    "from workbench.models import segmentation_model": {
        "encoder": FIRST,
        "decoder": FIRST,
        "classes": FIRST,
    },
    "from workbench.models import load_published_weights": {"encoder": FIRST, "path": FIRST},
    "from workbench.methods import MoCo": {"encoder": FIRST},
    "from workbench.methods import DINO": {"encoder": FIRST},
    "from workbench.methods import MAE": {"encoder": FIRST},
    "from workbench.methods import recipe": {"method": FIRST, "name": "original"},
    "from workbench.training import pretrain": {"method": FIRST, "data": FIRST, "out": FIRST},
    "from workbench.training import finetune": {
        "model": FIRST,
        "train": FIRST,
        "val": FIRST,
        "protocol": FIRST,
    },
    "from workbench.training import BoundaryWeightedLoss": {"form": "band"},
    "from workbench.evaluation import boundary_iou": {
        "pred": FIRST,
        "target": FIRST,
        "classes": FIRST,
        "dilation": 0.02,
        "ignore_index": None,
    },
    "from workbench.evaluation import boundary_curve": {
        "pred": FIRST,
        "target": FIRST,
        "classes": FIRST,
        "gsd": FIRST,
        "ignore_index": None,
    },
    "from workbench.evaluation import SegmentationTally": {"classes": FIRST},
    "from workbench.evaluation import paired_bootstrap": {"a": FIRST, "b": FIRST, "rng": FIRST},
    "from workbench.evaluation import compare_models": {"predictions": FIRST, "targets": FIRST},
    "from workbench.evaluation import Predictions": {
        "model": FIRST,
        "ids": FIRST,
        "maps": FIRST,
        "classes": FIRST,
        "gsd": FIRST,
    },
    "from workbench.viz import Inspector": {"patches": FIRST, "classes": FIRST, "gsd": FIRST},
    "from workbench.execution import run_notebook": {"path": FIRST, "run_dir": FIRST},
    "from workbench.execution import run_chain": {"path": FIRST, "run_dir": FIRST},
    "from workbench.execution import RunFolder": {"run_dir": FIRST},
}


@pytest.mark.parametrize("statement", STATED)
def test_a_stated_import_gives_the_callable_with_its_arguments(statement):
    name = statement.rpartition(" ")[2]
    for room in sorted(PACKAGE.glob(f"*/{name}.py")):  # a module of the same name must not win
        importlib.import_module(f"workbench.{room.parent.name}.{name}")
    given: dict = {}
    exec(statement, given)
    thing = given[name]
    assert (inspect.isclass if name[0].isupper() else inspect.isfunction)(thing)
    parameters = inspect.signature(thing).parameters
    assert {known: parameters[known].default for known in STATED[statement]} == STATED[statement]


def test_stated_calls_of_encoders_and_methods():
    from workbench.methods import MAE, MoCo, recipe
    from workbench.models import resnet, segmentation_model, spectral_vit

    small = resnet(depth=18, bands=12, stem="detail")
    assert small.width == 512
    assert isinstance(recipe("moco", "original").build(small), MoCo)
    assert segmentation_model(small, decoder="linear", classes=3).encoder is small
    encoder = spectral_vit(size="S", bands=202, image_size=16, token_size=4)
    assert isinstance(MAE(encoder), MAE)


def test_stated_calls_of_the_plan():
    from datetime import UTC, datetime

    from shapely import box

    from workbench.extraction import Tile, ViewRules, overlap_graph, temporal_views

    day = datetime(2023, 6, 1, tzinfo=UTC)
    tile = Tile("a", day, box(10.0, 50.0, 10.1, 50.1), "EPSG:32632", path=None, group=None)
    graph = overlap_graph([tile, Tile("b", day, tile.footprint, tile.crs)], min_area=0.0)
    (edge,) = graph.edges(data="area")
    assert edge[2] == pytest.approx(7.97e7, rel=0.01)  # 11.12 km by 7.17 km
    plan = temporal_views([tile], ViewRules(patch_size=128, min_acquisitions=1))
    columns = "location_id crs xmin ymin xmax ymax tile_ids n_acquisitions geometry"
    assert set(columns.split()) <= set(plan.columns)
    assert plan.crs.to_epsg() == 4326
    assert len(plan) >= 1


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
