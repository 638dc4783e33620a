"""How names are written in tables, and what stands in the head of each column."""

from collections.abc import Mapping, Sequence

WORDS: Mapping[str, str] = {
    "random": "Random", "moco": "MoCo", "dino": "DINO", "mae": "MAE", "data2vec": "data2vec",
    "scratch": "From scratch", "frozen": "Frozen", "linear": "Linear", "knn": "kNN",
    "adapter": "Adapter", "full": "Full",
    "unet": "UNet", "deeplabv3+": "DeepLabV3+", "upconv": "UpConv", "fcn": "FCN",
    "corine": "CORINE", "cdl": "CDL", "nlcd": "NLCD", "forest": "Forest",
    "spectral_resnet50": "ResNet-50", "resnet50": "ResNet-50", "resnet18": "ResNet-18",
    "spectral_vit_s": "ViT-S", "vit_s": "ViT-S", "spectral_vit_b": "ViT-B",
    "spectral_vit_l": "ViT-L", "spectral_vit_h": "ViT-H", "spectral_vit_g": "ViT-g",
    "overall_accuracy": "Overall accuracy", "macro_miou": "Macro mIoU", "micro_iou": "Micro-IoU",
    "macro_f1": "Macro F1", "micro_f1": "Micro F1", "macro_map": "Macro mAP",
    "micro_map": "Micro mAP", "mean_iou": "Mean IoU", "rmse": "RMSE", "r2": "R²", "ece": "ECE",
    "protocol": "Protocol", "init": "Weights", "decoder": "Decoder", "encoder": "Encoder",
    "task": "Task", "metric": "Metric", "stem": "Stem", "loss": "Loss", "fraction": "Labels",
    "token_size": "Token size", "cross_entropy": "Cross-entropy", "boundary": "Boundary-weighted",
    "standard": "Standard", "detail": "Detail",
}  # fmt: skip
"""What a name of the results is called in a table."""


def wording(names: Sequence[str]) -> dict[str, str]:
    """Give each name its word; names that would share one keep themselves.

    Example:
        >>> wording(["vit_s", "resnet18"])
        {'vit_s': 'ViT-S', 'resnet18': 'ResNet-18'}
        >>> wording(["vit_s", "spectral_vit_s", "tiny"])
        {'vit_s': 'vit_s', 'spectral_vit_s': 'spectral_vit_s', 'tiny': 'tiny'}
    """
    words = {name: WORDS.get(name, name) for name in names}
    found = list(words.values())
    return {name: word if found.count(word) == 1 else name for name, word in words.items()}


def head_groups(columns: Sequence[tuple[str, ...]]) -> list[tuple[str, int]]:
    """Join neighbours that share all but the last part of their name: (shared part, how many).

    Example:
        >>> head_groups([("cdl", "vit"), ("cdl", "resnet"), ("nlcd", "vit")])
        [('cdl', 2), ('nlcd', 1)]
    """
    groups: list[tuple[str, int]] = []
    for column in columns:
        name = " · ".join(column[:-1])
        if groups and groups[-1][0] == name:
            groups[-1] = (name, groups[-1][1] + 1)
        else:
            groups.append((name, 1))
    return groups
