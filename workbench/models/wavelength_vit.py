"""A transformer for any sensor: its patch embedding is generated from the bands' wavelengths."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from workbench.errors import ModelError
from workbench.models.vit import ViTEncoder, ViTSize, projected, vit_size


class WavelengthEmbedding(nn.Module):
    """Generate the weights of a patch embedding from the bands' centres and widths.

    Each band is a token that says where it lies and how wide it is; one transformer layer lets the
    bands see each other and a few learned tokens; what comes out of a band is projected to that
    band's slice of the convolution, what comes out of one more token to the bias. Weights are
    divided by the number of bands, so that sensors with many and with few give tokens of one
    scale; what is learned is shared by all sensors.

    Args:
        width: Channels of a token, D.
        token_size: Side of a token in pixels, p.
        dim: Width of the generator, a multiple of 4.

    References:
        Xiong et al. 2024, DOFA, https://arxiv.org/abs/2403.15356. The width of a band beside its
        centre, and the division by the number of bands, are ours.
    """

    def __init__(self, width: int, token_size: int, *, dim: int = 128) -> None:
        super().__init__()
        self.width, self.token_size, self.dim = width, token_size, dim
        self.band = nn.Sequential(nn.Linear(2 * dim, dim), nn.GELU(), nn.Linear(dim, dim))
        self.learned = nn.Parameter(torch.randn(1, 16, dim) * 0.02)
        self.bias_token = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.mixer = nn.TransformerEncoderLayer(
            dim, 4, dim_feedforward=2 * dim, dropout=0.0, activation="gelu", batch_first=True
        )
        self.to_weight = nn.Linear(dim, width * token_size**2)
        self.to_bias = nn.Linear(dim, width)
        nn.init.trunc_normal_(self.to_weight.weight, std=1 / math.sqrt(dim) / token_size)
        nn.init.zeros_(self.to_weight.bias)

    def forward(self, wavelengths_nm: Tensor, fwhm_nm: Tensor) -> tuple[Tensor, Tensor]:
        """Generate.

        Args:
            wavelengths_nm: (C,) band centres in nanometres.
            fwhm_nm: (C,) full widths at half maximum in nanometres.

        Returns:
            Weight (D, C, p, p) and bias (D,).
        """
        place = torch.cat([_waves(wavelengths_nm, self.dim), _waves(fwhm_nm, self.dim)], dim=1)
        bands = self.band(place)[None]  # (1, C, dim)
        tokens = torch.cat([self.learned, bands, self.bias_token], dim=1)
        mixed = self.mixer(tokens)[0, self.learned.shape[1] :] + tokens[0, self.learned.shape[1] :]
        weight = self.to_weight(mixed[:-1]) / len(bands[0])
        square = (self.width, self.token_size, self.token_size)
        return weight.unflatten(1, square).transpose(0, 1), self.to_bias(mixed[-1])


class WavelengthViT(ViTEncoder):
    """A ViT that takes images of any sensor, once it is told the sensor's wavelengths.

    Args:
        wavelengths_nm: Band centres of the sensor it starts with, in the order of the data.
        fwhm_nm: Their full widths at half maximum.
        image_size: Side of the images in pixels that position embeddings are learned for.
        token_size: Side of a token in pixels; divides `image_size`.
        size: Width, depth and heads.

    Raises:
        ModelError: If wavelengths and widths are not positive numbers of one length, or the token
            size does not divide the image.
    """

    wavelengths_nm: Tensor
    fwhm_nm: Tensor

    def __init__(
        self,
        wavelengths_nm: Sequence[float | None],
        fwhm_nm: Sequence[float | None],
        image_size: int,
        token_size: int,
        size: ViTSize,
    ) -> None:
        super().__init__(1, image_size, token_size, size, adapter=False)
        self.patch_embed = WavelengthEmbedding(size.width, token_size)
        self.register_buffer("wavelengths_nm", torch.zeros(0), persistent=False)
        self.register_buffer("fwhm_nm", torch.zeros(0), persistent=False)
        self.set_sensor(wavelengths_nm, fwhm_nm)

    def set_sensor(
        self, wavelengths_nm: Sequence[float | None], fwhm_nm: Sequence[float | None]
    ) -> None:
        """Take images of this sensor from now on, trained on or not. Weights stay as they are.

        Raises:
            ModelError: If wavelengths and widths are not positive numbers of one length.
        """
        given = [*wavelengths_nm, *fwhm_nm]
        wrong = [v for v in given if v is None or not (math.isfinite(v) and v > 0)]
        if len(wavelengths_nm) != len(fwhm_nm) or wrong or not given:
            raise ModelError(
                f"Every band needs a centre and a width in nanometres above 0, got "
                f"{len(wavelengths_nm)} centres, {len(fwhm_nm)} widths, {len(wrong)} of them none "
                "or not positive.\nLeave radar bands out; they have no wavelength."
            )
        like = self.pos_embed
        self.wavelengths_nm = torch.as_tensor(wavelengths_nm, dtype=torch.float32).to(like.device)
        self.fwhm_nm = torch.as_tensor(fwhm_nm, dtype=torch.float32).to(like.device)
        self.bands = len(wavelengths_nm)

    def project(self, adapted: Tensor) -> Tensor:
        """Project images to tokens (B, L, D) with weights made for the sensor."""
        weight, bias = self.patch_embed(self.wavelengths_nm, self.fwhm_nm)
        return projected(adapted, weight.to(adapted.dtype), bias.to(adapted.dtype))


def wavelength_vit(
    wavelengths_nm: Sequence[float | None],
    fwhm_nm: Sequence[float | None],
    size: str = "S",
    image_size: int = 128,
    token_size: int = 4,
) -> WavelengthViT:
    """Make a ViT whose patch embedding follows from the bands' wavelengths: for any sensor.

    Args:
        wavelengths_nm: Band centres, as an `InputContract` has them.
        fwhm_nm: Full widths at half maximum.
        size: "T", "S", "B", "L", "H" or "g".
        image_size: Side of the images in pixels.
        token_size: Side of a token in pixels.

    Raises:
        ModelError: If there is no such size, a band has no wavelength, or no whole number of
            tokens fits.

    Example:
        >>> encoder = wavelength_vit([443.0, 560.0], [20.0, 35.0], "T", 8, 4).eval()
        >>> encoder.set_sensor([490.0, 665.0, 842.0], [65.0, 30.0, 115.0])
        >>> encoder(torch.zeros(1, 3, 8, 8)).shape
        torch.Size([1, 192])
    """
    return WavelengthViT(wavelengths_nm, fwhm_nm, image_size, token_size, vit_size(size))


def _waves(nanometres: Tensor, dim: int) -> Tensor:
    """(C,) → (C, dim): sines and cosines with periods from 2π to 20,000π nm."""
    steps = torch.arange(dim // 2, device=nanometres.device, dtype=torch.float32)
    angles = nanometres[:, None] / 10_000 ** (steps / (dim // 2))
    return torch.cat([angles.sin(), angles.cos()], dim=1)
