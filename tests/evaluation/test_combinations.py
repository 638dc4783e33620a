"""Task × decoder × protocol: what makes sense learns, what does not is refused with a sentence."""

import copy
import logging
from dataclasses import replace

import pytest
import torch
from timm.models.resnet import BasicBlock, ResNet

from workbench.catalog import open_catalog
from workbench.datasets.fractions import stratified_order
from workbench.errors import EvaluationError, ModelError, TrainingError, WorkbenchError
from workbench.evaluation.benchmark import Bench, build_model, predict, protocol_of
from workbench.evaluation.campaign_tasks import TASKS, campaign_data, campaign_task
from workbench.evaluation.study import StudyCell
from workbench.models import ResNetEncoder
from workbench.models.segmentation import DECODERS
from workbench.sensors import sensor
from workbench.training.encoders import build_encoder
from workbench.training.finetune import finetune
from workbench.training.finetune_settings import FinetuneSettings
from workbench.training.protocols import PROTOCOLS, apply_protocol, set_training
from workbench.training.validation import task_loss

pytestmark = pytest.mark.slow

BANDS = sensor("enmap").contract().band_names[:80]  # as few as a spectral adapter takes
# batch statistics follow weights slowly: what has many of them takes more and smaller steps
OF_CONVNET = FinetuneSettings(steps=32, batch_size=8, lr=2e-3, eval_every=8, flips=False)
SETTINGS = FinetuneSettings(steps=20, batch_size=4, lr=8e-3, eval_every=10, flips=False)


class InMemory:
    """Examples that are read once."""

    def __init__(self, examples):
        self.items = [examples[i] for i in range(len(examples))]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return dict(zip(("image", "target"), self.items[i], strict=True))


def few(examples, size):
    """Some examples in which all classes occur, kept in memory."""
    chosen = stratified_order(examples.occurrence(), draw=0, seed=0)[:size]
    found = examples.subset(chosen)
    return replace(found, source=InMemory(found), numbers=None)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    logging.getLogger("workbench").setLevel(logging.ERROR)
    folder = tmp_path_factory.mktemp("combinations")
    data = campaign_data(open_catalog()["enmap_simulated"], folder, scale="test")
    whole = {name: campaign_task(name, data, bands=BANDS) for name in TASKS}
    return {
        name: replace(t, train=few(t.train, 8), val=few(t.val, 4), test=few(t.test, 4))
        for name, t in whole.items()
    }


def make_encoder(cell, task):
    """A transformer with an adapter, one without, or a thin ResNet."""
    torch.manual_seed(cell.seed)
    if cell.encoder == "convnet":
        trunk = ResNet(BasicBlock, [1, 1, 1, 1], in_chans=task.bands, num_classes=0,
                       channels=(16, 16, 32, 64))  # fmt: skip
        return ResNetEncoder(task.bands, trunk, None, (2, 4, 8, 16, 32), (64, 16, 16, 32, 64))
    has_adapter = cell.encoder == "spectral"
    return build_encoder("ViTEncoder", bands=task.bands, image_size=8, token_size=2,
                         size=[24, 1, 2], adapter=has_adapter)  # fmt: skip


OF_PIXELS = [  # from random weights "scratch" is "full", as a test below says; so few are run
    *[
        ("spectral", d, p)
        for d in ("upconv", "fcn", "linear")
        for p in ("frozen", "adapter", "full")
    ],
    ("spectral", "upconv", "scratch"),
    ("spectral", "linear", "linear"),
    *[
        ("convnet", d, p)
        for d in ("unet", "deeplabv3+", "fcn", "linear")
        for p in ("frozen", "full")
    ],
    ("convnet", "linear", "scratch"),
    ("convnet", "linear", "linear"),
]
OF_IMAGES = [
    *[("spectral", "linear", p) for p in ("scratch", "frozen", "linear", "adapter", "full")],
    *[("convnet", "linear", p) for p in ("scratch", "frozen", "linear", "full")],
]
COMBINATIONS = [
    (task, *rest) for task in TASKS for rest in (OF_IMAGES if task == "corine" else OF_PIXELS)
]


def loss_of(model, task, settings=SETTINGS):
    """Loss on the training images, in eval mode."""
    _, targets = task.train.batch(range(len(task.train)))
    return float(task_loss(task.train, settings)(predict(model, task.train, task), targets))


def start_of(model, task, protocol):
    """Loss before training, or with the batch statistics of the data, which come by themselves."""
    moved = copy.deepcopy(model)
    apply_protocol(moved, protocol)
    set_training(moved, protocol)
    images = task.standardise(task.train.batch(range(len(task.train)))[0])
    with torch.no_grad():
        [moved(images) for _ in range(20)]
    return min(loss_of(model, task), loss_of(moved, task))


def losses(task, cell, settings=SETTINGS):
    """Loss on the training images before and after, and the run."""
    model, protocol = build_model(task, make_encoder(cell, task), cell), protocol_of(cell)
    before = start_of(model, task, protocol)
    run = finetune(
        model, task.train, task.val, protocol=protocol, standardise=task.standardise,
        settings=settings, seed=cell.seed,
    )  # fmt: skip
    return before, loss_of(run.model, task, settings), run


def cell_of(task, encoder, decoder, protocol, **options):
    init = "random" if protocol == "scratch" else "given"
    return StudyCell(
        task, encoder, init, protocol, decoder, 0, options={**SETTINGS.to_dict(), **options}
    )


@pytest.mark.parametrize(("task", "encoder", "decoder", "protocol"), COMBINATIONS)
def test_what_makes_sense_improves_over_its_start(tasks, task, encoder, decoder, protocol):
    settings = OF_CONVNET if encoder == "convnet" else SETTINGS
    before, after, run = losses(tasks[task], cell_of(task, encoder, decoder, protocol), settings)
    assert after < 0.97 * before
    assert run.best_step > 0
    is_frozen = protocol in ("frozen", "linear")
    assert (run.encoder_parameters_trained == 0) == is_frozen


@pytest.mark.parametrize("decoder", ["upconv", "linear"])
def test_scratch_does_what_full_does_from_random_weights(tasks, decoder):
    found = [
        losses(tasks["nlcd"], cell_of("nlcd", "spectral", decoder, protocol))[:2]
        for protocol in ("scratch", "full")
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("task", ["corine", "nlcd", "tree_density", "disturbance"])
def test_low_rank_updates_improve_too(tasks, task):
    decoder = "linear" if task == "corine" else "upconv"
    cell = cell_of(task, "spectral", decoder, "full", lora_rank=2)
    before, after, run = losses(tasks[task], cell)
    assert after < 0.97 * before
    assert 0 < run.encoder_parameters_trained < 2000


def test_neighbours_know_more_than_nothing(tasks):
    found = Bench(tasks, make_encoder)(cell_of("corine", "spectral", "linear", "knn"))
    assert found.cost.parameters_trained == 0
    scores = found.record.scores()
    always = tasks["corine"].test.batch(range(4))[1].mean()  # micro F1 of "everything is there"
    assert scores["micro_f1"].value > 2 * always / (1 + always)


def test_a_run_that_learns_nothing_would_be_seen(tasks):
    idle = replace(SETTINGS, lr=1e-9)
    before, after, _ = losses(tasks["nlcd"], cell_of("nlcd", "spectral", "linear", "full"), idle)
    assert not after < 0.97 * before
    assert after == pytest.approx(before, rel=0.05)


REFUSED = [
    ("corine", "convnet", "unet", "full", "labels whole images, so its decoder is 'linear'"),
    ("corine", "plain", "linear", "adapter", "this encoder has none"),
    ("corine", "convnet", "linear", "adapter", "this encoder has none"),
    (
        "cdl",
        "plain",
        "unet",
        "full",
        "A UNet joins maps of several sizes, but ViTEncoder gives one",
    ),
    ("nlcd", "spectral", "deeplabv3+", "frozen", "A DeepLabV3\\+ joins maps of several sizes"),
    ("tree_mask", "convnet", "upconv", "full", "An UpConv enlarges the one map of a transformer"),
    ("cdl", "spectral", "upconv", "knn", "neighbours vote on whole images, but cdl labels pixels"),
    ("tree_density", "spectral", "upconv", "linear", "has a linear head, but the decoder is"),
    ("disturbance", "plain", "unet", "full", "A UNet joins maps of several sizes"),
    ("disturbance", "convnet", "upconv", "full", "An UpConv enlarges the one map"),
    ("forest_type", "spectral", "mask2former", "full", "No decoder 'mask2former'"),
    ("forest_type", "spectral", "upconv", "prompt", "There is no protocol 'prompt'"),
]


@pytest.mark.parametrize(("task", "encoder", "decoder", "protocol", "sentence"), REFUSED)
def test_what_makes_no_sense_is_refused(tasks, task, encoder, decoder, protocol, sentence):
    bench = Bench(tasks, make_encoder)
    with pytest.raises(WorkbenchError, match=sentence) as told:
        bench(cell_of(task, encoder, decoder, protocol))
    assert isinstance(told.value, EvaluationError | ModelError | TrainingError)
    assert 1 <= len(str(told.value).splitlines()) <= 3


def test_pretrained_weights_are_not_scratch(tasks):
    cell = StudyCell("cdl", "spectral", "moco", "scratch", "upconv", 0)
    with pytest.raises(EvaluationError, match="starts from random weights, but init is 'moco'"):
        Bench(tasks, make_encoder)(cell)


@pytest.mark.parametrize(
    ("task", "loss", "sentence"),
    [
        ("corine", "boundary", "is for classes and change, but the task is 'presence'"),
        ("tree_density", "cross_entropy", "is for classes and change, but the task is 'density'"),
        ("cdl", "mse", "is for density, but the task is 'classes'"),
    ],
)
def test_a_loss_of_another_task_is_refused(tasks, task, loss, sentence):
    decoder = "linear" if task == "corine" else "upconv"
    cell = cell_of(task, "spectral", decoder, "full", loss=loss)
    with pytest.raises(TrainingError, match=sentence):
        Bench(tasks, make_encoder)(cell)


def test_every_decoder_and_protocol_is_among_the_combinations():
    assert {d for _, _, d, _ in COMBINATIONS} == set(DECODERS)
    assert {p for _, _, _, p in COMBINATIONS} | {"knn"} == set(PROTOCOLS)
