"""The talk's experiments as lists of cells: each is one sweep that anyone can run again."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from workbench.evaluation.study import StudyCell

SEEDS = (0, 1, 2, 3, 4)
"""Five: fewer are printed, and no significance is claimed."""

Encoders = Mapping[str, str]
"""Decoder of each encoder, by the encoder's name."""


def protocol_study(
    tasks: Mapping[str, Encoders],
    *,
    inits: Sequence[str] = ("random", "moco", "dino", "mae"),
    protocols: Sequence[str] = ("frozen", "adapter", "full"),
    seeds: Sequence[int] = SEEDS,
    **options: Any,
) -> list[StudyCell]:
    """Protocols × methods × encoders: the talk's large table.

    Random weights are trained from scratch where the others are fine-tuned in full, and stand in
    the frozen rows as they are; they have no row of their own under "adapter".

    Args:
        tasks: Encoders, and the decoder of each, by task.
        inits: "random" and pretext methods.
        protocols: Of "frozen", "linear", "knn", "adapter", "full".
        seeds: Of training.
        options: Of all cells, as steps=300.
    """
    cells = []
    for (task, encoders), init, protocol, seed in product(tasks.items(), inits, protocols, seeds):
        if init == "random" and protocol == "adapter":
            continue
        name = "scratch" if (init, protocol) == ("random", "full") else protocol
        cells += [
            StudyCell(task, encoder, init, name, decoder, seed, options=options)
            for encoder, decoder in encoders.items()
        ]
    return cells


def fraction_study(
    task: str,
    encoders: Encoders,
    *,
    inits: Sequence[str],
    protocol: str = "frozen",
    fractions: Sequence[float] = (0.05, 0.1, 0.25, 0.5, 1.0),
    draws: int = 3,
    seeds: Sequence[int] = SEEDS,
    **options: Any,
) -> list[StudyCell]:
    """Few labels: fractions, each of several draws; fractions of one draw are nested.

    The whole set is drawn once, as all its draws are the same.
    """
    cells = []
    for (encoder, decoder), init, fraction, seed in product(
        encoders.items(), inits, fractions, seeds
    ):
        name = "scratch" if init == "random" and protocol == "full" else protocol
        for draw in range(draws if fraction < 1 else 1):
            cells.append(
                StudyCell(task, encoder, init, name, decoder, seed, fraction, draw, options)
            )
    return cells


def convergence_study(
    task: str,
    encoders: Encoders,
    *,
    inits: Sequence[str],
    steps: int,
    looks: int = 10,
    seeds: Sequence[int] = SEEDS,
    **options: Any,
) -> list[StudyCell]:
    """Score against steps of full fine-tuning: rows carry the curve of the validation part.

    Args:
        task: Which task.
        encoders: Decoder of each encoder.
        inits: "random" is trained from scratch.
        steps: Of each run.
        looks: At the validation part, in each run.
        seeds: Of training.
        options: Of all cells.
    """
    chosen = {"steps": steps, "eval_every": max(1, steps // looks), **options}
    return [
        StudyCell(task, encoder, init, "scratch" if init == "random" else "full", decoder, seed,
                  options=chosen)
        for (encoder, decoder), init, seed in product(encoders.items(), inits, seeds)
    ]  # fmt: skip


def varied_study(
    task: str,
    encoder: str,
    decoder: str,
    *,
    varied: Mapping[str, Sequence[Any]],
    init: str = "random",
    protocol: str | None = None,
    seeds: Sequence[int] = SEEDS,
    **options: Any,
) -> list[StudyCell]:
    """Every combination of some options: token size, stem, loss, model size, positives.

    The encoder's maker reads the options it understands ("stem", "token_size", "size",
    "positives"); "loss" and "boundary" go to the training.

    Args:
        task: Which task.
        encoder: Its name.
        decoder: Its decoder; an option "decoder" among the varied ones goes before.
        varied: Values of each option.
        init: "random", or a pretext method.
        protocol: None: "scratch" from random weights, else "full".
        seeds: Of training.
        options: Of all cells.

    Example:
        >>> cells = varied_study("forest", "resnet18", "unet", seeds=(0,),
        ...                      varied={"stem": ["standard", "detail"], "loss": ["boundary"]})
        >>> [cell.options["stem"] for cell in cells]
        ['standard', 'detail']
    """
    name = protocol or ("scratch" if init == "random" else "full")
    cells = []
    for values in product(*varied.values()):
        chosen = {**options, **dict(zip(varied, values, strict=True))}
        made_with = chosen.pop("decoder", decoder)
        cells += [
            StudyCell(task, encoder, init, name, made_with, seed, options=chosen) for seed in seeds
        ]
    return cells
