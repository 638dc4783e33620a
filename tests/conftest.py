"""What holds for every test: one thread, and log levels that stay with the test that set them."""

import logging
import os
from collections.abc import Iterator

import pytest

# Two busy processes with OpenMP teams spin against each other.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


@pytest.fixture(autouse=True)
def _log_level() -> Iterator[None]:
    """The command line sets the level of our loggers; the next test must not see it."""
    yield
    logging.getLogger("workbench").setLevel(logging.NOTSET)
