"""The numbers of the recipes, one table for each; `recipes` gives them names and types.

SpectralEarth's are those of its published configurations; the papers' own are of their runs on
ImageNet. `reference` names the paper and the file of the authors' code in which the numbers stand.
Where it says "not looked up", no file was at hand: check a number there before you rely on it.
"""

from typing import Any

# Views of the papers. Factors on brightness and contrast are drawn within what `colour` allows.
_PLAIN_VIEW = {"crop": (0.2, 1.0), "vertical_flip": 0.0}
_COLOURS = {"colour": 0.8, "brightness": 0.4, "contrast": 0.4, "gray": 0.2}
_MOCO_VIEW = {**_PLAIN_VIEW, **_COLOURS, "blur": 0.5}
_SIMCLR_VIEW = {**_MOCO_VIEW, "crop": (0.08, 1.0), "brightness": 0.8, "contrast": 0.8}
_BYOL_VIEW = {**_MOCO_VIEW, "crop": (0.08, 1.0)}
_BYOL_CROPS = {"views": 2, "blur": (1.0, 0.1), "solarise": (0.0, 0.2)}
_DINO_VIEW = {**_MOCO_VIEW, "crop": (0.4, 1.0)}
_DINO_CROPS = {
    "views": 2,
    "local_views": 8,
    "local_size": 96,
    "local_crop": (0.05, 0.4),
    "blur": (1.0, 0.1, 0.5),
    "solarise": (0.0, 0.2, 0.0),
}
_LARS = {"optimiser": "lars", "lr_rule": "linear", "warmup_epochs": 10}
_DINO_RESNET50 = {
    "encoders": "ResNet-50",
    "options": {},
    "view": {**_DINO_VIEW, "crop": (0.14, 1.0)},
    "crops": {**_DINO_CROPS, "local_crop": (0.05, 0.14)},
    "optimiser": "sgd",
    "lr": 0.03,
    "lr_rule": "linear",
    "weight_decay": 1e-4,
    "epochs": 100,
    "batch_size": 1024,
    "warmup_epochs": 10,
    "reference": "https://github.com/facebookresearch/dino, README.md (ResNet-50)",
}

ORIGINALS: dict[tuple[str, str], dict[str, Any]] = {
    ("moco", "original"): {
        "encoders": "ResNet-50",
        "options": {},
        "view": _MOCO_VIEW,
        "crops": {"views": 2},
        "optimiser": "sgd",
        "lr": 0.03,
        "weight_decay": 1e-4,
        "epochs": 200,
        "batch_size": 256,
        "reference": "https://arxiv.org/abs/2003.04297; "
        "https://github.com/facebookresearch/moco, README.md and main_moco.py",
    },
    ("dino", "original"): {
        "encoders": "ViT-S",
        "options": {},
        "view": _DINO_VIEW,
        "crops": _DINO_CROPS,
        "optimiser": "adamw",
        "lr": 5e-4,
        "lr_rule": "linear",
        "weight_decay": 0.04,
        "weight_decay_end": 0.4,
        "epochs": 100,
        "batch_size": 1024,
        "warmup_epochs": 10,
        "lr_end": 5e-4,  # 1e-6 of the 2e-3 that 1,024 images give
        "clip_gradients": 3.0,
        "reference": "https://arxiv.org/abs/2104.14294; "
        "https://github.com/facebookresearch/dino, README.md and main_dino.py",
    },
    ("dino", "original_resnet50"): _DINO_RESNET50,
    ("mae", "original"): {
        "encoders": "ViT-L",
        "options": {},
        "view": _PLAIN_VIEW,
        "crops": {"views": 1},
        "optimiser": "adamw",
        "lr": 1.5e-4,
        "lr_rule": "linear",
        "weight_decay": 0.05,
        "betas": (0.9, 0.95),
        "epochs": 800,
        "batch_size": 4096,
        "warmup_epochs": 40,
        "reference": "https://arxiv.org/abs/2111.06377; "
        "https://github.com/facebookresearch/mae, PRETRAIN.md and main_pretrain.py",
    },
    ("simclr", "original"): {
        **_LARS,
        "encoders": "ResNet-50",
        "options": {},
        "view": _SIMCLR_VIEW,
        "crops": {"views": 2},
        "lr": 0.3,
        "weight_decay": 1e-6,
        "epochs": 100,
        "batch_size": 4096,
        "reference": "https://arxiv.org/abs/2002.05709; "
        "https://github.com/google-research/simclr, "
        "README.md (pretraining on ImageNet); views: the paper's appendix A, not looked up",
    },
    ("swav", "original"): {
        **_LARS,
        "encoders": "ResNet-50",
        "options": {},
        "view": {**_SIMCLR_VIEW, "crop": (0.14, 1.0)},
        "crops": {"views": 2, "local_views": 6, "local_size": 96, "local_crop": (0.05, 0.14)},
        "lr": 0.3,  # 4.8 for 4,096 images
        "weight_decay": 1e-6,
        "epochs": 800,
        "batch_size": 4096,
        "lr_end": 1e-3,
        "warmup_start": 0.0625,  # 0.3 of 4.8
        "reference": "https://arxiv.org/abs/2006.09882; "
        "https://github.com/facebookresearch/swav, "
        "scripts/swav_800ep_pretrain.sh; colours and blur: src/multicropdataset.py, not looked up",
    },
    ("byol", "original"): {
        **_LARS,
        "encoders": "ResNet-50",
        "options": {},
        "view": _BYOL_VIEW,
        "crops": _BYOL_CROPS,
        "lr": 0.2,
        "weight_decay": 1.5e-6,
        "epochs": 1000,
        "batch_size": 4096,
        "reference": "https://arxiv.org/abs/2006.07733, section 3.3 and appendix B; not looked up",
    },
    ("simsiam", "original"): {
        "encoders": "ResNet-50",
        "options": {},
        "view": _MOCO_VIEW,
        "crops": {"views": 2},
        "optimiser": "sgd",
        "lr": 0.05,
        "lr_rule": "linear",
        "weight_decay": 1e-4,
        "epochs": 100,
        "batch_size": 512,
        "reference": "https://arxiv.org/abs/2011.10566; "
        "https://github.com/facebookresearch/simsiam, main_simsiam.py",
    },
    ("barlow_twins", "original"): {
        **_LARS,
        "encoders": "ResNet-50",
        "options": {"off_diagonal": 0.0051},
        "view": _BYOL_VIEW,
        "crops": _BYOL_CROPS,
        "lr": 0.2,
        "weight_decay": 1e-6,
        "epochs": 1000,
        "batch_size": 2048,
        "lr_end": 1e-3,
        "reference": "https://arxiv.org/abs/2103.03230; "
        "https://github.com/facebookresearch/barlowtwins, main.py",
    },
    ("vicreg", "original"): {
        **_LARS,
        "encoders": "ResNet-50",
        "options": {},
        "view": _BYOL_VIEW,
        "crops": _BYOL_CROPS,
        "lr": 0.2,
        "weight_decay": 1e-6,
        "epochs": 1000,
        "batch_size": 2048,
        "lr_end": 1e-3,
        "reference": "https://arxiv.org/abs/2105.04906; "
        "https://github.com/facebookresearch/vicreg, "
        "README.md (1000 epochs) and main_vicreg.py; views: those of Barlow Twins, not looked up",
    },
    ("maskfeat", "original"): {
        "encoders": "ViT-B",
        "options": {},
        "view": {**_PLAIN_VIEW, "crop": (0.5, 1.0)},
        "crops": {"views": 1},
        "optimiser": "adamw",
        "lr": 2e-4,
        "weight_decay": 0.05,
        "epochs": 300,
        "batch_size": 256,
        "warmup_epochs": 30,
        "warmup_start": 0.005,  # 1e-6 of 2e-4, as at the end
        "lr_end": 0.005,
        "clip_gradients": 0.02,
        "reference": "https://arxiv.org/abs/2112.09133; "
        "https://github.com/facebookresearch/SlowFast, "
        "configs/masked_ssl/in1k_VIT_B_MaskFeat_PT.yaml",
    },
    ("beit", "original"): {
        "encoders": "ViT-B",
        "options": {},
        "view": {**_PLAIN_VIEW, "crop": (0.08, 1.0), "colour": 1.0},
        "crops": {"views": 1},
        "optimiser": "adamw",
        "lr": 1.875e-4,  # 1.5e-3 for 2,048 images
        "lr_rule": "linear",
        "weight_decay": 0.05,
        "epochs": 800,
        "batch_size": 2048,
        "warmup_epochs": 10,
        "clip_gradients": 3.0,
        "reference": "https://arxiv.org/abs/2106.08254; https://github.com/microsoft/unilm, "
        "beit/README.md (rate, batch, clipping); epochs, warm-up, decay and views: not looked up",
    },
    ("data2vec", "original"): {
        "encoders": "ViT-B",
        "options": {},
        "view": {**_PLAIN_VIEW, "colour": 1.0},
        "crops": {"views": 1},
        "optimiser": "adamw",
        "lr": 2.5e-4,  # 2e-3 for 2,048 images
        "lr_rule": "linear",
        "weight_decay": 0.05,
        "epochs": 800,
        "batch_size": 2048,
        "warmup_epochs": 10,
        "clip_gradients": 3.0,
        "reference": "https://arxiv.org/abs/2202.03555; "
        "https://github.com/facebookresearch/data2vec_vision, beit/README.md; views: not looked up",
    },
}

_SE_VIEW = {"size": 128, "crop": (0.08, 1.0), "blur": 0.5, "blur_sigma": (0.1, 2.0)}
_SE = {
    "batch_size": 256,
    "reference": "https://github.com/AABNassim/spectral_earth, configs/experiment/pretrain, "
    "configs/model and src/models",
}

SPECTRAL_EARTH: dict[str, dict[str, Any]] = {
    "moco": {
        **_SE,
        "encoders": "spectral ResNet-50, spectral ViT-S",
        "options": {
            "hidden_dim": 2048,
            "output_dim": 128,
            "head_norm": True,
            "temperature": 0.1,
            "queue_size": 32_768,
            "momentum": 0.999,
            "shuffle": False,
        },
        "view": _SE_VIEW,
        "crops": {"views": 2},
        "optimiser": "sgd",
        "lr": 0.001,
        "weight_decay": 1e-4,
        "epochs": 100,
        "schedule": "step",
        "milestones": (0.6, 0.8),
        "defects": (
            {
                "what": "The key encoder and its head start with weights of their own, never "
                "those of the query: the first keys are another network's.",
                "options": {"copy_at_start": False},
            },
        ),
    },
    "dino": {
        **_SE,
        "encoders": "spectral ResNet-50, spectral ViT-S",
        "options": {
            "hidden_dim": 2048,
            "bottleneck_dim": 256,
            "output_dim": 128,
            "student_temperature": 0.1,
            "teacher_temperature": 0.04,
            "center_momentum": 0.9,
            "freeze_last_layer": 0.01,
            "momentum": 0.996,
            "momentum_end": 1.0,
        },
        "view": {**_SE_VIEW, "crop": (0.05, 1.0)},
        "crops": {"views": 2},
        "optimiser": "adamw",
        "lr": 0.001,
        "weight_decay": 1e-5,
        "epochs": 100,
        "warmup_epochs": 20,
        "warmup_start": 0.05,
        "defects": (
            {
                "what": "The teacher's head starts with weights of its own.",
                "options": {"copy_head_at_start": False},
            },
            {
                "what": "The teacher's momentum reaches 1 after 10 of 100 epochs: with lightly "
                "1.5.21 or later the teacher stands still from then on (before, it oscillated).",
                "options": {"momentum_until": 0.1},
            },
            {
                "what": "The cosine is laid out over 100 epochs but starts after 20: the last "
                "rate is 9.5e-5, not 0 (here as the end of a cosine over 80 epochs).",
                "training": {"lr_end": 0.0955},
            },
        ),
    },
    "mae": {
        **_SE,
        "encoders": "spectral ViT-S, B, L, H, g",
        "options": {
            "mask_ratio": 0.9,
            "decoder_width": 512,
            "decoder_depth": 1,
            "decoder_heads": 16,
        },
        "view": {"size": 128, "crop": (0.4, 1.0)},
        "crops": {"views": 1},
        "optimiser": "adamw",
        "lr": 1e-4,
        "weight_decay": 0.01,
        "epochs": 200,
    },
}
