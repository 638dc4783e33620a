"""What is true about a simulated campaign: which findings a pipeline must come to."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from workbench.errors import WorkbenchError
from workbench.files import whole_file
from workbench.synthetic import landscape as land
from workbench.synthetic.acquisition import Acquisition, shared_area
from workbench.synthetic.campaign import Campaign, Site, plan_campaign
from workbench.synthetic.render import Rendered, ground_cover, render

FORMAT = 2  # 1: pixels on multiples of 30 m
TRUTH_FILE = "truth.json"


@dataclass(frozen=True)
class CampaignTruth:
    """The known truth of a campaign; pixels are computed again from the seed when asked for."""

    folder: Path
    """Folder of the campaign, with `products/`, `labels/` and `truth.json`."""
    campaign: Campaign
    """The plan it was made from."""
    labels: dict[str, dict[str, Path]] = field(default_factory=dict)
    """Label maps by site and kind ("corine", "cdl", "nlcd", "leaf_type", "tree_density",
    "disturbance")."""

    @property
    def products(self) -> Path:
        """Folder of the product folders."""
        return self.folder / "products"

    @cached_property
    def _by_id(self) -> dict[str, Acquisition]:
        return {a.id: a for a in self.campaign.acquisitions}

    @property
    def tile_ids(self) -> tuple[str, ...]:
        """Ids of all delivered products, in the order of the plan."""
        return tuple(self._by_id)

    @property
    def broken(self) -> dict[str, str]:
        """Products that cannot be used: id and "truncated", "no metadata" or "wrong crs"."""
        return {a.id: a.fault for a in self.campaign.acquisitions if a.fault}

    @property
    def dropped(self) -> dict[str, tuple[str, str]]:
        """Deliveries of what was delivered better: id, ("older version", id that is kept)."""
        return {a.id: a.replaced_by for a in self.campaign.acquisitions if a.replaced_by}

    @property
    def kept(self) -> tuple[str, ...]:
        """Products that enter a plan, sorted by id."""
        return tuple(sorted(set(self._by_id) - set(self.broken) - set(self.dropped)))

    @cached_property
    def edges(self) -> dict[tuple[str, str], float]:
        """Pairs of kept products that share ground, in the order of ids, and its area in m²."""
        shared = {
            (a, b): shared_area(self._by_id[a], self._by_id[b])
            for i, a in enumerate(self.kept)
            for b in self.kept[i + 1 :]
        }
        return {pair: area for pair, area in shared.items() if area > 0}

    @property
    def touching(self) -> tuple[tuple[str, str], ...]:
        """Pairs of kept products that share an edge and no ground."""
        return tuple(
            (a, b)
            for i, a in enumerate(self.kept)
            for b in self.kept[i + 1 :]
            if self._by_id[a].footprint.touches(self._by_id[b].footprint)
        )

    @property
    def components(self) -> tuple[tuple[str, ...], ...]:
        """Connected components of the kept products, each sorted, by their first id."""
        graph: nx.Graph[str] = nx.Graph()
        graph.add_nodes_from(self.kept)
        graph.add_edges_from(self.edges)
        return tuple(sorted(tuple(sorted(c)) for c in nx.connected_components(graph)))

    def acquisition(self, tile_id: str) -> Acquisition:
        """Give the planned acquisition of a product.

        Raises:
            WorkbenchError: If there is no such product.
        """
        if tile_id not in self._by_id:
            raise WorkbenchError(
                f"The campaign has no product {tile_id!r}.\nIts first: {self.tile_ids[0]}."
            )
        return self._by_id[tile_id]

    def site(self, tile_id: str) -> Site:
        """Give the site that a product shows."""
        return self.campaign.sites[self.acquisition(tile_id).site]

    def covering(self, ground: BaseGeometry) -> list[str]:
        """List the kept products whose footprint covers a polygon (EPSG:4326), by time."""
        found = [i for i in self.kept if shapely.covers(self._by_id[i].footprint, ground)]
        return sorted(found, key=lambda i: (self._by_id[i].start, i))

    def dates(self, tile_ids: Sequence[str]) -> int:
        """Count the dates of products: the tiles of one datatake are one date."""
        return len({self.acquisition(i).datatake for i in tile_ids})

    def render(self, tile_id: str) -> Rendered:
        """Compute cube, quality layers and pixel mask of a product, as delivered."""
        return render(self.acquisition(tile_id), self.site(tile_id))

    def truth_reflectance(self, tile_id: str, *, surface: bool = False) -> NDArray[np.int16]:
        """Compute what a product must hold.

        Args:
            tile_id: Which product.
            surface: Only the ground in its light, without air, clouds, noise and faults.

        Returns:
            (224, H, W) DN = reflectance × 10,000 in delivered order, -32768 outside.
        """
        return render(self.acquisition(tile_id), self.site(tile_id), surface=surface).cube

    def cover(self, tile_id: str) -> NDArray[np.uint8]:
        """Give the main cover of each pixel on the product's date, free of noise.

        Returns:
            (H, W) codes of `COVER_NAMES`, also outside the footprint; the lower code wins a tie.
        """
        acquisition = self.acquisition(tile_id)
        cells, _ = ground_cover(acquisition, self.site(tile_id))
        counts = [(cells == code).sum(axis=0) for code in range(len(land.COVER_NAMES))]
        return np.argmax(counts, axis=0).astype(np.uint8).reshape(acquisition.grid.shape)

    def to_dict(self) -> dict[str, Any]:
        """Lay the truth out as plain values for JSON."""
        plan = self.campaign
        return {
            "simulated": True,
            "format": FORMAT,
            "parameters": _parameters(plan),
            "kept": list(self.kept),
            "dropped": [
                {"id": i, "reason": why, "kept": kept} for i, (why, kept) in self.dropped.items()
            ],
            "broken": [{"id": i, "reason": why} for i, why in self.broken.items()],
            "edges": [{"a": a, "b": b, "area_m2": m2} for (a, b), m2 in self.edges.items()],
            "touching": [list(pair) for pair in self.touching],
            "components": [list(c) for c in self.components],
            "disturbances": {
                name: asdict(site.disturbance)
                for name, site in plan.sites.items()
                if site.disturbance
            },
            "labels": {
                site: {kind: str(p.relative_to(self.folder)) for kind, p in maps.items()}
                for site, maps in self.labels.items()
            },
            "products": [_describe(a) for a in plan.acquisitions],
        }


def write_truth(truth: CampaignTruth) -> Path:
    """Write `truth.json`, the last file of a campaign: where it stands, the campaign is whole."""
    path = truth.folder / TRUTH_FILE
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(truth.to_dict(), indent=1) + "\n")
    return path


def load_truth(folder: str | Path) -> CampaignTruth:
    """Read the truth of a campaign that was simulated before.

    Args:
        folder: Folder given to `simulate_campaign`.

    Raises:
        WorkbenchError: If there is no truth, or it is of another format.
    """
    folder = Path(folder)
    path = folder / TRUTH_FILE
    if not path.is_file():
        raise WorkbenchError(
            f"A simulated campaign holds a {TRUTH_FILE}, but {folder} does not.\n"
            "Simulate it first, with `simulate_campaign(folder)`; an interrupted one goes on."
        )
    found = json.loads(path.read_text())
    if found.get("format") != FORMAT:
        raise WorkbenchError(
            f"A truth of format {FORMAT} is read here, but {path} has {found.get('format')!r}.\n"
            "Simulate the campaign again in another folder."
        )
    labels = {s: {k: folder / p for k, p in maps.items()} for s, maps in found["labels"].items()}
    return CampaignTruth(folder, plan_campaign(**found["parameters"]), labels)


def _parameters(plan: Campaign) -> dict[str, Any]:
    names = ("tile_size", "n_tiles", "seed", "nasty", "world")
    return {name: getattr(plan, name) for name in names}


def _describe(acquisition: Acquisition) -> dict[str, Any]:
    details = ("site", "datatake", "tile", "rotation", "side", "version", "cloud", "cirrus", "haze",
               "snow", "bad_bands", "defective_columns", "fault")  # fmt: skip
    return {
        "id": acquisition.id,
        **{name: getattr(acquisition, name) for name in details},
        "acquired": acquisition.start.isoformat(),
        "processed": acquisition.processed.isoformat(),
        "crs": acquisition.grid.crs,
        "transform": acquisition.grid.transform,
        "shape": acquisition.grid.shape,
        "footprint": shapely.geometry.mapping(acquisition.footprint),
    }
