"""Training encoders: a loop that goes on exactly, checkpoints with a card, diagnostics, probes."""

from workbench.training.boundary_loss import BoundaryWeightedLoss
from workbench.training.checkpoint import Card, load_checkpoint, read_card, save_checkpoint
from workbench.training.distillation import Distillation
from workbench.training.encoders import EncoderSpec, build_encoder, describe_encoder
from workbench.training.finetune import FinetuneResult, finetune
from workbench.training.finetune_settings import FinetuneSettings
from workbench.training.pretrain import PretrainResult, pretrain
from workbench.training.probes import (
    ProbeScores,
    ProbeTask,
    knn_score,
    linear_score,
    probe_baselines,
)
from workbench.training.sentinel import CollapseSentinel, Finding
from workbench.training.settings import PretrainSettings, recipe_views

__all__ = [
    "BoundaryWeightedLoss",
    "Card",
    "CollapseSentinel",
    "Distillation",
    "EncoderSpec",
    "Finding",
    "FinetuneResult",
    "FinetuneSettings",
    "PretrainResult",
    "PretrainSettings",
    "ProbeScores",
    "ProbeTask",
    "build_encoder",
    "describe_encoder",
    "finetune",
    "knn_score",
    "linear_score",
    "load_checkpoint",
    "pretrain",
    "probe_baselines",
    "read_card",
    "recipe_views",
    "save_checkpoint",
]
