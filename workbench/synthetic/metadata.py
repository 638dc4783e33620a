"""The metadata XML of a simulated product, with the tags of a genuine EnMAP L2A one.

Only tags that a reader may want are written, in the places and with the names that DLR's own file
of a qualification product has. Comment, citation, mission phase and processing centre say that the
product is simulated.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from workbench.geo.footprint import transformer
from workbench.sensors import sensor
from workbench.synthetic.acquisition import GSD, Acquisition
from workbench.synthetic.atmosphere import sun_position
from workbench.synthetic.render import NODATA, Rendered

SIMULATED = "Simulated by Spectral Workbench; no measurement"
"""What metadata and image headers say about the product."""

_FRAMES = ("upper_left", "lower_left", "lower_right", "upper_right")
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"

Values = Mapping[str, object]


def metadata_xml(
    acquisition: Acquisition, rendered: Rendered, sizes: Mapping[str, int], tiles: int
) -> bytes:
    """Write the metadata of one product.

    Args:
        acquisition: What was taken.
        rendered: Its pixels; band statistics and cover percentages are counted on them.
        sizes: Bytes of each file of the product by file name.
        tiles: Number of tiles of its datatake.
    """
    root = ET.Element("level_X")
    root.set("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")
    root.set("xsi:noNamespaceSchemaLocation", "metadata_Lx_00-02-00.xsd")
    _about(root, acquisition)
    _base(ET.SubElement(root, "base"), acquisition, sum(sizes.values()))
    _specific(ET.SubElement(root, "specific"), acquisition, rendered, tiles)
    _product(ET.SubElement(root, "product"), acquisition, rendered, sizes)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")  # six times faster than encoding on the way
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _fill(parent: ET.Element, values: Values) -> ET.Element:
    """Add one element per item; a mapping becomes an element with children."""
    for tag, value in values.items():
        child = ET.SubElement(parent, tag)
        if isinstance(value, Mapping):
            _fill(child, value)
        else:
            child.text = str(value)
    return parent


def _about(root: ET.Element, acquisition: Acquisition) -> None:
    _fill(root, {
        "metadata": {
            "schema": {"versionSchema": "00.02.00", "name": "metadata_Lx_00-02-00.xsd",
                       "processingLevel": "L2A"},
            "name": f"{acquisition.id}-METADATA.XML",
            "comment": f"{SIMULATED}: datatake {acquisition.datatake}, tile {acquisition.tile}",
            "citation": SIMULATED,
        },
        "processing": {
            "terrainCorrection": "Yes", "season": _season(acquisition),
            "productFormat": "GeoTIFF+Metadata", "mapProjection": "UTM_Zone_of_Scene_Center",
            "imageResampling": "Nearest_Neighbour", "correctionType": "Land_Mode",
            "cirrusHazeRemoval": "No", "bandInterpolation": "No",
        },
    })  # fmt: skip


def _season(acquisition: Acquisition) -> str:
    return "summer" if 4 <= acquisition.start.month <= 9 else "winter"


def _stop(acquisition: Acquisition) -> timedelta:
    """How long the scene took, at 6.75 km of ground a second."""
    return timedelta(seconds=round(acquisition.side * GSD / 6750, 3))


def _polygon(parent: ET.Element, acquisition: Acquisition) -> None:
    """The footprint: four corners, the first again, and the centre."""
    polygon = ET.SubElement(parent, "boundingPolygon")
    outline = acquisition.outline
    places = [*outline.exterior.coords[:4], outline.exterior.coords[0], outline.centroid.coords[0]]
    to_degrees = transformer(acquisition.grid.crs, "EPSG:4326")
    for frame, (x, y) in zip((*_FRAMES, _FRAMES[0], "center"), places, strict=True):
        lon, lat = to_degrees.transform(x, y)
        part = {"lower": 1.0, "center": 0.5}.get(frame.split("_")[0], 0.0)
        when = acquisition.start + part * _stop(acquisition)
        point = _fill(ET.SubElement(polygon, "point"), {
            "frame": frame, "latitude": f"{lat:.9f}", "longitude": f"{lon:.9f}",
            "utcTime": f"{when:{_TIME}}",
        })  # fmt: skip
        for degrees in point[1:3]:
            degrees.set("unit", "DEG")


def _dotted(version: str) -> str:
    return f"{version[:2]}.{version[2:4]}.{version[4:]}"


def _base(base: ET.Element, acquisition: Acquisition, size: int) -> None:
    _polygon(ET.SubElement(base, "spatialCoverage"), acquisition)
    version = _dotted(acquisition.version)
    _fill(base, {
        "temporalCoverage": {
            "startTime": f"{acquisition.start:{_TIME}}",
            "stopTime": f"{acquisition.start + _stop(acquisition):{_TIME}}",
        },
        "revision": version, "sphere": "earth", "format": "ENMAP_L2A", "level": "L2A",
        "size": size, "archivedVersion": version,
    })  # fmt: skip


def _specific(
    specific: ET.Element, acquisition: Acquisition, rendered: Rendered, tiles: int
) -> None:
    elevation, azimuth = sun_position(acquisition)
    datatake_start = acquisition.start - timedelta(seconds=5 * (acquisition.tile - 1))
    detectors = [b.detector for b in sensor("enmap").bands]
    _fill(specific, {"qualityFlag": _quality(acquisition, rendered, 90 - elevation)})
    _fill(specific, {
        "missionPhase": "simulated", "processingCenter": "Spectral Workbench simulation",
        "processingDateTime": f"{acquisition.processed:{_TIME}}",
        "mission": "EnMAP", "satelliteID": "01", "sensor": "HSI",
        "datatakeID": acquisition.datatake, "acquisitionType": "EARTH",
        "numberOfSWIRBands": detectors.count("SWIR"), "numberOfVNIRBands": detectors.count("VNIR"),
        "datatakeStart": f"{datatake_start:{_TIME}}", "backgroundValue": NODATA,
        "tileID": f"{acquisition.tile:02d}", "numberOfTiles": f"{tiles:02d}",
        "widthOfScene": acquisition.side, "heightOfScene": acquisition.side, "status": "NOMINAL",
    })  # fmt: skip
    for name, degrees in (("sunElevationAngle", elevation), ("sunAzimuthAngle", azimuth),
                          ("acrossOffNadirAngle", 0.0), ("alongOffNadirAngle", 0.0),
                          ("sceneAzimuthAngle", acquisition.rotation)):  # fmt: skip
        center = ET.SubElement(ET.SubElement(specific, name), "center", unit="DEG")
        center.text = f"{degrees:.6f}"
    _fill(specific, {"orbitDirection": "DESCENDING", "pixelSize": 30, "code": "L2A"})
    characterisation = ET.SubElement(specific, "bandCharacterisation")
    for band in sensor("enmap").bands:
        _fill(ET.SubElement(characterisation, "bandID", number=str(band.number)), {
            "wavelengthCenterOfBand": band.wavelength_nm, "FWHMOfBand": band.fwhm_nm,
            "GainOfBand": "0.0001", "OffsetOfBand": 0,
        })  # fmt: skip
    height, width = acquisition.grid.shape
    _fill(specific, {"pixelSizeOfOrthoScene": 30, "widthOfOrthoScene": width,
                     "heightOfOrthoScene": height})  # fmt: skip


def _quality(acquisition: Acquisition, rendered: Rendered, zenith: float) -> Values:
    """Flags, and covers in whole percent of the footprint."""
    valid = acquisition.valid()

    def percent(name: str, low: int = 1) -> int:
        return round(100 * float((rendered.layers[f"QUALITY_{name}"][valid] >= low).mean()))

    stuck = round(100 * float(rendered.defective.max(axis=0)[valid].mean()))
    nominal = int(bool(stuck) or bool(acquisition.bad_bands))
    water = float((rendered.layers["QUALITY_CLASSES"][valid] == 2).mean())
    return {
        "overallQualityVNIR": nominal, "deadPixelsVNIR": stuck, "overallQualitySWIR": nominal,
        "deadPixelsSWIR": stuck, "overallQuality": nominal, "sceneSZA": f"{zenith:.6f}",
        "cloudCover": percent("CLOUD"), "hazeCover": percent("HAZE"),
        "cirrusCover": percent("CIRRUS"), "snowCover": percent("SNOW"),
        "waterCover": round(100 * water), "cloudShadow": percent("CLOUDSHADOW"),
    }  # fmt: skip


def _product(
    product: ET.Element, acquisition: Acquisition, rendered: Rendered, sizes: Mapping[str, int]
) -> None:
    height, width = acquisition.grid.shape
    version = _dotted(acquisition.version)
    image = f"{acquisition.id}-SPECTRAL_IMAGE.TIF"
    _fill(product, {
        "image": {"merge": {
            "channels": len(rendered.cube), "name": image, "size": sizes[image] // 1000,
            "version": version, "format": "binary",
            "dimension": {"columns": width, "rows": height},
            "qlChannelsSWIR": {"red": 2201, "green": 1645.3, "blue": 1051.3},
            "qlChannelsVNIR": {"red": 847.1, "green": 671.21, "blue": 548.06},
        }},
        "ortho": {"projection": _projection(acquisition.grid.crs),
                  "resolution": 30, "resampling": "nearest"},
    })  # fmt: skip
    files = ET.SubElement(product, "productFileInformation")
    for number, (name, size) in enumerate(sorted(sizes.items()), start=1):
        entry = _fill(ET.SubElement(files, "file", number=str(number)), {
            "name": name, "size": size // 1000, "version": version, "format": "binary",
        })  # fmt: skip
        entry[1].set("unit", "Kbyte")
    statistics = ET.SubElement(product, "bandStatistics")
    valid = acquisition.valid()
    for band, layer in zip(sensor("enmap").bands, rendered.cube, strict=True):
        mean, spread = _statistics(layer[valid].astype(np.float32))
        _fill(ET.SubElement(statistics, "bandID", number=str(band.number)), {
            "waveLength": band.wavelength_nm, "mean": mean, "stdDeviation": spread,
        })  # fmt: skip


def _projection(crs: str) -> str:
    """Name a UTM zone as the archive does; one of ETRS89, which it has no name for, by its code."""
    is_wgs84 = crs.startswith("EPSG:326")
    return f"UTM_Zone{int(crs[-2:]):02d}_North" if is_wgs84 else crs.replace(":", "_")


def _statistics(row: NDArray[np.float32]) -> tuple[str, str]:
    """Mean and deviation in reflectance; a band without data has the archive's marks for it."""
    if (row == NODATA).all():
        return "-1000000", "0"
    return f"{row.mean() * 1e-4:.7g}", f"{row.std() * 1e-4:.6g}"
