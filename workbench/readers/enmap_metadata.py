"""The metadata of an EnMAP L2A product: what its XML says about bands, time, place and quality.

The bands stand in the order of the image, whatever that order is: VNIR before SWIR as delivered,
or sorted by wavelength as some tools rewrite it. Each is given the name of its physical band in
the sensor's table, so that "B092" is the first SWIR band wherever it stands.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from xml.etree.ElementTree import Element

import shapely
from shapely.geometry import Polygon

from workbench.errors import TileError
from workbench.readers.safe_xml import read_xml
from workbench.sensors import sensor

PRODUCT = re.compile(
    r"ENMAP01-____L2A-DT(?P<datatake>\d{10})_(?P<start>\d{8}T\d{6})Z_(?P<tile>\d{3})"
    r"_V(?P<version>\d{6})_(?P<processed>\d{8}T\d{6})Z"
)
"""Name of a product: datatake, start, tile, version, processing time."""

_TOLERANCE_NM = 4.0  # scenes of the mission differ from the table by less than 1 nm
_PROJECTION = re.compile(r"UTM_Zone(\d{1,2})_(North|South)")
_COVERS = {
    "cloud": "cloudCover",
    "cloud_shadow": "cloudShadow",
    "haze": "hazeCover",
    "cirrus": "cirrusCover",
    "snow": "snowCover",
    "water": "waterCover",
}


@dataclass(frozen=True)
class EnmapBand:
    """One band of a product."""

    name: str
    """Name in the sensor's table, "B001" … "B224"."""
    detector: str
    """"VNIR" or "SWIR"."""
    wavelength_nm: float
    """Centre in nanometres."""
    fwhm_nm: float
    """Full width at half maximum in nanometres."""
    gain: float
    """Factor from stored number to reflectance."""
    offset: float
    """Added after the factor."""
    is_empty: bool
    """True if the band statistics say that it holds no data."""


@dataclass(frozen=True)
class EnmapMetadata:
    """What the XML of one product says."""

    name: str
    """Name of the product."""
    datatake: str
    """Ten digits."""
    tile: str
    """Three digits: the number of the tile within the datatake."""
    version: str
    """Six digits of the archived version."""
    processed: datetime
    """Time of processing."""
    acquired: datetime
    """Start of the acquisition of this tile."""
    datatake_start: datetime
    """Start of the whole datatake, whose tiles follow one another by seconds; that of the tile if
    the XML does not say."""
    crs: str | None
    """"EPSG:32632" from the name of the projection; None if the XML names none."""
    shape: tuple[int, int] | None
    """(height, width) of the image; None if the XML does not say."""
    coverage: Polygon | None
    """Corner polygon in longitude/latitude, good to some 100 m; None if the XML has none."""
    bands: tuple[EnmapBand, ...]
    """Bands in the order of the image."""
    covers: dict[str, float]
    """Share of the scene in percent: cloud, cloud_shadow, haze, cirrus, snow, water."""
    overall_quality: int | None
    """0 nominal, 1 reduced, 2 low; None if not given."""


def read_metadata(path: Path) -> EnmapMetadata:
    """Read `…-METADATA.XML`.

    Raises:
        TileError: If the file is missing, is no plain XML, or lacks what a reader needs.
    """
    root = read_xml(path)
    try:
        return _metadata(root, path)
    except ValueError as error:
        if isinstance(error, TileError):
            raise
        raise TileError(
            f"EnMAP metadata must give numbers where numbers belong, but {path} does not: {error}."
        ) from error


def _metadata(root: Element, path: Path) -> EnmapMetadata:
    product = _product_name(root, path)
    start = _text(root, "base/temporalCoverage/startTime", path)
    quality = root.findtext("specific/qualityFlag/overallQuality")
    return EnmapMetadata(
        name=product.group(),
        datatake=product["datatake"],
        tile=product["tile"],
        version=product["version"],
        processed=datetime.strptime(product["processed"], "%Y%m%dT%H%M%S").replace(tzinfo=UTC),
        acquired=_time(start, path),
        datatake_start=_time(root.findtext("specific/datatakeStart") or start, path),
        crs=_projection(root),
        shape=_shape(root),
        coverage=_coverage(root),
        bands=_bands(root, path),
        covers={
            name: float(text)
            for name, tag in _COVERS.items()
            if (text := root.findtext(f"specific/qualityFlag/{tag}"))
        },
        overall_quality=None if quality is None else int(quality),
    )


def _product_name(root: Element, path: Path) -> re.Match[str]:
    name = _text(root, "metadata/name", path)
    if found := PRODUCT.match(name):
        return found
    raise TileError(
        f"The metadata must be those of an EnMAP L2A product, but {path} names {name!r}."
    )


def _text(root: Element, tag: str, path: Path) -> str:
    if text := (root.findtext(tag) or "").strip():
        return text
    raise TileError(
        f"EnMAP metadata must have <{tag}>, but {path} has not.\nDeliver the product again."
    )


def _time(text: str, path: Path) -> datetime:
    """A time in UTC, in which EnMAP counts; one that names no zone is UTC, wherever it is read."""
    try:
        found = datetime.fromisoformat(text.strip())
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except ValueError as error:
        raise TileError(f"The start time must be a date, but {path} says {text!r}.") from error


def _projection(root: Element) -> str | None:
    found = _PROJECTION.fullmatch((root.findtext("product/ortho/projection") or "").strip())
    if found is None:
        return None
    return f"EPSG:{(32600 if found[2] == 'North' else 32700) + int(found[1])}"


def _shape(root: Element) -> tuple[int, int] | None:
    size = root.find("product/image/merge/dimension")
    rows, cols = (None, None) if size is None else (size.findtext("rows"), size.findtext("columns"))
    return (int(rows), int(cols)) if rows and cols else None


def _coverage(root: Element) -> Polygon | None:
    corners = {
        point.findtext("frame"): (point.findtext("longitude"), point.findtext("latitude"))
        for point in root.findall("base/spatialCoverage/boundingPolygon/point")
    }
    names = ("upper_left", "upper_right", "lower_right", "lower_left")
    points = [
        (float(lon), float(lat))
        for lon, lat in (corners.get(name, (None, None)) for name in names)
        if lon and lat
    ]
    polygon = shapely.Polygon(points) if len(points) == len(names) else shapely.Polygon()
    return polygon if polygon.is_valid and not polygon.is_empty else None


def _bands(root: Element, path: Path) -> tuple[EnmapBand, ...]:
    """The band characterisation by the number of each band, which is its place in the image."""
    rows = sorted(
        root.findall("specific/bandCharacterisation/bandID"), key=lambda r: int(r.get("number", 0))
    )
    if not rows or [int(r.get("number", 0)) for r in rows] != list(range(1, len(rows) + 1)):
        raise TileError(
            f"EnMAP metadata must number the bands from 1, but {path} has {len(rows)} bands, "
            "some without their number.\nDeliver the product again."
        )
    tags = ("wavelengthCenterOfBand", "FWHMOfBand", "GainOfBand", "OffsetOfBand")
    values = [[float(row.findtext(tag) or f"no <{tag}>") for tag in tags] for row in rows]
    detectors = _detectors(root, [v[0] for v in values], path)
    names = _names(detectors, [v[0] for v in values])
    empty = _empty_bands(root)
    return tuple(
        EnmapBand(name, detector, center, fwhm, gain, offset, is_empty=i in empty)
        for i, (name, detector, (center, fwhm, gain, offset)) in enumerate(
            zip(names, detectors, values, strict=True), start=1
        )
    )


def _detectors(root: Element, wavelengths: list[float], path: Path) -> list[str]:
    """The detector of each band, by the channel lists or else by the one fall of wavelength."""
    lists = {
        detector: root.findtext(f"specific/{detector.lower()}ProductQuality/expectedChannelsList")
        for detector in ("VNIR", "SWIR")
    }
    of_number = {
        int(number): detector
        for detector, text in lists.items()
        for number in (text or "").split(",")
        if number.strip().isdigit()
    }
    if set(of_number) == set(range(1, len(wavelengths) + 1)):
        return [of_number[i] for i in sorted(of_number)]
    falls = [i for i in range(1, len(wavelengths)) if wavelengths[i] < wavelengths[i - 1]]
    if len(falls) == 1:
        return ["VNIR"] * falls[0] + ["SWIR"] * (len(wavelengths) - falls[0])
    raise TileError(
        f"EnMAP metadata must say which bands are VNIR and which SWIR, but {path} lists "
        f"{len(of_number)} of {len(wavelengths)} channels.\nBetween 902 and 993 nm the detectors "
        "overlap, so the wavelength alone does not tell."
    )


def _names(detectors: list[str], wavelengths: list[float]) -> list[str]:
    """Names of the sensor's table, if this is its set of bands; else "VNIR-01", "SWIR-001" …."""
    table = {d: [b for b in sensor("enmap").bands if b.detector == d] for d in ("VNIR", "SWIR")}
    count = {"VNIR": 0, "SWIR": 0}
    names, fits = [], all(detectors.count(d) == len(table[d]) for d in table)
    for detector, wavelength in zip(detectors, wavelengths, strict=True):
        k = count[detector]
        count[detector] += 1
        if fits:
            nominal = table[detector][k]
            fits = abs((nominal.wavelength_nm or 0.0) - wavelength) < _TOLERANCE_NM
            names.append(nominal.name)
    if fits:
        return names
    count = {"VNIR": 0, "SWIR": 0}
    other = []
    for detector in detectors:
        count[detector] += 1
        other.append(f"{detector}-{count[detector]:03d}")
    return other


def _empty_bands(root: Element) -> set[int]:
    """Numbers of bands whose statistics have no spread."""
    return {
        int(row.get("number", 0))
        for row in root.findall("product/bandStatistics/bandID")
        if float(row.findtext("stdDeviation") or 1) == 0
    }
