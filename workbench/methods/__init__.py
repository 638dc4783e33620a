"""Pretext methods, one per file: plain modules that take views and give a loss with diagnostics."""

from workbench.methods.dino import DINO
from workbench.methods.mae import MAE
from workbench.methods.moco import MoCo
from workbench.methods.pretext import PretextMethod, PretextOutput
from workbench.methods.recipes import Recipe, recipe

METHODS: dict[str, type[PretextMethod]] = {"moco": MoCo, "dino": DINO, "mae": MAE}
"""Every method by the name that recipes, notebooks and the shell use."""

__all__ = ["DINO", "MAE", "METHODS", "MoCo", "PretextMethod", "PretextOutput", "Recipe", "recipe"]
