"""Blind votes: read and kept as files, and what they say about preference and agreement.

A vote file belongs to one comparison, the fingerprint of the two models' maps. Votes come as JSON
from a saved page (*Download votes*) and as Parquet from the widget in a notebook; both are read
here, and the votes of another comparison are refused.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from workbench.datasets.files import json_checksum
from workbench.errors import VoteError
from workbench.files import opened_once, read_text, whole_file
from workbench.records import parse_record

FORMAT = "workbench-votes"
VERSION = 1
COLUMNS = ("patch", "rater", "left", "choice", "preferred", "at", "seconds")
"""Of a table of votes: who was asked what, which model stood left, what was chosen, which model
that prefers ("A", "B" or "tie"), when (UTC), and after how many seconds."""
_PREFERENCE = {"A": 1.0, "tie": 0.5, "B": 0.0}


_CURE = "Take what *Download votes* saved, or the Parquet file of the widget."


def _known_time(text: str) -> str:
    """A time that pandas can hold; raises ValueError for any other text."""
    try:
        is_time = not pd.isna(pd.to_datetime(text, utc=True, format="ISO8601"))
    except (ValueError, OverflowError):
        is_time = False
    if not is_time:
        raise ValueError("must be a time in ISO 8601")
    return text


@dataclass(frozen=True)
class Preference:
    """Which of two models is preferred, patch by patch."""

    share: float
    """Share of decided patches on which A is preferred, in [0, 1]; NaN if none is decided."""
    low: float
    """Lower end of the interval of `share` (Wilson)."""
    high: float
    """Upper end of the interval of `share`."""
    decided: int
    """Patches on which more raters prefer one model than the other."""
    undecided: int
    """Patches with as many votes for either, or only "no difference"."""
    p_value: float
    """Of the exact two-sided sign test that either is preferred as often."""


def votes_table(votes: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Put votes into a table; of two by one rater on one patch the later counts.

    Args:
        votes: One mapping a vote, with the keys of `COLUMNS`.

    Raises:
        VoteError: If a vote lacks a key, or what it prefers does not follow from its choice.
    """
    for vote in votes:
        if missing := [key for key in COLUMNS if key not in vote]:
            raise VoteError(f"A vote has {', '.join(COLUMNS)}, but one lacks {missing[0]!r}.")
        right = {"A": "B", "B": "A"}.get(vote["left"])
        means = {"left": vote["left"], "right": right, "tie": "tie"}
        if right is None or means.get(vote["choice"]) != vote["preferred"]:
            raise VoteError(
                f"What a vote prefers follows from its choice, but on patch {vote['patch']!r} "
                f"{vote['choice']!r} with {vote['left']!r} on the left prefers "
                f"{vote['preferred']!r}."
            )
    frame = pd.DataFrame([{key: vote[key] for key in COLUMNS} for vote in votes], columns=COLUMNS)
    frame["at"] = pd.to_datetime(frame["at"], utc=True, format="ISO8601")
    frame["seconds"] = frame["seconds"].astype(float)
    frame = frame.sort_values("at", kind="stable")
    return frame.drop_duplicates(["patch", "rater"], keep="last").reset_index(drop=True)


def write_votes(path: str | PathLike[str], votes: pd.DataFrame, comparison: str) -> Path:
    """Write votes as Parquet; the file is either the old one or the whole new one.

    Args:
        path: Where to.
        votes: As from `votes_table`.
        comparison: Fingerprint of what was compared, `Inspector.comparison`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(votes[list(COLUMNS)], preserve_index=False)
    known = {
        b"format": FORMAT.encode(),
        b"version": str(VERSION).encode(),
        b"comparison": comparison.encode(),
        b"votes": str(len(votes)).encode(),
        b"sha256": json_checksum(vote_records(votes[list(COLUMNS)])).encode(),
    }
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **known})
    path = Path(path)
    with whole_file(path) as unfinished:
        pq.write_table(table, unfinished, write_page_checksum=True)
    return path


def read_votes(*paths: str | PathLike[str], comparison: str | None = None) -> pd.DataFrame:
    """Read votes from files of the page (JSON) and of the widget (Parquet) into one table.

    Args:
        paths: The files.
        comparison: Fingerprint that all must be of; without one, all of the first's.

    Raises:
        VoteError: If a file holds no votes, or votes of another comparison.
    """
    votes: list[dict[str, Any]] = []
    for path in map(Path, paths):
        found, read = _read_json(path) if path.suffix == ".json" else _read_parquet(path)
        if comparison is not None and found != comparison:
            raise VoteError(
                f"Votes must be of one comparison ({comparison}), but {path} is of {found}.\n"
                "A vote counts only for the maps that were seen: the same models, the same patches."
            )
        comparison = found
        votes += read
    return votes_table(votes)


def preference(votes: pd.DataFrame, *, confidence: float = 0.95) -> Preference:
    """Say which model is preferred, with each patch counted once whatever its number of raters.

    Args:
        votes: Columns patch and preferred.
        confidence: Of the interval, in (0, 1).
    """
    from scipy.stats import binomtest

    mean = votes["preferred"].map(_PREFERENCE).groupby(votes["patch"]).mean()
    for_a, for_b = int((mean > 0.5).sum()), int((mean < 0.5).sum())
    decided = for_a + for_b
    if not decided:
        nan = float("nan")
        return Preference(nan, nan, nan, 0, len(mean), nan)
    test = binomtest(for_a, decided)
    interval = test.proportion_ci(confidence, method="wilson")
    return Preference(
        for_a / decided,
        float(interval.low),
        float(interval.high),
        decided,
        len(mean) - decided,
        float(test.pvalue),
    )


def agreement(votes: pd.DataFrame) -> float:
    """Krippendorff's alpha of the raters' preferences, with B < tie < A as an ordinal scale.

    Args:
        votes: Columns patch, rater and preferred.

    Returns:
        1 for perfect agreement, 0 for that of chance; NaN if no patch has two raters.
    """
    values = votes.assign(value=votes["preferred"].map(_PREFERENCE))
    table = values.pivot(index="rater", columns="patch", values="value")
    return krippendorff_alpha(table.to_numpy(dtype=float), level="ordinal")


def krippendorff_alpha(ratings: NDArray[np.float64], *, level: str = "nominal") -> float:
    """Measure how far raters agree beyond chance.

    Args:
        ratings: (R, N) of R raters on N units; NaN where a rater did not rate.
        level: "nominal", "ordinal" or "interval": how far two different values are apart.

    Returns:
        Alpha, at most 1; NaN if no unit has two ratings or all ratings are equal.

    Raises:
        ValueError: If the level is another one.

    References:
        Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), sections C and D.

    Example:
        >>> round(krippendorff_alpha(np.array([[1.0, 1, 0, 0], [1, 1, 0, 1]])), 3)
        0.533
    """
    known = np.isfinite(ratings)
    values, index = np.unique(ratings[known], return_inverse=True)
    counts = np.zeros((ratings.shape[1], len(values)))  # [N, V], how often a unit got a value
    np.add.at(counts, (np.nonzero(known)[1], index), 1)
    rated = counts.sum(axis=1)
    counts, rated = counts[rated >= 2], rated[rated >= 2]
    # Coincidences: every ordered pair of ratings of a unit, a unit of m raters with weight 1/(m-1).
    weighted = counts / (rated[:, None] - 1)
    pairs = weighted.T @ counts - np.diag(weighted.sum(axis=0))
    totals = pairs.sum(axis=1)
    apart = _squared_distance(values, totals, level)
    expected = float(totals @ apart @ totals)
    if expected == 0:
        return float("nan")
    return 1.0 - float((totals.sum() - 1) * (pairs * apart).sum()) / expected


def _squared_distance(
    values: NDArray[np.float64], totals: NDArray[np.float64], level: str
) -> NDArray[np.float64]:
    """(V, V) squared differences of values."""
    if level == "nominal":
        return 1.0 - np.eye(len(values))
    if level == "ordinal":  # ranks: all ratings below, and half of those that are equal
        place = np.cumsum(totals) - totals / 2
    elif level == "interval":
        place = values
    else:
        raise ValueError(f"The level must be nominal, ordinal or interval, but is {level!r}.")
    return (place[:, None] - place[None, :]) ** 2


class _Vote(BaseModel):
    """One vote as a file has it."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    patch: str
    rater: str
    left: Literal["A", "B"]
    choice: Literal["left", "right", "tie"]
    preferred: Literal["A", "B", "tie"]
    at: Annotated[str, AfterValidator(_known_time)]
    seconds: Annotated[float, Field(ge=0)]


class _File(BaseModel):
    """A file of votes."""

    model_config = ConfigDict(strict=True, extra="ignore")

    format: Literal["workbench-votes"]
    version: int
    comparison: Annotated[str, Field(min_length=1)]
    votes: list[_Vote]


def _read_json(path: Path) -> tuple[str, list[dict[str, Any]]]:
    if not path.is_file():
        raise VoteError(f"There is no file of votes at {path}.\n{_CURE}")
    return _checked(read_text(path, error=VoteError), path)


def _read_parquet(path: Path) -> tuple[str, list[dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise VoteError(f"There is no file of votes at {path}.\n{_CURE}")
    try:
        with opened_once(path) as file:
            table = pq.read_table(file, page_checksum_verification=True)
        metadata = table.schema.metadata or {}
        if metadata.get(b"format") != FORMAT.encode():
            raise ValueError("a Parquet file of something else")
        text = {k.decode(): v.decode() for k, v in metadata.items() if k != b"ARROW:schema"}
        rows = table.replace_schema_metadata(None).to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _no_votes(path, error) from error
    votes = [{k: v.isoformat() if isinstance(v, datetime) else v for k, v in row.items()}
             for row in rows]  # fmt: skip
    told = {"format": text["format"], "version": _whole(text.get("version", "1")), "votes": votes}
    if (count := text.get("votes")) not in (None, str(len(votes))):
        raise _no_votes(path, ValueError(f"it was written with {count} votes, not {len(votes)}"))
    if not rows and list(table.column_names) != list(COLUMNS):
        raise _no_votes(path, ValueError(f"its columns are {table.column_names}"))
    comparison, checked = _checked(
        json.dumps({**told, "comparison": text.get("comparison", "")}, default=str), path
    )
    if text.get("sha256") not in (None, json_checksum(checked)):
        raise _no_votes(path, ValueError("its votes are not those that were written"))
    return comparison, checked


def _whole(text: str) -> int | str:
    return int(text) if text.isdecimal() and len(text) < 10 else text


def _checked(text: str, path: Path) -> tuple[str, list[dict[str, Any]]]:
    """Hold a file of votes against its schema; give its comparison and votes."""
    found = parse_record(
        text, _File, source=path, what="a file of votes", cure=_CURE, error=VoteError
    )
    if found.version != VERSION:
        raise VoteError(
            f"Votes of version {VERSION} are read here, but {path} is of version {found.version}.\n"
            "Read it with the workbench that wrote it."
        )
    return found.comparison, [vote.model_dump() for vote in found.votes]


def vote_records(votes: pd.DataFrame) -> list[dict[str, Any]]:
    """Votes as the page has them, times in ISO 8601."""
    rows = votes.assign(at=votes["at"].map(lambda time: time.isoformat()))
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]


def _no_votes(path: Path, error: Exception) -> VoteError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return VoteError(f"A file of votes was expected, but {path} is none ({reason}).\n{_CURE}")
