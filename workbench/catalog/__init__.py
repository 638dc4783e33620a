"""data_catalog.yaml → typed, validated entries, and the files behind them."""

from workbench.catalog.entries import catalog_schema
from workbench.catalog.entry import Entry
from workbench.catalog.fetch import cache_folder
from workbench.catalog.opened import Catalog, open_catalog

__all__ = ["Catalog", "Entry", "cache_folder", "catalog_schema", "open_catalog"]
