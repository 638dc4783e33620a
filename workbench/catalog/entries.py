"""The shape of `data_catalog.yaml`: what one entry must and may say.

The models are the one truth: validation, the JSON schema for editors and the hints of error
messages all come from them. Field names follow STAC where STAC has one.
"""

import os
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from workbench.catalog.problems import did_you_mean
from workbench.sensors import SENSOR_NAMES

LAYOUTS: dict[str, str] = {
    "bigearthnet_scenes": "the patch list of BigEarthNet: tile, cell and datatake in the names",
    "footprints": "a vector file of footprints with the columns id, acquired and crs",
    "wrs2_grid": "a vector file of the WRS-2 grid: an id per footprint, no dates",
    "land_outline": "a vector file of land polygons: background of maps",
    "indian_pines": "NumPy arrays: (height, width, band), and labels (height, width)",
    "landsat_bands": "one GeoTIFF per band (…_10.tif … _70.tif) and one of labels (strata.tif)",
    "enmap_simulated": "a simulated campaign of EnMAP L2A product folders, with its truth",
    "footprints_simulated": "a simulated campaign of footprints, made in memory",
    "enmap_l2a": "EnMAP L2A product folders, ENMAP01-____L2A-DT…_V…_…Z",
    "stac_enmap": "STAC items of EnMAP L2A (.json): one item, a feature collection, or a folder",
    "spectralearth": "enmap/<location, 7 digits>/<tile, 5 digits>.tif",
    "ssl4eo_s12": "s2c/<location, 7 digits>/<scene>/<band>.tif",
    "ssl4eo_s12_v1_1": "zarr-zip files of 64 locations: (sample, time, band, y, x)",
    "ssl4eo_eu_forest": "images/<id>/<start>_<end>_<tile>/all_bands.tif, masks/<id>/mask.tif",
    "hyspecnet_11k": "patches/<tile>/<patch>/<patch>-SPECTRAL_IMAGE.TIF",
}
"""How the files of an entry are arranged; readers choose by it."""

_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}|(?P<bad>))"
)


def expand_variables(text: str, environ: Mapping[str, str]) -> str:
    """Put environment variables into a path: ${NAME} or ${NAME:-default}; $$ is a plain $.

    An empty variable counts as unset, as in a shell.

    Raises:
        KeyError: Naming a variable that is unset and has no default.
        ValueError: If a $ is followed by anything else.

    Example:
        >>> expand_variables("${ARCHIVE:-data}/enmap", {"ARCHIVE": "/archive"})
        '/archive/enmap'
    """

    def value(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        if match["name"] is None:
            raise ValueError(text)
        found = environ.get(match["name"]) or match["default"]
        if found is None:
            raise KeyError(match["name"])
        return found

    return _VARIABLE.sub(value, text)


def _expanded(text: str, info: ValidationInfo) -> str:
    try:
        path = expand_variables(text, (info.context or {}).get("environ", os.environ))
    except KeyError as error:
        raise _problem(
            f"the environment variable {error.args[0]} is not set; "
            f"set it, or give a default: ${{{error.args[0]}:-data}}"
        ) from None
    except ValueError:
        raise _problem("write a variable as ${NAME} or ${NAME:-default}, a plain $ as $$") from None
    return path


def _problem(message: str) -> PydanticCustomError:
    return PydanticCustomError("catalog", "{message}", {"message": message})


def _one_of(known: Mapping[str, str] | tuple[str, ...], noun: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in known:
            hint = did_you_mean(value, known) or f"; known: {', '.join(known)}"
            raise _problem(f'unknown {noun} "{value}"{hint}')
        return value

    return check


def _member(value: str) -> str:
    if value.startswith("/") or "\\" in value or ":" in value or ".." in value.split("/"):
        raise _problem(f'a member is a path inside the package, found "{value}"')
    return value


def _scalar(value: Any) -> bool | int | float | str:
    if not isinstance(value, bool | int | float | str):
        raise _problem("a parameter is text, a number, true or false")
    return value


Text = Annotated[str, Field(min_length=1)]
SensorName = Annotated[
    str,
    AfterValidator(_one_of(SENSOR_NAMES, "sensor")),
    Field(json_schema_extra={"enum": [*SENSOR_NAMES]}),
]
Layout = Annotated[
    str, AfterValidator(_one_of(LAYOUTS, "layout")), Field(json_schema_extra={"enum": [*LAYOUTS]})
]
Checksum = Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]
Parameter = Annotated[
    Any,
    AfterValidator(_scalar),
    Field(json_schema_extra={"type": ["boolean", "integer", "number", "string"]}),
]
DatasetName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class PackageSource(_Strict):
    """Files that lie inside a wheel of the Python package index; it is never installed or run."""

    type: Literal["package"]
    name: Annotated[str, Field(pattern="^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")]
    """Name of the distribution."""
    version: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9.!+_-]*$")]
    """Exact version."""
    members: Annotated[list[Annotated[Text, AfterValidator(_member)]], Field(min_length=1)]
    """Paths inside the wheel; * and ? match within the whole path."""


class LocalSource(_Strict):
    """Files that somebody put on this machine."""

    type: Literal["local"]
    path: Annotated[Text, AfterValidator(_expanded)]
    """File, folder or glob (*, ?, [..], **) with ${VARIABLES}; relative to the catalog's folder."""
    obtain: Text
    """How to get the data: where to register, what to download, how to lay it out."""


class SimulatedSource(_Strict):
    """Data made up by the workbench, always the same for the same seed and parameters."""

    type: Literal["simulated"]
    seed: Annotated[int, Field(ge=0)]
    """Seed of every draw."""
    parameters: dict[str, Parameter] = {}
    """Keyword arguments of the generator."""


Source = Annotated[PackageSource | LocalSource | SimulatedSource, Field(discriminator="type")]
SOURCES: dict[str, type[_Strict]] = {
    "package": PackageSource,
    "local": LocalSource,
    "simulated": SimulatedSource,
}


class Dataset(_Strict):
    """One data set."""

    description: Text
    """What it is, how much, and its traps. The first sentence is shown in lists."""
    sensor: SensorName | None = None
    """Key of the sensor; left out where no sensor is involved."""
    layout: Layout
    """How the files are arranged; readers choose by it."""
    source: Source
    """Where it comes from."""
    license: Text
    """SPDX name where there is one."""
    citation: Text
    """What to cite, with a DOI where there is one."""
    checksum: Checksum | None = None
    """Of the wheel (package, required) or of the one file (local)."""
    gsd: Annotated[float, Field(gt=0, strict=False)] | None = None
    """Ground sampling distance in metres."""
    bands: Annotated[list[Text], Field(min_length=1)] | None = None
    """Names of the bands in the files, in their order, as the sensor's table calls them."""
    nodata: Annotated[float, Field(strict=False, allow_inf_nan=False)] | None = None
    """Stored number of plain rasters that is no measurement, where their headers name none."""


class CatalogDocument(_Strict):
    """A catalog of data sets for the Spectral Workbench."""

    version: Literal[1]
    """Version of this format."""
    datasets: dict[DatasetName, Dataset]
    """The entries, by name (lower case, digits, underscores)."""


def catalog_schema() -> dict[str, Any]:
    """Give the JSON schema (draft 2020-12) of a catalog, for editors."""
    schema = CatalogDocument.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
