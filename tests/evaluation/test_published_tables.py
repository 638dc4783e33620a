"""The shipped tables hold what was printed: the printed tables stand here once more, as text."""

import numpy as np
import pytest

from workbench.evaluation.published_tables import (
    identity_residuals,
    micro_iou_from_accuracy,
    published_names,
    published_table,
)

INITS = {"Random": "random", "MoCo": "moco", "MoCo-V2": "moco", "DINO": "dino", "MAE": "mae"}
SSL = """
Frozen Random 70.53 70.42 44.72 46.52 35.86 36.85
Frozen MoCo-V2 73.97 73.60 51.66 50.37 41.98 39.85
Frozen DINO 76.64 75.06 51.53 51.01 41.77 40.31
Frozen MAE – 72.72 – 51.37 – 41.17
Full Random 78.31 77.78 57.53 55.07 48.18 45.95
Full MoCo-V2 78.57 78.40 58.10 55.84 48.09 45.78
Full DINO 77.98 78.34 57.77 55.70 47.75 45.71
Full MAE – 78.66 – 57.66 – 47.82
Adapter MoCo-V2 76.27 76.12 55.36 54.37 44.66 43.40
Adapter DINO 78.43 77.95 55.26 53.50 44.41 43.00
Adapter MAE – 76.80 – 54.61 – 43.92
"""
LARGE = """
scratch 76.99 77.24 77.28 76.85 54.79 54.50 54.83 54.74 45.96 45.62 45.53 45.58
frozen 74.72 75.07 76.06 75.33 51.20 53.14 53.19 52.77 40.52 42.88 43.32 42.63
full 79.05 79.18 79.80 78.38 57.70 58.19 58.06 57.86 48.10 48.37 48.28 48.08
adapter 77.09 77.79 77.94 77.86 54.79 55.35 55.14 54.90 43.97 44.46 44.67 44.73
"""
FOREST = """
unet       resnet18 Random 85.58 75.19 74.79 +0.40
unet       resnet18 MoCo   88.03 78.61 78.62 -0.01
unet       resnet18 DINO   88.72 79.72 79.73 -0.01
unet       resnet50 Random 85.69 74.97 74.96 +0.01
unet       resnet50 MoCo   88.68 79.66 79.66 0.00
unet       resnet50 DINO   88.18 78.85 78.86 -0.01
deeplabv3+ resnet18 Random 84.89 73.95 73.75 +0.20
deeplabv3+ resnet18 MoCo   87.37 77.58 77.57 +0.01
deeplabv3+ resnet18 DINO   87.82 78.29 78.28 +0.01
deeplabv3+ resnet50 Random 84.73 73.65 73.51 +0.14
deeplabv3+ resnet50 MoCo   88.14 78.80 78.79 +0.01
deeplabv3+ resnet50 DINO   87.59 77.92 77.92 0.00
upconv     vit_s    Random 86.35 76.03 75.98 +0.05
upconv     vit_s    MoCo   87.38 77.59 77.59 0.00
upconv     vit_s    DINO   88.57 77.49 79.48 -1.99
"""


def cells(name: str) -> dict[tuple[str, ...], float]:
    frame = published_table(name).frame
    keys = zip(*(frame[c] for c in ("task", "encoder", "protocol", "init", "metric")), strict=True)
    return dict(zip(keys, frame["value"], strict=True))


def test_the_comparison_of_methods_is_as_printed():
    columns = [
        (task, encoder)
        for task in ("corine", "cdl", "nlcd")
        for encoder in ("spectral_resnet50", "spectral_vit_s")
    ]
    wanted = {}
    for line in SSL.strip().splitlines():
        protocol, init, *values = line.split()
        scratch = (protocol, init) == ("Full", "Random")
        for (task, encoder), value in zip(columns, values, strict=True):
            if value != "–":
                metric = "F1 Score" if task == "corine" else "mIoU"
                key = (task, encoder, "scratch" if scratch else protocol.lower(), INITS[init])
                wanted[(*key, metric)] = float(value)
    assert cells("ssl_comparison") == wanted


def test_the_large_transformers_are_as_printed():
    wanted = {}
    for line in LARGE.strip().splitlines():
        protocol, *values = line.split()
        init = "random" if protocol == "scratch" else "mae"
        for i, value in enumerate(values):
            task, size = ("corine", "cdl", "nlcd")[i // 4], "blhg"[i % 4]
            metric = "F1 Score" if task == "corine" else "mIoU"
            wanted[task, f"spectral_vit_{size}", protocol, init, metric] = float(value)
    assert cells("large_vits") == wanted


def test_the_forest_table_and_its_identity_are_as_printed():
    found = identity_residuals(published_table("forest_segmentation"))
    wanted = []
    for line in FOREST.strip().splitlines():
        decoder, encoder, init, *values = line.split()
        wanted.append((decoder, encoder, INITS[init], *map(float, values)))
    columns = ["decoder", "encoder", "init", "overall_accuracy", "mean_iou", "predicted"]
    assert list(found[[*columns, "residual"]].itertuples(index=False, name=None)) == wanted
    assert (found["residual"].abs() <= 0.05).sum() == 11


def test_other_published_numbers_are_as_printed():
    frame = published_table("ssl4eo_s12").frame
    found = frame.pivot(index=["init", "encoder"], columns="task", values="value")
    columns = ["bigearthnet", "eurosat", "so2sat"]
    assert {key: tuple(row) for key, row in found[columns].iterrows()} == {
        ("moco", "resnet50"): (91.8, 99.1, 60.9),
        ("moco", "vit_s"): (89.9, 98.6, 61.6),
        ("dino", "resnet50"): (90.7, 99.1, 63.6),
        ("dino", "vit_s"): (90.5, 99.0, 62.2),
        ("mae", "vit_s"): (88.9, 98.7, 63.9),
        ("data2vec", "vit_s"): (90.3, 99.1, 64.8),
    }
    crops = published_table("cereal_crops").frame
    assert dict(zip(crops["encoder"], crops["value"], strict=True)) == {
        "hypersigma": 34.5,
        "dofa": 62.6,
        "spectralearth": 93.5,
        "compact_from_scratch": 91.0,
    }


def test_micro_iou_follows_from_accuracy_for_the_examples_of_the_definition():
    assert micro_iou_from_accuracy([88.68, 73.04, 65.03]) == pytest.approx(
        [79.66, 57.53, 48.18], abs=0.01
    )


def test_the_slip_and_the_marks_that_are_not_the_best_are_flagged_and_nothing_else():
    flagged = {
        (name, flag.kind, flag.text.split()[0])
        for name in published_names()
        for flag in published_table(name).flags
        if flag.kind != "identity"
    }
    assert flagged == {
        ("forest_segmentation", "typo", "77.49"),
        ("forest_segmentation", "bold", "77.49"),
        ("forest_segmentation", "unmarked", "77.59"),
        ("forest_segmentation", "bold", "88.03"),
        ("forest_segmentation", "bold", "78.61"),
        ("forest_segmentation", "unmarked", "88.72"),
        ("forest_segmentation", "unmarked", "79.72"),
    }


def test_every_table_says_where_it_is_from():
    for name in published_names():
        table = published_table(name)
        assert "percent" in table.source
        assert not table.frame["value"].isna().any()
        assert np.isfinite(table.frame["value"]).all()
    with pytest.raises(ValueError, match="no published table 'forest'"):
        published_table("forest")
