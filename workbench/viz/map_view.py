"""What a coverage map is: a page and a picture, and which row of the page is which location."""

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.files import whole_file
from workbench.viz.embed import OfflineView


@dataclass(frozen=True, repr=False)
class CoverageMap(OfflineView):
    """A map of locations, and which row of the page is which location."""

    location_ids: NDArray[np.object_] = field(default_factory=lambda: np.array([], dtype=object))
    """(n,) ids in the order of the page's rows."""
    tier: str = "features"
    """"features" or "packed"; see `coverage_map`."""

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the page as one HTML file that needs no network."""
        path = Path(path)
        with whole_file(path) as unfinished:
            unfinished.write_text(self.page or "", encoding="utf-8")
        return path
