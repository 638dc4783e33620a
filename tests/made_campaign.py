"""Patches of a small simulated campaign, for tests that need any at all."""

from pathlib import Path

from workbench.extraction import (
    ValidityRules,
    ViewRules,
    drop_duplicates,
    extract_patches,
    temporal_views,
)
from workbench.readers.enmap import discover_enmap
from workbench.synthetic import simulate_campaign


def small_patches(folder: Path) -> Path:
    """Cut patches of 202 bands and 8 pixels from four simulated tiles; give their folder."""
    truth = simulate_campaign(
        folder / "campaign", scale="test", seed=0, tile_size=40, nasty=False, n_tiles=4
    )
    tiles, _ = drop_duplicates(discover_enmap(truth.products)[0])
    plan = temporal_views(tiles, ViewRules(patch_size=8))
    rules = ValidityRules.accept_all()
    return extract_patches(plan, tiles, folder / "patches", rules=rules, workers=1).path
