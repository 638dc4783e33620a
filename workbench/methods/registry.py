"""Every pretext method by the name that recipes, notebooks and the shell use."""

from workbench.methods.barlow_twins import BarlowTwins
from workbench.methods.beit import BEiT
from workbench.methods.byol import BYOL
from workbench.methods.data2vec import Data2Vec
from workbench.methods.dino import DINO
from workbench.methods.mae import MAE
from workbench.methods.maskfeat import MaskFeat
from workbench.methods.moco import MoCo
from workbench.methods.pretext import PretextMethod
from workbench.methods.simclr import SimCLR
from workbench.methods.simsiam import SimSiam
from workbench.methods.swav import SwAV
from workbench.methods.vicreg import VICReg

METHODS: dict[str, type[PretextMethod]] = {
    "moco": MoCo,
    "dino": DINO,
    "mae": MAE,
    "simclr": SimCLR,
    "swav": SwAV,
    "byol": BYOL,
    "simsiam": SimSiam,
    "barlow_twins": BarlowTwins,
    "vicreg": VICReg,
    "maskfeat": MaskFeat,
    "beit": BEiT,
    "data2vec": Data2Vec,
}
"""Name → class."""
