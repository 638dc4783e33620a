"""What holds for every test: one thread, the same examples, interrupts heard, log levels put back.

Properties are tried on the same examples each time, however slow the machine. For others:
``pytest -m "not gpu" --hypothesis-profile=explore``.
"""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from workbench.catalog import Entry

# Two busy processes with OpenMP teams spin against each other.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=300, deadline=None)
settings.load_profile("same")

# A shell without job control starts background jobs deaf to Ctrl-C, and their children inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _log_level() -> Iterator[None]:
    """The command line sets the level of our loggers; the next test must not see it."""
    yield
    logging.getLogger("workbench").setLevel(logging.NOTSET)


def needs_sample(name: str) -> "Entry":
    """Give a sample of the shipped catalog, or skip: nothing is fetched by tests."""
    from workbench.catalog import open_catalog

    entry = open_catalog(Path(__file__).parent.parent / "data_catalog.yaml")[name]
    if not entry.is_available():
        pytest.skip(f"{name} is not on this machine (workbench catalog fetch {name})")
    return entry
