"""A run is found or resumed only by a call that gives the same weights; its card says what ran.

Options are walked by introspection: one that is added to a method, a view or the settings tomorrow
is tested here without another line.
"""

import inspect
import json
import shutil
import typing
from dataclasses import asdict, fields, replace

import pytest
import torch
from torch import nn

from tests.methods.made_methods import SMALL
from tests.training.conftest import write_extraction
from workbench.datasets import TemporalPatches, ViewOptions, multi_crop
from workbench.errors import CheckpointError, MethodError, TrainingError
from workbench.methods import MAE, METHODS, MoCo, recipe
from workbench.methods.options import options_of, plain_value
from workbench.methods.recipes import recipe_names
from workbench.models import ViTEncoder, ViTSize, resnet, spectral_resnet50, spectral_vit, vit
from workbench.training import Distillation, PretrainSettings, pretrain, read_card
from workbench.training.identity import differences, run_identity
from workbench.training.run_state import read_state
from workbench.training.settings import harmless_settings

FAST = PretrainSettings(
    steps=3, batch_size=6, lr=1e-3, loggers=("csv",), accelerator="cpu", watch=None
)
VIEWS = multi_crop(ViewOptions(crop=(0.5, 1.0)), views=2)
TOLD = {"settings": FAST, "progress": False, "seed": 0}


def other(value, annotation):
    """A value that an option might have instead."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value * 2 or 8
    if isinstance(value, float):
        return value / 2 or 0.5
    if isinstance(value, str):
        words = [w for part in (annotation, *typing.get_args(annotation))
                 for w in typing.get_args(part) if isinstance(w, str)]  # fmt: skip
        return next(word for word in words if word != value)
    if isinstance(value, tuple):
        return tuple(other(each, None) for each in value)
    if value is None:
        text = str(annotation)
        return [0] if "Sequence" in text else 5 if "int" in text else 0.5
    raise AssertionError(f"Say here what else {value!r} ({annotation}) might be.")


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """An extraction that all walks over options share."""
    return write_extraction(tmp_path_factory.mktemp("few"), 8)


def identity(method, patches, settings=FAST, views=VIEWS, *, statistics=None, seed=0):
    shown = TemporalPatches(patches, min_acquisitions=1, seed=0)
    statistics = statistics or patches.statistics()
    return run_identity(method, shown, views, settings, statistics, seed=seed, precision="32-true")


def told(one, two, kind=MoCo):
    return differences(one, two, kind)


METHOD_OPTIONS = [
    (name, option)
    for name, kind in METHODS.items()
    for option in inspect.signature(kind).parameters
    if option != "encoder"
]


@pytest.mark.parametrize(("name", "option"), METHOD_OPTIONS)
def test_every_option_of_every_method_is_part_of_identity_and_card(name, option, few, encoder):
    kind, patches = METHODS[name], few
    given = {**SMALL[name]}
    signature = inspect.signature(kind).parameters[option]
    now = given.get(option, signature.default)
    changed = {**given, option: other(now, typing.get_type_hints(kind.__init__)[option])}
    one = identity(kind(encoder(), **given), patches)
    assert told(one, identity(kind(encoder(5), **given), patches), kind) == []
    two = identity(kind(encoder(), **changed), patches)
    found = told(one, two, kind)
    assert any(option in line.partition(", now ")[0] for line in found), found
    assert one["options"][option] == plain_value(now)
    assert two["options"][option] == plain_value(changed[option])
    json.dumps(two, allow_nan=False)


OF_SETTINGS = [f.name for f in fields(PretrainSettings) if f.name not in harmless_settings()]


@pytest.mark.parametrize("name", [n for n in OF_SETTINGS if n != "precision"])
def test_every_setting_that_changes_weights_is_part_of_the_identity(name, few, encoder):
    patches, method = few, MoCo(encoder(), **SMALL["moco"])
    words = {"optimiser": "sgd", "lr_rule": "linear", "schedule": "step", "strategy": "ddp"}
    value = words[name] if name in words else other(getattr(FAST, name), str(FAST))
    (found,) = told(identity(method, patches), identity(method, patches, replace(FAST, **{name: value})))  # fmt: skip # noqa: E501
    assert f"{name} " in found


@pytest.mark.parametrize("name", sorted(harmless_settings()))
def test_what_changes_no_weight_may_change(name, few, encoder):
    patches, method = few, MoCo(encoder(), **SMALL["moco"])
    others = {"watch": "stop", "loggers": (), "accelerator": "auto", "stop_after": 1, "workers": 2}
    changed = replace(FAST, **{name: others.get(name, 7)})
    assert told(identity(method, patches), identity(method, patches, changed)) == []


@pytest.mark.parametrize("name", [f.name for f in fields(ViewOptions)])
def test_every_option_of_every_view_is_part_of_the_identity(name, few, encoder):
    patches, method = few, MoCo(encoder(), **SMALL["moco"])
    ranges = {"crop": (0.3, 0.9), "ratio": (0.5, 2.0), "blur_sigma": (0.2, 1.0)}
    for view in range(len(VIEWS)):
        changed = list(VIEWS)
        value = ranges.get(name, other(getattr(VIEWS[view], name), None) if name != "size" else 4)
        changed[view] = replace(VIEWS[view], **{name: value})
        (found,) = told(identity(method, patches), identity(method, patches, views=changed))
        assert found.startswith(f"view {view} {name} ")


@pytest.mark.parametrize(
    ("factory", "plain", "changed"),
    [
        (vit, {"size": "T", "bands": 6, "image_size": 8, "token_size": 4}, {"drop_path": 0.1}),
        (vit, {"size": "T", "bands": 6, "image_size": 8, "token_size": 4}, {"token_size": 2}),
        (spectral_vit, {"size": "T", "bands": 75, "image_size": 8}, {"drop_path": 0.2}),
        (resnet, {"depth": 18, "bands": 6}, {"stem": "detail"}),
        (resnet, {"depth": 18, "bands": 6}, {"depth": 50}),
        (spectral_resnet50, {"bands": 75}, {"dilated": True}),
    ],
)
def test_options_of_the_encoder_are_part_of_the_identity(factory, plain, changed, few):
    patches = few
    one, two = (MoCo(factory(**o), **SMALL["moco"]) for o in (plain, {**plain, **changed}))
    assert told(identity(one, patches), identity(MoCo(factory(**plain), **SMALL["moco"]), patches)) == []  # fmt: skip # noqa: E501
    assert any("encoder" in line for line in told(identity(one, patches), identity(two, patches)))


class Own(nn.Module):
    """An encoder of one's own: its options are attributes and layers."""

    width = 16

    def __init__(self, scale=1.0, stride=1, dropout=0.0):
        super().__init__()
        self.scale = scale
        self.conv = nn.Conv2d(6, 16, 3, stride=stride, padding=1)
        self.drop = nn.Dropout(dropout)

    def forward(self, images):
        return self.drop(self.scale * self.conv(images).relu().mean((2, 3)))


@pytest.mark.parametrize("changed", [{"scale": 2.0}, {"stride": 2}, {"dropout": 0.5}])
def test_an_encoder_of_ones_own_is_known_by_its_layers(changed, make, tmp_path):
    patches = make()
    views = multi_crop(ViewOptions(), views=2)
    more = {"out": tmp_path / "run", "views": views, **TOLD}
    pretrain(MoCo(Own(), **SMALL["moco"]), patches, **more)
    assert pretrain(MoCo(Own(), **SMALL["moco"]), patches, **more).is_complete
    with pytest.raises(CheckpointError, match=f"layer encoder.*{next(iter(changed))}|layer enc"):
        pretrain(MoCo(Own(**changed), **SMALL["moco"]), patches, **more)


def test_data_statistics_and_seed_are_part_of_the_identity(few, encoder):
    patches, method = few, MoCo(encoder(), **SMALL["moco"])
    plain, names = identity(method, patches), patches.contract.band_names
    ids = [name.decode() for name in patches.index.location]
    fewer, turned = patches.only(ids[:6]), patches.select(names[::-1])
    assert "data locations 8, now 6" in told(plain, identity(method, fewer))
    assert any(t.startswith("data choice of") for t in told(plain, identity(method, turned)))
    found = told(plain, identity(method, patches, statistics=fewer.statistics()))
    assert [line.split()[0] for line in found] == ["statistics"]
    assert told(plain, identity(method, patches, seed=1)) == ["seed 0, now 1"]


def test_a_value_that_was_changed_by_hand_counts_as_it_is_now(encoder):
    method = MoCo(encoder(), **SMALL["moco"])
    method.temperature = 0.5
    assert method.options()["temperature"] == 0.5
    assert recipe("moco").with_options(**SMALL["moco"]).differences(method) == [
        "temperature 0.5, not 0.2"
    ]


def test_what_a_class_of_ones_own_fixes_or_adds_is_an_option(encoder):
    class Fixed(MAE):
        def __init__(self, encoder, *, extra=3, **more):
            super().__init__(encoder, mask_ratio=0.6, **more)
            self.extra = extra

    found = Fixed(encoder(), **SMALL["mae"]).options()
    assert (found["mask_ratio"], found["extra"], found["decoder_width"]) == (0.6, 3, 32)
    assert options_of(nn.Linear(2, 2)) == {}


def test_another_teacher_is_another_run(make, encoder, tmp_path):
    patches, out = make(), tmp_path / "run"
    pretrain(Distillation(encoder(0), encoder(1)), patches, out=out, **TOLD)
    pretrain(Distillation(encoder(0), encoder(1)), patches, out=out, **TOLD)
    with pytest.raises(CheckpointError, match=r"settings differ .teacher ViTEncoder with weights"):
        pretrain(Distillation(encoder(0), encoder(2)), patches, out=out, **TOLD)


def test_stopped_and_complete_runs_answer_for_their_own_options_only(make, encoder, tmp_path):
    patches, out = make(), tmp_path / "run"
    small = SMALL["mae"]
    stopped = {**TOLD, "settings": replace(FAST, stop_after=1)}
    pretrain(MAE(encoder(), **small), patches, out=out, **stopped)
    wanted = r"Cannot resume .*run: settings differ \(mask_ratio 0.75, now 0.5\)"
    for told_so in (stopped, TOLD):
        with pytest.raises(CheckpointError, match=wanted):
            pretrain(MAE(encoder(), **small, mask_ratio=0.5), patches, out=out, **told_so)
    pretrain(MAE(encoder(), **small), patches, out=out, **TOLD)
    with pytest.raises(CheckpointError, match=wanted):
        pretrain(MAE(encoder(), **small, mask_ratio=0.5), patches, out=out, **TOLD)
    card = read_card(out / "encoder.safetensors")
    assert card.recipe["options"]["mask_ratio"] == 0.75


def test_an_option_that_an_older_record_does_not_know_counts_as_its_default(few, encoder):
    patches = few
    one = identity(MoCo(encoder(), **SMALL["moco"]), patches)
    older = json.loads(json.dumps(one))
    del older["options"]["shuffle"], older["settings"]["gamma"], older["views"][0]["gray"]
    assert told(older, one) == []
    other_one = identity(MoCo(encoder(), **SMALL["moco"], shuffle=False), patches)
    assert told(older, other_one) == ["shuffle true, now false"]


def test_a_state_of_the_first_format_is_refused_with_the_cure(make, encoder, tmp_path):
    patches, out = make(), tmp_path / "run"
    pretrain(MAE(encoder(), **SMALL["mae"]), patches, out=out, **TOLD)
    state = asdict(read_state(out))
    old = {k: state[k] for k in ("step", "method", "optimiser")}
    torch.save({"format": 1, **old, "identity": {"method": "MAE"}}, out / "state.pt")
    with pytest.raises(
        CheckpointError, match=r"Cannot resume .*state.pt is of format 1, which does"
    ):
        pretrain(MAE(encoder(), **SMALL["mae"]), patches, out=out, **TOLD)


def every_bit(method):
    state = method.state_dict()
    return {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in state.items()}


def same_bits(one, two):
    return one.keys() == two.keys() and all(
        torch.equal(v, two[k]) if isinstance(v, torch.Tensor) else v == two[k]
        for k, v in one.items()
    )


@pytest.mark.parametrize("name", [*METHODS, "distillation"])
def test_a_run_that_is_found_again_is_in_memory_as_on_disk(name, make, encoder, tmp_path):
    """Encoder, heads, teacher, queue, centre, progress: other initial weights, then the same."""
    patches, out = make(), tmp_path / "run"

    def built(seed):
        if name == "distillation":
            return Distillation(encoder(seed), encoder(77))
        return METHODS[name](encoder(seed), **SMALL[name])

    first = built(0)
    done = pretrain(first, patches, out=out, **TOLD)
    left, files = every_bit(first), {p.name: p.read_bytes() for p in out.glob("*.*")}
    modes = [module.training for module in first.modules()]
    second = built(1)
    assert not same_bits(left, every_bit(second))
    random_numbers = torch.get_rng_state()
    for method in (second, second, first):
        found = pretrain(method, patches, out=out, **TOLD)
        assert same_bits(left, every_bit(method))
        assert [module.training for module in method.modules()] == modes
        assert found == done
        assert found.method is method
    assert torch.equal(random_numbers, torch.get_rng_state())
    assert {p.name: p.read_bytes() for p in out.glob("*.*")} == files


def test_a_stopped_run_that_is_asked_for_again_is_restored_too(make, encoder, tmp_path):
    patches, out = make(), tmp_path / "run"
    stopped = {**TOLD, "settings": replace(FAST, stop_after=2)}
    first, second = (MAE(encoder(s), **SMALL["mae"]) for s in (0, 1))
    done = pretrain(first, patches, out=out, **stopped)
    assert pretrain(second, patches, out=out, **stopped) == done
    assert same_bits(every_bit(first), every_bit(second))
    assert not done.is_complete


def test_training_leaves_the_callers_random_numbers_alone(make, encoder, tmp_path):
    patches, method = make(), MAE(encoder(), **SMALL["mae"])
    before = torch.get_rng_state()
    pretrain(method, patches, out=tmp_path / "run", **TOLD)
    assert torch.equal(before, torch.get_rng_state())


def test_a_missing_checkpoint_is_written_again_and_a_foreign_one_refused(make, encoder, tmp_path):
    patches, out = make(), tmp_path / "run"
    pretrain(MAE(encoder(), **SMALL["mae"]), patches, out=out, **TOLD)
    path, kept = out / "encoder.safetensors", (out / "encoder.safetensors").read_bytes()
    path.unlink()
    pretrain(MAE(encoder(3), **SMALL["mae"]), patches, out=out, **TOLD)
    assert path.read_bytes() == kept
    pretrain(MAE(encoder(3), **SMALL["mae"]), patches, out=tmp_path / "b", **{**TOLD, "seed": 4})
    shutil.copy(tmp_path / "b" / "encoder.safetensors", path)
    with pytest.raises(CheckpointError, match="must hold the weights that the run ended with"):
        pretrain(MAE(encoder(3), **SMALL["mae"]), patches, out=out, **TOLD)


def test_findings_are_kept_with_the_run(make, encoder, tmp_path):
    """A collapse found before a stop is told after it, once, and by every later call."""
    patches, out = make(), tmp_path / "run"
    settings = replace(FAST, steps=40, watch="warn", checkpoint_every=100)
    told_so = {"progress": False, "seed": 0}

    def constant():
        method = MoCo(encoder(), **SMALL["moco"])
        method.encoder.norm.weight.requires_grad_(False).zero_()
        method.encoder.norm.bias.requires_grad_(False).fill_(1.0)
        return method

    whole = pretrain(constant(), patches, out=tmp_path / "whole", settings=settings, **told_so)
    assert "constant embeddings" in [finding.kind for finding in whole.findings]
    for stop in (20, 35, None):  # amid the fifteen steps in a row, and after them
        parts = replace(settings, stop_after=stop)
        result = pretrain(constant(), patches, out=out, settings=parts, **told_so)
    assert result.findings == whole.findings
    assert pretrain(constant(), patches, out=out, settings=settings, **told_so) == result


@pytest.mark.parametrize(("name", "source"), [(m, n) for m in METHODS for n in recipe_names(m)])
def test_a_recipe_builds_the_method_as_it_has_it(name, source):
    chosen = recipe(name, source)
    network = ViTEncoder(6, 16, 4, ViTSize(16, 2, 2), adapter=False)
    method = chosen.build(network)
    assert type(method) is METHODS[name]
    assert chosen.differences(method) == []
    options = method.options()
    for option, parameter in inspect.signature(METHODS[name]).parameters.items():
        if option != "encoder":
            wanted = chosen.options.get(option, parameter.default)
            assert options[option] == plain_value(wanted)


def test_a_recipe_around_an_encoder_trains_what_the_card_says(make, encoder, tmp_path):
    patches = make()
    chosen = recipe("mae", "spectral_earth").with_options(decoder_width=32, decoder_heads=2)
    chosen = chosen.with_options(mask_ratio=0.5)
    result = pretrain(
        encoder(), patches, out=tmp_path / "run", recipe=chosen, settings=FAST, views=VIEWS[:1],
        progress=False,
    )  # fmt: skip
    assert (result.method.mask_ratio, len(result.method.decoder.blocks)) == (0.5, 1)
    card = read_card(result.checkpoint)
    assert card.recipe["options"] == result.method.options()
    named = card.recipe["recipe"]
    assert (named["method"], named["name"]) == ("mae", "spectral_earth")
    assert named["options"] == result.method.options()
    assert named["changed options"] == {
        "decoder_width": 32, "decoder_heads": 2, "mask_ratio": 0.5,
    }  # fmt: skip
    assert (named["lr"], named["batch_size"]) == (1e-3, 6)  # what was trained
    assert named["changed settings, as the recipe has them"]["lr"] == 1e-4
    assert not named["views are the recipe's"]


def test_a_method_that_is_not_the_recipes_is_refused_before_training(make, encoder, tmp_path):
    patches, told_so = make(), {"out": tmp_path / "run", "settings": FAST, "progress": False}
    chosen = recipe("mae", "spectral_earth")
    with pytest.raises(TrainingError, match=r"must be the one .*mask_ratio 0.75, not 0.9; dec"):
        pretrain(MAE(encoder()), patches, recipe=chosen, **told_so)
    with pytest.raises(TrainingError, match="method MoCo, not MAE"):
        pretrain(MoCo(encoder(), **SMALL["moco"]), patches, recipe=chosen, **told_so)
    with pytest.raises(TrainingError, match="needs a pretext method around an encoder, got ViT"):
        pretrain(encoder(), patches, **told_so)
    assert not (tmp_path / "run").exists()
    with pytest.raises(MethodError, match="'mae' has no option 'mask_ration'"):
        chosen.with_options(mask_ration=0.5)


def test_a_precision_the_device_lacks_is_refused_and_the_card_says_what_ran(
    make, encoder, tmp_path
):
    patches, method = make(), MAE(encoder(), **SMALL["mae"])
    asked = replace(FAST, precision="16-mixed")
    with pytest.raises(TrainingError, match=r"'16-mixed' is not to be had on this device \(cpu\)"):
        pretrain(method, patches, out=tmp_path / "a", settings=asked, progress=False)
    result = pretrain(method, patches, out=tmp_path / "b", **TOLD)
    recipe_told = read_card(result.checkpoint).recipe
    assert recipe_told["settings"]["precision"] == "32-true"  # was "auto"
    assert recipe_told["ran"] == {
        "device": "cpu", "processes": 1, "precision": "32-true", "sync_batchnorm": False,
    }  # fmt: skip
    half = replace(FAST, precision="bf16-mixed")
    with pytest.raises(CheckpointError, match="precision 32-true, now bf16-mixed"):
        pretrain(method, patches, out=tmp_path / "b", settings=half, progress=False)


def test_a_checkpoint_is_claimed_only_if_one_was_written(make, encoder, tmp_path):
    patches = make(spoilt=(5,))
    good = [name.decode() for name in patches.index.location if name != b"L0005"]
    told_so = {"statistics": patches.only(good).statistics(), "seed": 2, "progress": False}
    for every, wanted in ((1, "The last checkpoint is kept: step 1, in"), (9, "No checkpoint was")):
        settings = replace(FAST, steps=9, checkpoint_every=every, watch=None)
        method, out = MoCo(encoder(), **SMALL["moco"]), tmp_path / str(every)
        with pytest.raises(TrainingError, match=f"(?s)at step 1;.*{wanted}"):
            pretrain(method, patches, out=out, settings=settings, **told_so)
        assert (out / "state.pt").exists() == (every == 1)
