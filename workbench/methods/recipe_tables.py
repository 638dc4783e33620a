"""The numbers of the recipes, one table for each; `recipes` gives them names and types.

SpectralEarth's are those of its published configurations. The papers' own are of their main runs on
ImageNet. Of MoCo, DINO and MAE rates, scales, temperatures and sizes were read in published code.
All other numbers were written down from memory, not looked up: check one before you rely on it.
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
    "reference": "https://github.com/facebookresearch/dino",
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
        "reference": "https://arxiv.org/abs/2003.04297",
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
        "reference": "https://arxiv.org/abs/2104.14294",
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
        "reference": "https://arxiv.org/abs/2111.06377",
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
        "reference": "https://arxiv.org/abs/2002.05709",
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
        "reference": "https://arxiv.org/abs/2006.09882",
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
        "reference": "https://arxiv.org/abs/2006.07733",
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
        "reference": "https://arxiv.org/abs/2011.10566",
    },
    ("barlow_twins", "original"): {
        **_LARS,
        "encoders": "ResNet-50",
        "options": {},
        "view": _BYOL_VIEW,
        "crops": _BYOL_CROPS,
        "lr": 0.2,
        "weight_decay": 1.5e-6,
        "epochs": 1000,
        "batch_size": 2048,
        "lr_end": 1e-3,
        "reference": "https://arxiv.org/abs/2103.03230",
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
        "reference": "https://arxiv.org/abs/2105.04906",
    },
    ("maskfeat", "original"): {
        "encoders": "ViT-B",
        "options": {},
        "view": {**_PLAIN_VIEW, "crop": (0.5, 1.0)},
        "crops": {"views": 1},
        "optimiser": "adamw",
        "lr": 1e-4,  # 8e-4 for 2,048 images
        "lr_rule": "linear",
        "weight_decay": 0.05,
        "epochs": 1600,
        "batch_size": 2048,
        "warmup_epochs": 30,
        "clip_gradients": 0.02,
        "reference": "https://arxiv.org/abs/2112.09133",
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
        "reference": "https://arxiv.org/abs/2106.08254",
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
        "warmup_epochs": 40,
        "clip_gradients": 3.0,
        "reference": "https://arxiv.org/abs/2202.03555",
    },
}

_SE_VIEW = {"size": 128, "crop": (0.08, 1.0), "blur": 0.5, "blur_sigma": (0.1, 2.0)}
_SE = {"batch_size": 256, "reference": "https://github.com/AABNassim/spectral_earth"}

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
