"""Pretext methods, one per file: plain modules that take views and give a loss with diagnostics."""

from workbench.methods.dino import DINO
from workbench.methods.mae import MAE
from workbench.methods.moco import MoCo
from workbench.methods.pretext import PretextMethod, PretextOutput

__all__ = ["DINO", "MAE", "MoCo", "PretextMethod", "PretextOutput"]
