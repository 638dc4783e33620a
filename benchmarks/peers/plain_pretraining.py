"""MoCo, DINO and MAE as one would put them together from lightly, timm and kornia: the peer.

Nothing here is slow on purpose. It is lightly's own example of each method with the sizes of
SpectralEarth's recipes, views by kornia, and the spectral adapter as it is published: Conv3d over
the whole image, in front of the encoder.
"""

import copy

import kornia.augmentation as K
import timm
import torch
from lightly.loss import DINOLoss, NTXentLoss
from lightly.models import utils
from lightly.models.modules import (
    DINOProjectionHead,
    MAEDecoderTIMM,
    MaskedVisionTransformerTIMM,
    MoCoProjectionHead,
)
from torch import Tensor, nn

SIDE = 128


class Conv3dAdapter(nn.Sequential):
    """Three blocks of Conv3d along the spectrum, then the mean: (B, C, H, W) to (B, 128, H, W)."""

    def __init__(self) -> None:
        blocks = []
        for inputs, outputs, kernel, stride in ((1, 32, 7, 5), (32, 64, 7, 5), (64, 128, 5, 3)):
            convolution = nn.Conv3d(
                inputs, outputs, (kernel, 1, 1), (stride, 1, 1), padding=(1, 0, 0)
            )
            blocks += [convolution, nn.BatchNorm3d(outputs), nn.ReLU(inplace=True)]
        super().__init__(*blocks, nn.AdaptiveAvgPool3d((1, None, None)))

    def forward(self, images: Tensor) -> Tensor:
        """Give 128 numbers for each pixel."""
        return super().forward(images[:, None]).squeeze(2)


def plain_resnet50() -> nn.Module:
    """The adapter, then timm's ResNet-50 with SpectralEarth's first block instead of a stem."""
    body = timm.create_model("resnet50", num_classes=0, in_chans=128)
    body.conv1 = body.bn1 = body.act1 = body.maxpool = nn.Identity()
    first = body.layer1[0]
    first.conv1 = nn.Conv2d(128, 256, 1, bias=False)
    first.bn1 = nn.BatchNorm2d(256)
    first.conv2 = nn.Conv2d(256, 256, 3, stride=2, padding=1, bias=False)
    first.bn2 = nn.BatchNorm2d(256)
    first.conv3 = nn.Conv2d(256, 256, 1, bias=False)
    first.downsample[0] = nn.Conv2d(128, 256, 1, stride=2, bias=False)
    return nn.Sequential(Conv3dAdapter(), body)


def plain_vit(token_size: int, side: int = SIDE, size: str = "small") -> nn.Module:
    """A ViT of timm over 128 channels."""
    return timm.create_model(
        f"vit_{size}_patch16_224",
        img_size=side,
        patch_size=token_size,
        in_chans=128,
        num_classes=0,
    )


def views(scale: tuple[float, float], *, blur: bool, side: int = SIDE) -> nn.Module:
    """Batched views by kornia: crop, flips, and for the Siamese methods blur."""
    steps = [
        K.RandomResizedCrop((side, side), scale=scale),
        K.RandomHorizontalFlip(),
        K.RandomVerticalFlip(),
    ]
    blurred = [K.RandomGaussianBlur((13, 13), (0.1, 2.0), p=0.5)] if blur else []
    return K.AugmentationSequential(*steps, *blurred, data_keys=["input"])


class PlainMoCo(nn.Module):
    """Query, key and queue, as in lightly's example."""

    def __init__(self, *, queue: int = 32_768, side: int = SIDE) -> None:
        super().__init__()
        self.encoder, self.head = plain_resnet50(), MoCoProjectionHead(2048, 2048, 128)
        self.key_encoder = copy.deepcopy(self.encoder)
        self.key_head = copy.deepcopy(self.head)
        utils.deactivate_requires_grad(self.key_encoder)
        utils.deactivate_requires_grad(self.key_head)
        self.criterion = NTXentLoss(temperature=0.1, memory_bank_size=(queue, 128))
        self.views = views((0.08, 1.0), blur=True, side=side)

    def optimiser(self) -> torch.optim.Optimizer:
        """SGD, as the recipe has it."""
        return torch.optim.SGD(self.parameters(), lr=0.001, momentum=0.9, weight_decay=1e-4)

    def shown(self, images: Tensor) -> list[Tensor]:
        """Give two views of each image."""
        return [self.views(images), self.views(images)]

    def forward(self, shown: list[Tensor]) -> Tensor:
        """Loss of a batch of views."""
        utils.update_momentum(self.encoder, self.key_encoder, 0.999)
        utils.update_momentum(self.head, self.key_head, 0.999)
        query = self.head(self.encoder(shown[0]))
        with torch.no_grad():
            key = self.key_head(self.key_encoder(shown[1]))
        return self.criterion(query, key)


class PlainDINO(nn.Module):
    """Student and teacher on two global views, as in lightly's example without the local ones."""

    def __init__(self, token_size: int, *, side: int = SIDE) -> None:
        super().__init__()
        self.student = nn.Sequential(Conv3dAdapter(), plain_vit(token_size, side))
        self.student_head = DINOProjectionHead(384, 2048, 256, 128, freeze_last_layer=1)
        self.teacher = copy.deepcopy(self.student)
        self.teacher_head = DINOProjectionHead(384, 2048, 256, 128)
        self.teacher_head.load_state_dict(self.student_head.state_dict())
        utils.deactivate_requires_grad(self.teacher)
        utils.deactivate_requires_grad(self.teacher_head)
        self.criterion = DINOLoss(output_dim=128, warmup_teacher_temp_epochs=0)
        self.views = views((0.05, 1.0), blur=True, side=side)

    def optimiser(self) -> torch.optim.Optimizer:
        """AdamW, as the recipe has it."""
        return torch.optim.AdamW(self.parameters(), lr=0.001, weight_decay=1e-5)

    def shown(self, images: Tensor) -> list[Tensor]:
        """Give two views of each image."""
        return [self.views(images), self.views(images)]

    def forward(self, shown: list[Tensor]) -> Tensor:
        """Loss of a batch of views."""
        utils.update_momentum(self.student, self.teacher, 0.996)
        utils.update_momentum(self.student_head, self.teacher_head, 0.996)
        with torch.no_grad():
            wanted = [self.teacher_head(self.teacher(view)) for view in shown]
        given = [self.student_head(self.student(view)) for view in shown]
        return self.criterion(wanted, given, epoch=1)


class PlainMAE(nn.Module):
    """Adapter over the whole image, then lightly's masked encoder and decoder."""

    def __init__(
        self, token_size: int, *, mask_ratio: float = 0.9, side: int = SIDE, size: str = "small"
    ) -> None:
        super().__init__()
        self.token_size, self.mask_ratio = token_size, mask_ratio
        self.adapter = Conv3dAdapter()
        self.backbone = MaskedVisionTransformerTIMM(plain_vit(token_size, side, size))
        self.tokens = self.backbone.sequence_length
        self.decoder = MAEDecoderTIMM(
            num_patches=self.tokens - 1,
            patch_size=token_size,
            in_chans=202,
            embed_dim=self.backbone.vit.embed_dim,
            decoder_embed_dim=512,
            decoder_depth=1,
            decoder_num_heads=16,
        )
        self.views = views((0.4, 1.0), blur=False, side=side)

    def optimiser(self) -> torch.optim.Optimizer:
        """AdamW, as the recipe has it."""
        return torch.optim.AdamW(self.parameters(), lr=1e-4)

    def shown(self, images: Tensor) -> Tensor:
        """Give a view of each image."""
        return self.views(images)

    def forward(self, images: Tensor) -> Tensor:
        """Loss of a batch of views."""
        keep, masked = utils.random_token_mask(
            (len(images), self.tokens), self.mask_ratio, device=images.device
        )
        seen = self.backbone.encode(self.adapter(images), idx_keep=keep)
        tokens = self.decoder.embed(seen)
        every = utils.repeat_token(self.decoder.mask_token, (len(images), self.tokens))
        every = utils.set_at_index(every, keep, tokens.type_as(every))
        decoded = utils.get_at_index(self.decoder.decode(every), masked)
        predicted = self.decoder.predict(decoded)
        patches = utils.patchify(images, self.token_size)
        target = utils.normalize_mean_var(utils.get_at_index(patches, masked - 1))
        return nn.functional.mse_loss(predicted, target)
