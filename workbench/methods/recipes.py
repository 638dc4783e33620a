"""Recipes by name: the numbers of a method's training, as in its paper or SpectralEarth's."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from torch import nn

from workbench.errors import MethodError
from workbench.methods.options import default_options
from workbench.methods.pretext import PretextMethod
from workbench.methods.recipe_tables import ORIGINALS, SPECTRAL_EARTH
from workbench.methods.registry import METHODS

OptimiserName = Literal["sgd", "adamw", "lars"]
Rule = Literal["none", "linear", "sqrt"]
Schedule = Literal["cosine", "step", "constant"]


@dataclass(frozen=True)
class Defect:
    """Something that published code does and its paper does not say; off unless asked for."""

    what: str
    """What it does, and what follows."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the method that repeat it."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the recipe that repeat it."""


@dataclass(frozen=True)
class Recipe:
    """How a method was trained. Shares of a training become steps when its length is known."""

    method: str
    """Key of `METHODS`."""
    name: str
    """"original", "spectral_earth", …"""
    encoders: str
    """What it was used with, in words."""
    options: Mapping[str, Any]
    """Options of the method, beside its defaults."""
    view: Mapping[str, Any]
    """Options of one large view: fields of datasets.augmentations' ViewOptions."""
    crops: Mapping[str, Any]
    """How many views, and how they differ: arguments of `multi_crop`."""
    optimiser: OptimiserName
    lr: float
    """Largest learning rate before the rule."""
    weight_decay: float
    epochs: float
    batch_size: int
    """Locations per step, over all processes."""
    lr_rule: Rule = "none"
    """"linear": the rate is multiplied by batch_size / 256."""
    momentum: float = 0.9
    """Of SGD and LARS."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of AdamW."""
    weight_decay_end: float | None = None
    """Weight decay at the end, along a cosine; None: it stays."""
    schedule: Schedule = "cosine"
    milestones: tuple[float, ...] = (0.6, 0.8)
    """Shares of the training at which "step" multiplies the rate by `gamma`."""
    gamma: float = 0.1
    warmup_epochs: float = 0.0
    warmup_start: float = 0.0
    """Share of the rate at which the warm-up starts."""
    lr_end: float = 0.0
    """Share of the rate at which a cosine ends."""
    clip_gradients: float | None = None
    """Largest norm of the gradient."""
    defects: tuple[Defect, ...] = ()
    """What the published code does beside; see `with_defects`."""
    reference: str = ""
    """Where the numbers are from."""
    changed: Mapping[str, Any] = field(default_factory=dict)
    """Options that were changed by hand, and so are not the reference's (`with_options`)."""

    def build(self, encoder: nn.Module) -> PretextMethod:
        """Make the method around an encoder, with all options as the recipe has them.

        Args:
            encoder: The network that is to be trained; it must have what the method asks for.

        Raises:
            MethodError: If the method cannot take the encoder.

        Example:
            >>> from workbench.models import vit
            >>> encoder = vit("T", bands=12, image_size=64, token_size=16)
            >>> recipe("mae", "original").build(encoder).mask_ratio
            0.75
        """
        return METHODS[self.method](encoder, **self.options)

    def with_options(self, **options: Any) -> "Recipe":
        """Give the recipe with other options of the method; the card then says which were changed.

        Raises:
            MethodError: If the method has no such option.
        """
        known = default_options(METHODS[self.method])
        if unknown := sorted(set(options) - set(known)):
            raise MethodError(
                f"The method {self.method!r} has no option {', '.join(map(repr, unknown))}.\n"
                f"Options are {', '.join(known)}."
            )
        return replace(
            self, options={**self.options, **options}, changed={**self.changed, **options}
        )

    def differences(self, method: nn.Module) -> list[str]:
        """List in what a method is not the one of the recipe: "mask_ratio 0.75, not 0.9".

        Args:
            method: A pretext method, made by `build` or by hand.
        """
        kind = METHODS[self.method]
        if not isinstance(method, kind):
            return [f"method {type(method).__name__}, not {kind.__name__}"]
        wanted, has = default_options(kind, **self.options), method.options()
        if type(method) is not kind:  # a class of one's own may have further options
            has = {name: value for name, value in has.items() if name in wanted}
        return [
            f"{name} {has[name]!r}, not {wanted.get(name, 'as it was made')!r}"
            for name in has
            if name not in wanted or has[name] != wanted[name]
        ]

    def training(self) -> dict[str, Any]:
        """Give the fields that a training loop's settings take, under their names there."""
        ours = {"method", "name", "encoders", "options", "view", "crops", "defects", "reference"}
        ours |= {"changed"}
        return {name: value for name, value in self.__dict__.items() if name not in ours}

    def with_defects(self) -> "Recipe":
        """Give the recipe with all its defects on, for those who must repeat a published run."""
        options, training = dict(self.options), dict[str, Any]()
        for defect in self.defects:
            options |= defect.options
            training |= defect.training
        return replace(self, options=options, **training)

    def to_dict(self) -> dict[str, Any]:
        """Lay the recipe out as plain values, for a checkpoint's card."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def recipe(method: str, name: str = "original") -> Recipe:
    """Look a recipe up.

    "original" is the method's own paper, for images of 224 pixels with colours. "spectral_earth"
    (MoCo, DINO, MAE) is SpectralEarth's, for patches of 128 pixels and 202 bands: no colour
    augmentation, 256 locations per step, crops resized to 128 pixels, and these differences:

    - MoCo: rate 0.001 with two steps down (0.03 and a cosine); BatchNorm in the head and 2,048
      hidden units (none, and the encoder's width); temperature 0.1 (0.2); 32,768 keys (65,536);
      crops from 0.08 (0.2); no shuffle, as BatchNorm is synchronised.
    - DINO: two global views of 0.05–1 and no local ones (0.4–1, and eight of 0.05–0.4); 128
      prototypes (65,536); rate 0.001, weight decay 1e-5 and no clipping (5e-4 per 256 locations,
      0.04 rising to 0.4, norms up to 3); 20 epochs of warm-up (10).
    - MAE: 0.9 hidden (0.75); decoder of one block (8); rate 1e-4 without warm-up (1.5e-4 per 256
      locations, 40 epochs); weight decay 0.01, AdamW's default (0.05); crops from 0.4 (0.2);
      200 epochs (800); the adapter on visible tokens only (the published code runs it on the whole
      image, whose hidden pixels then reach BatchNorm's statistics).

    "original_resnet50" (DINO) is what its authors advise for a ResNet-50.

    Args:
        method: Key of `METHODS`: "moco", "dino", "mae", …
        name: Of the recipe.

    Raises:
        MethodError: If there is no such method, or it has no such recipe.

    Example:
        >>> recipe("mae", "spectral_earth").options["mask_ratio"]
        0.9
        >>> [defect.options for defect in recipe("moco", "spectral_earth").defects]
        [{'copy_at_start': False}]
    """
    known = recipe_names(method)
    if name not in known:
        raise MethodError(
            f"Recipes of {method!r} are {', '.join(known)}; there is no {name!r}.\n"
            "SpectralEarth published recipes of moco, dino and mae."
        )
    table = SPECTRAL_EARTH[method] if name == "spectral_earth" else ORIGINALS[method, name]
    values = {**table, "defects": tuple(Defect(**each) for each in table.get("defects", ()))}
    return Recipe(method=method, name=name, **values)


def recipe_names(method: str) -> list[str]:
    """List the recipes of a method, the original first.

    Raises:
        MethodError: If there is no such method.
    """
    found = [name for known, name in ORIGINALS if known == method]
    if not found:
        methods = ", ".join(dict.fromkeys(known for known, _ in ORIGINALS))
        raise MethodError(f"There is no method {method!r}.\nMethods are {methods}.")
    return found + ["spectral_earth"] * (method in SPECTRAL_EARTH)
