"""Pretext methods, one per file: plain modules that take views and give a loss with diagnostics."""

from workbench.methods.barlow_twins import BarlowTwins
from workbench.methods.beit import BEiT
from workbench.methods.byol import BYOL
from workbench.methods.data2vec import Data2Vec
from workbench.methods.dino import DINO
from workbench.methods.mae import MAE
from workbench.methods.maskfeat import MaskFeat
from workbench.methods.moco import MoCo
from workbench.methods.pretext import PretextMethod, PretextOutput
from workbench.methods.recipes import Recipe, recipe
from workbench.methods.registry import METHODS
from workbench.methods.simclr import SimCLR
from workbench.methods.simsiam import SimSiam
from workbench.methods.swav import SwAV
from workbench.methods.vicreg import VICReg

__all__ = [
    "BYOL",
    "DINO",
    "MAE",
    "METHODS",
    "BEiT",
    "BarlowTwins",
    "Data2Vec",
    "MaskFeat",
    "MoCo",
    "PretextMethod",
    "PretextOutput",
    "Recipe",
    "SimCLR",
    "SimSiam",
    "SwAV",
    "VICReg",
    "recipe",
]
