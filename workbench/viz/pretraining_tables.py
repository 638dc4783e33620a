"""From logs of pretraining to what is drawn: measures in order, smooth lines, filters by nm."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MEASURES: dict[str, str] = {
    "loss": "Loss",
    "embedding_spread": "Spread",
    "embedding_rank": "Effective rank",
    "embedding_cosine": "Mean cosine",
}
"""Columns of metrics.csv that every method has, with the words for them."""
PROBES: dict[str, str] = {"probe_knn": "Nearest neighbours", "probe_linear": "Linear classifier"}
"""Columns of a run that is probed."""
RUN_COLOURS = ("#31688e", "#d1741f", "#7b3294", "#4d4d4d")
"""One for each run; differ for every kind of colour vision."""


def run_colour(number: int) -> str:
    """Colour of a run by its number, going round."""
    return RUN_COLOURS[number % len(RUN_COLOURS)]


def smoothed(values: pd.Series, *, steps: int) -> pd.Series:
    """Mean of the last `steps` values, fewer at the start.

    Example:
        >>> smoothed(pd.Series([4.0, 2.0, 0.0]), steps=2).tolist()
        [4.0, 3.0, 1.0]
    """
    return values.rolling(steps, min_periods=1).mean()


def probed(runs: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Keep the steps of each run at which its features were scored.

    Raises:
        ValueError: If there is no run, or a run was never probed.
    """
    require_columns(runs, ["step", *PROBES])
    found = {name: log.dropna(subset=list(PROBES)) for name, log in runs.items()}
    require_columns(found, ["step", *PROBES])
    return found


def require_columns(runs: Mapping[str, pd.DataFrame], columns: Sequence[str]) -> None:
    """Refuse logs that cannot be drawn.

    Raises:
        ValueError: If there is no run, or a run lacks a column or has no row.
    """
    if not runs:
        raise ValueError("Curves need at least one run, but none was given.")
    for name, log in runs.items():
        missing = [column for column in columns if column not in log]
        if missing or not len(log):
            raise ValueError(
                f"The log of run {name!r} must have rows and the columns {', '.join(columns)}, but "
                f"has {len(log)} rows and lacks {', '.join(missing) or 'no column'}."
            )


def by_wavelength(
    responses: NDArray[Any], wavelengths_nm: Sequence[float], *, step_nm: float = 5.0
) -> tuple[NDArray[np.float64], float, float]:
    """Lay responses by band onto an even scale of wavelengths, with holes where no band is.

    Args:
        responses: (K, C).
        wavelengths_nm: (C,) centres of the bands.
        step_nm: Width of a column, nm.

    Returns:
        (K, columns) with NaN further from a band than 1.5 times the usual distance of bands, and
        the wavelengths of the left and right edge.
    """
    centres = np.asarray(wavelengths_nm, dtype=float)
    order = np.argsort(centres, kind="stable")
    centres, sorted_responses = centres[order], np.asarray(responses, dtype=float)[:, order]
    usual = float(np.median(np.diff(centres))) if len(centres) > 1 else step_nm
    left, right = centres[0] - step_nm / 2, centres[-1] + step_nm / 2
    columns = np.arange(left + step_nm / 2, right + step_nm / 4, step_nm)
    nearest = np.abs(columns[:, None] - centres[None, :]).argmin(axis=1)
    far = np.abs(columns - centres[nearest]) > 1.5 * max(usual, step_nm)
    laid = sorted_responses[:, nearest].copy()
    laid[:, far] = np.nan
    return laid, float(left), float(columns[-1] + step_nm / 2)


def as_colours(scores: NDArray[Any]) -> NDArray[np.float32]:
    """Make components into red, green and blue, each stretched over all images.

    Args:
        scores: (B, 3, h, w).

    Returns:
        (B, h, w, 3) in [0, 1]; what lies beyond the 2nd and 98th percentile is cut off.
    """
    low, high = np.percentile(scores, (2, 98), axis=(0, 2, 3))  # (3,) each
    span = np.maximum(high - low, 1e-9)
    return np.clip((np.moveaxis(scores, 1, -1) - low) / span, 0, 1).astype(np.float32)
