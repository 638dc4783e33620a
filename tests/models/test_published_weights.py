"""Files with the exact names and shapes of the published ones, and files that must be refused."""

import argparse
import collections
import datetime
import os
import pathlib
import pickle

import numpy as np
import pytest
import torch
from lightly.models.modules import MaskedVisionTransformerTIMM
from safetensors.torch import save_file
from torch import nn

from workbench.errors import ModelError
from workbench.models import (
    ViTEncoder,
    ViTSize,
    WavelengthViT,
    load_published_weights,
    resnet,
    spectral_resnet50,
)

TINY = ViTSize(32, 2, 2)


def tiny(seed, *, bands=75, adapter=True, image_size=16, size=TINY, token_size=4):
    torch.manual_seed(seed)
    encoder = ViTEncoder(bands, image_size, token_size, size, adapter=adapter)
    for value in encoder.buffers():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5)
    return encoder


def spectral_earth_names(encoder):
    """The state of SpectralEarth's backbone: `spectral_adapter` beside `vit_core` or `resnet`."""
    core = "vit_core." if isinstance(encoder, ViTEncoder) else "resnet."
    return {
        name.replace("adapter.", "spectral_adapter.", 1)
        if name.startswith("adapter.")
        else core + name: value
        for name, value in encoder.state_dict().items()
    }


def under(prefix, state):
    return {prefix + name: value for name, value in state.items()}


def saved(tmp_path, content, name="weights.pth"):
    torch.save(content, tmp_path / name)
    return tmp_path / name


def require_same(encoder, source):
    theirs = source.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in encoder.state_dict().items())


def spectral_earth_mae(encoder):
    """The state of the training module, built as it was: wrappers that share their parts."""

    class PatchEmbed(nn.Module):
        def __init__(self, adapter, embed):
            super().__init__()
            self.spectral_adapter, self.original_patch_embed = adapter, embed
            self.proj = embed.proj

    class Core(nn.Module):
        def __init__(self):
            super().__init__()
            self.patch_embed = PatchEmbed(encoder.adapter, encoder.patch_embed)
            self.cls_token, self.pos_embed = encoder.cls_token, encoder.pos_embed
            self.blocks, self.norm = encoder.blocks, encoder.norm

    class Spec(nn.Module):
        def __init__(self):
            super().__init__()
            self.spectral_adapter, self.vit_core = encoder.adapter, Core()

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.spec_vit = Spec()
            self.vit_core = self.spec_vit.vit_core
            self.patch_embed, self.blocks = self.vit_core.patch_embed, self.vit_core.blocks
            self.norm, self.cls_token = self.vit_core.norm, self.vit_core.cls_token
            self.pos_embed = self.vit_core.pos_embed

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.vit = Wrapped()
            self.mask_token = nn.Parameter(torch.zeros(1, 1, encoder.width))

    module = nn.Module()
    module.encoder = Masked()
    module.decoder = nn.Linear(encoder.width, 8)
    return module.state_dict()


def test_lightly_still_keeps_the_network_at_vit():
    """The name on which the layout of SpectralEarth's MAE files rests."""
    from timm.models.vision_transformer import VisionTransformer

    core = VisionTransformer(8, 4, 3, 0, embed_dim=16, depth=1, num_heads=1)
    names = MaskedVisionTransformerTIMM(core).state_dict()
    assert {"vit.blocks.0.norm1.weight", "mask_token"} <= set(names)


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_spectral_earth_files_load_in_every_layout(tmp_path, kind):
    def make(seed):
        torch.manual_seed(seed)
        return tiny(seed) if kind == "vit" else spectral_resnet50(75)

    source, other = make(1), make(2)
    ours, theirs = spectral_earth_names(source), spectral_earth_names(other)
    head = {"projection_head.layers.0.weight": torch.zeros(4, 4)}
    moco = {"state_dict": under("backbone.", ours) | under("backbone_momentum.", theirs) | head}
    dino = {
        "state_dict": under("teacher_backbone.", ours) | under("student_backbone.", theirs) | head,
        "epoch": 99,
    }
    files = {"bare": ours, "moco": moco, "dino": dino}
    if kind == "resnet":
        del files["dino"]
    else:
        files["mae"] = {"state_dict": spectral_earth_mae(source)}
    for name, content in files.items():
        encoder = make(3)
        report = load_published_weights(encoder, saved(tmp_path, content, f"{name}.pth"))
        require_same(encoder, source)
        assert set(report.loaded) == set(encoder.state_dict()), name
        assert (report.missing, report.reshaped, report.adapted) == ((), (), ())
        assert bool(report.elsewhere) == (name != "bare")


def original(encoder, layout):
    """The original repositories' checkpoints, and torchgeo's."""
    state = encoder.state_dict()
    other = {name: torch.zeros_like(value) for name, value in state.items()}
    bag = {"epoch": 100, "arch": "x", "optimizer": {"state": {}}, "args": argparse.Namespace(lr=1)}
    decoder = {"mask_token": torch.zeros(1, 1, 8), "decoder_embed.weight": torch.zeros(8, 8)}
    return {
        "moco-v2": bag | {
            "state_dict": under("module.encoder_q.", state | {"fc.0.weight": torch.zeros(4, 4)})
            | under("module.encoder_k.", other) | {"module.queue": torch.zeros(4, 8)},
        },
        "moco-v3": bag | {
            "state_dict": under("module.base_encoder.", state | {"head.0.weight": torch.ones(2, 2)})
            | under("module.momentum_encoder.", other),
        },
        "dino": bag | {
            "student": under("module.backbone.", other) | {"module.head.mlp.0.bias": torch.ones(2)},
            "teacher": under("backbone.", state) | {"head.mlp.0.bias": torch.ones(2)},
        },
        "dino-parallel": bag | {"teacher": under("module.backbone.", state)},
        "mae": bag | {"model": state | decoder},
        "torchgeo": state,
    }[layout]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "layout"),
    [
        ("resnet", "moco-v2"),
        ("resnet", "dino-parallel"),
        *(("vit", layout) for layout in ("moco-v3", "dino", "mae", "torchgeo")),
    ],
)
def test_ssl4eo_files_load_with_13_bands_and_with_12(tmp_path, kind, layout):
    def make(seed, bands):
        torch.manual_seed(seed)
        return resnet(18, bands) if kind == "resnet" else tiny(seed, bands=bands, adapter=False)

    source = make(1, 13)
    path = saved(tmp_path, original(source, layout))
    encoder = make(2, 13)
    report = load_published_weights(encoder, path)
    require_same(encoder, source)
    assert len(report.loaded) == len(source.state_dict())

    encoder = make(2, 12).eval()
    report = load_published_weights(encoder, path)
    first = "conv1.weight" if kind == "resnet" else "patch_embed.proj.weight"
    assert report.adapted == (first,)
    assert not report.missing
    source.eval()
    images = torch.randn(1, 12, 16, 16)
    with_b10 = torch.cat([images[:, :10], torch.zeros(1, 1, 16, 16), images[:, 10:]], dim=1)
    with torch.no_grad():  # exactly the network that sees zeros where B10 was
        torch.testing.assert_close(encoder(images), source(with_b10), rtol=1e-4, atol=1e-5)


def test_the_real_shapes_of_a_vit_s_at_224_fit(tmp_path):
    """The names and shapes of SSL4EO-S12's ViT-S/16, written out from the file's listing."""
    from workbench.models import vit

    shapes = {
        "cls_token": (1, 1, 384), "pos_embed": (1, 197, 384),
        "patch_embed.proj.weight": (384, 13, 16, 16), "patch_embed.proj.bias": (384,),
        "norm.weight": (384,), "norm.bias": (384,),
    }  # fmt: skip
    for i in range(12):
        shapes |= under(f"blocks.{i}.", {
            "norm1.weight": (384,), "norm1.bias": (384,), "norm2.weight": (384,),
            "norm2.bias": (384,), "attn.qkv.weight": (1152, 384), "attn.qkv.bias": (1152,),
            "attn.proj.weight": (384, 384), "attn.proj.bias": (384,),
            "mlp.fc1.weight": (1536, 384), "mlp.fc1.bias": (1536,),
            "mlp.fc2.weight": (384, 1536), "mlp.fc2.bias": (384,),
        })  # fmt: skip
    path = saved(tmp_path, {"model": {name: torch.zeros(shape) for name, shape in shapes.items()}})
    report = load_published_weights(vit("S", 12), path)
    assert (len(report.loaded), report.missing) == (150, ())


def test_positions_are_interpolated_to_another_grid(tmp_path):
    source = tiny(1, image_size=16)
    source.pos_embed.data[:, 1:] = torch.arange(16.0)[:, None]
    encoder = tiny(2, image_size=32)
    report = load_published_weights(encoder, saved(tmp_path, source.state_dict()))
    assert report.reshaped == ("pos_embed",)
    assert encoder.pos_embed.shape == (1, 65, 32)
    torch.testing.assert_close(encoder.pos_embed[:, 0], source.pos_embed[:, 0])
    grid = encoder.pos_embed[0, 1:, 0].view(8, 8)
    assert (grid.diff(dim=0) > 0).all()
    assert (grid.diff(dim=1) > 0).all()


def test_the_detail_stem_reports_its_new_shortcut(tmp_path, caplog):
    source, encoder = resnet(18, 13), resnet(18, 13, stem="detail")
    report = load_published_weights(encoder, saved(tmp_path, source.state_dict()))
    assert {name.rpartition(".")[0] for name in report.missing} == {
        "layer1.0.downsample.0",
        "layer1.0.downsample.1",
    }
    assert "keep their values" in caplog.text
    assert "5 missing: layer1.0.downsample.0.weight" in str(report)


def test_bands_are_chosen_by_name(tmp_path):
    source, encoder = resnet(18, 3), resnet(18, 2)
    path = saved(tmp_path, source.state_dict())
    with pytest.raises(ModelError, match="trained on 3 bands and the encoder has 2"):
        load_published_weights(encoder, path)
    load_published_weights(encoder, path, file_bands=["R", "G", "B"], data_bands=["B", "R"])
    torch.testing.assert_close(encoder.conv1.weight, source.conv1.weight[:, [2, 0]])
    with pytest.raises(ModelError, match="not trained on NIR"):
        load_published_weights(encoder, path, file_bands=["R", "G", "B"], data_bands=["B", "NIR"])
    with pytest.raises(ModelError, match="there are 1 names for the file's 3 bands"):
        load_published_weights(encoder, path, file_bands=["R"], data_bands=["B", "R"])


def test_safetensors_load_too(tmp_path):
    source, encoder = tiny(1), tiny(2)
    save_file(source.state_dict(), tmp_path / "encoder.safetensors")
    report = load_published_weights(encoder, tmp_path / "encoder.safetensors")
    assert set(report.loaded) == set(source.state_dict())
    require_same(encoder, source)


class Bomb:
    """A pickle that makes a file when it is read carelessly."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("form", ["torch", "legacy", "pickle2", "pickle5"])
def test_a_pickle_with_code_is_refused_unexecuted(tmp_path, form):
    encoder, trap = tiny(1), tmp_path / "trap"
    content = {"state_dict": encoder.state_dict(), "args": Bomb(trap)}
    path = tmp_path / "weights.pth"
    if form.startswith("pickle"):
        path.write_bytes(pickle.dumps({"args": Bomb(trap)}, protocol=int(form[-1])))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "torch")
    with pytest.raises(ModelError, match="must hold nothing but tensors and plain values"):
        load_published_weights(tiny(2), path)
    assert not trap.exists()


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path, ending, share):
    encoder = tiny(1)
    path = tmp_path / f"weights.{ending}"
    if ending == "pth":
        torch.save(encoder.state_dict(), path)
    else:
        save_file(encoder.state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelError, match="must be a whole file of weights, but cannot be read"):
        load_published_weights(encoder, path)


def test_another_architecture_is_refused_and_the_encoder_left_alone(tmp_path):
    encoder = tiny(1)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    wide = saved(tmp_path, tiny(2, size=ViTSize(64, 2, 2)).state_dict(), "wide.pth")
    with pytest.raises(ModelError, match="must be of this architecture"):
        load_published_weights(encoder, wide)
    coarse = saved(tmp_path, tiny(2, token_size=8).state_dict(), "coarse.pth")
    with pytest.raises(ModelError, match=r"'patch_embed\.proj\.weight' has the shape"):
        load_published_weights(encoder, coarse)
    other = saved(tmp_path, {"state_dict": resnet(18, 12).state_dict()}, "resnet.pth")
    with pytest.raises(ModelError, match="has 0 of its"):
        load_published_weights(encoder, other)
    numbers = saved(tmp_path, [1, 2], "list.pth")
    with pytest.raises(ModelError, match="must hold a table of named tensors, but holds a list"):
        load_published_weights(encoder, numbers)
    with pytest.raises(ModelError, match="no file of weights"):
        load_published_weights(encoder, tmp_path / "none.pth")
    broken = tiny(2)
    broken.norm.bias.data[0] = torch.nan
    with pytest.raises(ModelError, match=r"'norm\.bias' has NaN"):
        load_published_weights(encoder, saved(tmp_path, broken.state_dict(), "nan.pth"))
    assert all(torch.equal(v, before[name]) for name, v in encoder.state_dict().items())


def test_a_generated_embedding_keeps_its_own(tmp_path):
    """A file of a fixed sensor fits a transformer for any sensor but for its embedding."""
    encoder = WavelengthViT([500.0], [10.0], 16, 4, TINY)
    report = load_published_weights(
        encoder, saved(tmp_path, tiny(1, bands=13, adapter=False).state_dict())
    )
    assert all(name.startswith("patch_embed.") for name in report.missing)
    assert set(report.unexpected) == {"patch_embed.proj.weight", "patch_embed.proj.bias"}


HARMLESS = {
    "command line": argparse.Namespace(lr=np.float32(0.1), out=pathlib.Path("/runs")),
    "float64": np.float64(1), "float16": np.float16(1), "int64": np.int64(1), "bool": np.bool_(1),
    "complex": np.complex64(1j), "text": np.str_("a"), "day": np.datetime64("2020-01-01"),
    "array": np.zeros((2, 3), np.float32), "texts": np.array(["a", "bb"]), "dtype": np.dtype("u2"),
    "counts": collections.Counter("aab"), "lists": collections.defaultdict(list, {"a": [1]}),
    "time": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), "set": {1, 2}, "slice": slice(1, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_values_beside_the_weights_do_not_hinder(tmp_path, name):
    source, encoder = tiny(1), tiny(2)
    path = saved(tmp_path, {"state_dict": source.state_dict(), "beside": HARMLESS[name]})
    assert load_published_weights(encoder, path).missing == ()
    require_same(encoder, source)


@pytest.mark.parametrize("container", [(), ("model",), ("net", "weights"), ("ema", "state_dict")])
@pytest.mark.parametrize(
    "prefix",
    ["model.backbone.", "_orig_mod.", "module.", "module._orig_mod.", "net.trunk.",
     "model._orig_mod.encoder_q.", "_fsdp_wrapped_module.encoder.", "lightning.model.encoder."],
)  # fmt: skip
def test_any_prefix_and_any_table_are_found(tmp_path, prefix, container):
    source, encoder = tiny(1), tiny(2)
    content = under(prefix, source.state_dict()) | {"head.weight": torch.zeros(2, 2)}
    for name in reversed(container):
        content = {name: content, "epoch": 3}
    report = load_published_weights(encoder, saved(tmp_path, content))
    assert report.missing == ()
    require_same(encoder, source)


def test_names_within_the_encoder_that_a_compiler_wrapped_are_found(tmp_path):
    source, encoder = tiny(1), tiny(2)
    state = {n.replace("blocks.", "blocks._orig_mod."): v for n, v in source.state_dict().items()}
    load_published_weights(encoder, saved(tmp_path, state))
    require_same(encoder, source)


def test_the_network_that_is_used_afterwards_comes_first_behind_any_wrapper(tmp_path):
    query, key, encoder = tiny(1), tiny(2), tiny(3)
    content = under("model.encoder_k.", key.state_dict())
    content |= under("model.encoder_q.", query.state_dict())
    load_published_weights(encoder, saved(tmp_path, content))
    require_same(encoder, query)


def test_a_protocol_that_cannot_be_read_safely_is_named(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(tiny(1).state_dict(), path, pickle_protocol=4)
    with pytest.raises(ModelError, match="its pickle is of another protocol"):
        load_published_weights(tiny(2), path)
