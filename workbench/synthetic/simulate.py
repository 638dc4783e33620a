"""Write a whole campaign to disk: product folders, label maps, and the truth last."""

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.synthetic.campaign import SCALES, plan_campaign
from workbench.synthetic.labels import write_labels
from workbench.synthetic.products import write_product
from workbench.synthetic.truth import TRUTH_FILE, CampaignTruth, load_truth, write_truth

log = logging.getLogger(__name__)


def simulate_campaign(
    folder: str | Path,
    *,
    scale: str = "demo",
    tile_size: int | None = None,
    n_tiles: int | None = None,
    seed: int = 0,
    nasty: bool = True,
    world: bool = False,
    compress: str | None = "deflate",
    progress: Callable[[int, int], None] | None = None,
) -> CampaignTruth:
    """Simulate an EnMAP campaign of three sites, with everything that goes wrong in a real one.

    Product folders lie in `folder/products`, label maps in `folder/labels/<site>`, and
    `folder/truth.json` is written last. The same arguments give the same bytes. A campaign that
    stands is found again, an interrupted one is completed. One product is in memory at a time.

    Args:
        folder: Folder of this campaign alone; it is made.
        scale: "test", "demo", "small" or "full": see `SCALES` for tile size and number.
        tile_size: Side of a product's raster in pixels of 30 m, >= 32, instead of the scale's.
        n_tiles: Number of product folders, instead of the scale's.
        seed: Seed of every draw.
        nasty: Whether re-deliveries, faults, clouds and shifted grids are in; without them all
            products are whole, distinct and cloudless.
        world: Whether ten more products follow at sites with odd grids (`plan_campaign`).
        compress: Compression of the GeoTIFFs: None (as large as the real ones), "deflate", "zstd".
        progress: Called with (products done, products in all) after each.

    Returns:
        The truth, to hold a pipeline's findings against.

    Raises:
        WorkbenchError: If the scale is unknown, a size is too small, or the folder holds another
            campaign.
        TileError: If a file cannot be written.
    """
    if scale not in SCALES:
        raise WorkbenchError(f"Unknown scale {scale!r}.\nKnown scales: {', '.join(SCALES)}.")
    size, count = SCALES[scale]
    size = size if tile_size is None else tile_size
    count = count if n_tiles is None else n_tiles
    plan = plan_campaign(tile_size=size, n_tiles=count, seed=seed, nasty=nasty, world=world)
    folder = Path(folder)
    if (folder / TRUTH_FILE).exists():
        return _found_again(CampaignTruth(folder, plan))
    (folder / "products").mkdir(parents=True, exist_ok=True)
    tiles = Counter(a.datatake for a in plan.acquisitions if not a.replaced_by)
    for done, acquisition in enumerate(plan.acquisitions, start=1):
        write_product(
            folder / "products",
            acquisition,
            plan.sites[acquisition.site],
            tiles=tiles[acquisition.datatake],
            compress=compress,
        )
        if progress is not None:
            progress(done, len(plan.acquisitions))
    labels = {}
    for name, site in plan.sites.items():
        taken = [a for a in plan.acquisitions if a.site == name]
        if taken and site.has_labels:
            labels[name] = write_labels(folder / "labels" / name, site, taken)
    truth = CampaignTruth(folder, plan, labels)
    write_truth(truth)
    log.info("simulated %d products in %s", len(plan.acquisitions), folder)
    return truth


def _found_again(wanted: CampaignTruth) -> CampaignTruth:
    """The campaign that stands in the folder, if it is the one wanted."""
    found = load_truth(wanted.folder)
    if found.campaign != wanted.campaign:
        raise WorkbenchError(
            f"A folder holds one campaign, but {wanted.folder} holds another one (tile_size "
            f"{found.campaign.tile_size}, n_tiles {found.campaign.n_tiles}, seed "
            f"{found.campaign.seed}, nasty {found.campaign.nasty}, world "
            f"{found.campaign.world}).\nName another folder."
        )
    return found
