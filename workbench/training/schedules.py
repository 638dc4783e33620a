"""Learning rate and weight decay at each step: pure functions of the settings and the step."""

import math

from workbench.training.settings import PretrainSettings


def peak_rate(settings: PretrainSettings) -> float:
    """Scale the learning rate by the rule: the largest rate of the run.

    Example:
        >>> peak_rate(PretrainSettings(lr=0.03, lr_rule="linear", batch_size=512))
        0.06
    """
    times = settings.batch_size / 256
    factor = {"none": 1.0, "linear": times, "sqrt": math.sqrt(times)}
    return settings.lr * factor[settings.lr_rule]


def learning_rate(settings: PretrainSettings, step: int, *, total: int, per_epoch: int) -> float:
    """Give the learning rate of a step.

    The warm-up rises in a straight line and reaches the full rate at its end; then a cosine falls
    to `lr_end` at the last step, or milestones multiply by `gamma`.

    Args:
        settings: Of the run.
        step: Number of the step, from 0.
        total: Steps of the run.
        per_epoch: Steps of an epoch.

    Example:
        >>> settings = PretrainSettings(lr=1.0, warmup_epochs=1)
        >>> [round(learning_rate(settings, s, total=8, per_epoch=4), 2) for s in range(9)]
        [0.0, 0.25, 0.5, 0.75, 1.0, 0.85, 0.5, 0.15, 0.0]
    """
    peak = peak_rate(settings)
    warmup = settings.warmup_epochs * per_epoch
    if step < warmup:
        start = settings.warmup_start
        return peak * (start + (1 - start) * step / warmup)
    if settings.schedule == "constant":
        return peak
    if settings.schedule == "step":
        passed = sum(step >= share * total for share in settings.milestones)
        return peak * settings.gamma**passed
    done = (step - warmup) / max(1, total - warmup)
    return peak * along_cosine(done, 1.0, settings.lr_end)


def weight_decay(settings: PretrainSettings, step: int, *, total: int) -> float:
    """Give the weight decay of a step, from 0."""
    end = settings.weight_decay_end
    start = settings.weight_decay
    return start if end is None else along_cosine(step / total, start, end)


def along_cosine(done: float, start: float, end: float) -> float:
    """Go from start to end along half a cosine, as `done` goes from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, done))) / 2
