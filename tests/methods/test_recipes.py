"""Recipes: the numbers are the published ones, and every recipe builds its method and views."""

import inspect
import json

import pytest

import workbench.methods
from workbench.datasets.augmentation_draws import ViewOptions
from workbench.datasets.augmentations import multi_crop
from workbench.errors import MethodError
from workbench.methods import METHODS, recipe
from workbench.methods.recipes import recipe_names
from workbench.training.settings import PretrainSettings

EVERY = [(method, name) for method in METHODS for name in recipe_names(method)]


def test_every_method_has_an_original_and_three_have_spectral_earths():
    public = [getattr(workbench.methods, name) for name in workbench.methods.__all__]
    assert all(kind in public for kind in METHODS.values())
    assert all(recipe_names(method)[0] == "original" for method in METHODS)
    assert [m for m in METHODS if "spectral_earth" in recipe_names(m)] == ["moco", "dino", "mae"]


@pytest.mark.parametrize(("method", "name"), EVERY)
def test_a_recipe_names_only_what_there_is(method, name):
    plain = recipe(method, name)
    for found in (plain, plain.with_defects()):
        assert set(found.options) <= set(inspect.signature(METHODS[method]).parameters)
        PretrainSettings(**found.training())
        views = multi_crop(ViewOptions(**found.view), **found.crops)
        assert len(views) >= METHODS[method].views_needed
        json.dumps(found.to_dict())


def test_the_numbers_of_spectral_earth():
    moco, dino, mae = (recipe(m, "spectral_earth") for m in ("moco", "dino", "mae"))
    assert {r.batch_size for r in (moco, dino, mae)} == {256}
    assert (moco.optimiser, moco.lr, moco.weight_decay, moco.epochs) == ("sgd", 0.001, 1e-4, 100)
    assert (moco.schedule, moco.milestones, moco.gamma) == ("step", (0.6, 0.8), 0.1)
    assert (moco.options["temperature"], moco.options["queue_size"]) == (0.1, 32768)
    assert (dino.optimiser, dino.lr, dino.weight_decay, dino.epochs) == ("adamw", 0.001, 1e-5, 100)
    assert (dino.warmup_epochs, dino.warmup_start, dino.options["output_dim"]) == (20, 1 / 20, 128)
    assert (mae.optimiser, mae.lr, mae.weight_decay, mae.epochs) == ("adamw", 1e-4, 0.01, 200)
    assert (mae.options["mask_ratio"], mae.options["decoder_depth"]) == (0.9, 1)
    assert [r.view["crop"] for r in (moco, dino, mae)] == [(0.08, 1), (0.05, 1), (0.4, 1)]
    assert not any(r.view.get("colour") or r.view.get("gray") for r in (moco, dino, mae))


def test_the_numbers_of_the_originals():
    moco, mae, dino = recipe("moco"), recipe("mae"), recipe("dino", "original_resnet50")
    assert (moco.lr, moco.batch_size, moco.schedule) == (0.03, 256, "cosine")
    defaults = inspect.signature(METHODS["moco"]).parameters
    assert (defaults["temperature"].default, defaults["queue_size"].default) == (0.2, 65536)
    assert (mae.epochs, mae.batch_size, mae.lr, mae.lr_rule) == (800, 4096, 1.5e-4, "linear")
    assert (mae.weight_decay, mae.betas, mae.warmup_epochs) == (0.05, (0.9, 0.95), 40)
    assert (dino.optimiser, dino.lr, dino.weight_decay) == ("sgd", 0.03, 1e-4)
    assert (dino.view["crop"], dino.crops["local_crop"]) == ((0.14, 1), (0.05, 0.14))
    vit = recipe("dino")
    assert (vit.weight_decay, vit.weight_decay_end, vit.crops["local_views"]) == (0.04, 0.4, 8)


def test_defects_are_off_by_default_and_named():
    found = recipe("dino", "spectral_earth")
    assert "momentum_until" not in found.options
    repeated = found.with_defects()
    assert repeated.options["momentum_until"] == 0.1
    assert repeated.options["copy_head_at_start"] is False
    assert repeated.lr_end == 0.0955
    assert all(len(defect.what) > 30 for defect in found.defects)


def test_errors():
    with pytest.raises(MethodError, match="There is no method 'moko'"):
        recipe("moko")
    with pytest.raises(MethodError, match="Recipes of 'byol' are original; there is no 'spectral"):
        recipe("byol", "spectral_earth")


def test_every_recipe_names_where_its_numbers_stand():
    for method, name in EVERY:
        told = recipe(method, name).reference
        assert "https://" in told
        assert any(sign in told for sign in (".md", ".py", ".sh", ".yaml", "not looked up", "src/"))


def test_numbers_read_in_the_authors_code():
    """barlowtwins/main.py, vicreg/main_vicreg.py, SlowFast's MaskFeat and data2vec's README."""
    barlow, vicreg, maskfeat, data2vec = map(
        recipe, ("barlow_twins", "vicreg", "maskfeat", "data2vec")
    )
    assert (barlow.weight_decay, barlow.options["off_diagonal"], barlow.lr_end) == (
        1e-6,
        5.1e-3,
        1e-3,
    )
    assert (vicreg.lr, vicreg.weight_decay, vicreg.lr_end, vicreg.epochs) == (0.2, 1e-6, 1e-3, 1000)
    assert (maskfeat.lr, maskfeat.batch_size, maskfeat.epochs) == (2e-4, 256, 300)
    assert (data2vec.lr * 2048 / 256, data2vec.warmup_epochs) == (2e-3, 10)
    swav = recipe("swav")
    assert (swav.lr * 16, swav.warmup_start, swav.lr_end) == (pytest.approx(4.8), 0.0625, 1e-3)
