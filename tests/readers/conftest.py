"""Small EnMAP products, written with the tags of a genuine METADATA.XML."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import shapely

from workbench.geo.footprint import projected
from workbench.geo.grid import PixelGrid
from workbench.geo.raster import write_raster
from workbench.sensors import sensor

NAME = "ENMAP01-____L2A-DT0000001867_20220724T104526Z_008_V010302_20230628T165614Z"
LAYERS = ("CLASSES", "CLOUD", "CLOUDSHADOW", "HAZE", "CIRRUS", "SNOW", "TESTFLAGS")


@dataclass(frozen=True)
class Product:
    """What a test product is made of; its pixels are 100 × band number + row, inside a margin."""

    folder: Path
    name: str = NAME
    size: int = 32
    margin: int = 3
    crs: str = "EPSG:32633"
    tag_crs: str | None = None  # CRS in the file's header, if it is the wrong one
    by_wavelength: bool = False
    cog: bool = False
    channel_lists: bool = True
    gains: tuple[str, ...] = ()
    empty: tuple[int, ...] = ()
    drop: tuple[str, ...] = ()
    bands: int = 224
    head: str = ""  # put before the root of the XML
    extra: dict[str, str] = field(default_factory=dict)  # text replaced in the XML

    @property
    def path(self) -> Path:
        return self.folder / self.name

    @property
    def grid(self) -> PixelGrid:
        top = 5_400_000
        return PixelGrid.from_bounds(
            self.crs, (380_000, top - 30 * self.size, 380_000 + 30 * self.size, top), 30
        )

    @property
    def table(self):
        bands = sensor("enmap").bands[: self.bands]
        return sorted(bands, key=lambda b: b.wavelength_nm) if self.by_wavelength else bands

    def pixels(self) -> np.ndarray:
        row = np.arange(self.size)[:, None] + np.zeros(self.size, dtype=int)
        image = np.stack([100 * band.number + row for band in self.table]).astype(np.int16)
        for i, band in enumerate(self.table):
            if band.number in self.empty:
                image[i] = -32768
        m = self.margin
        image[:, :m] = image[:, -m:] = image[:, :, :m] = image[:, :, -m:] = -32768
        return image

    def write(self) -> Path:
        self.path.mkdir(parents=True)
        image, tag = self.pixels(), replace(self, crs=self.tag_crs or self.crs).grid
        end = "_COG.TIFF" if self.cog else ".TIF"
        files = {"SPECTRAL_IMAGE": image, "QL_PIXELMASK": np.zeros(image.shape, np.uint8)}
        files |= {f"QL_QUALITY_{k}": np.zeros(image.shape[1:], np.uint8) for k in LAYERS}
        files["QL_QUALITY_CLASSES"][:] = np.where(image[0] == -32768, 3, 1)
        for part, array in files.items():
            if part not in self.drop:
                nodata = -32768 if part == "SPECTRAL_IMAGE" else None
                write_raster(
                    self.path / f"{self.name}-{part}{end}", array, tag, nodata=nodata, cog=self.cog
                )
        if "METADATA" not in self.drop:
            (self.path / f"{self.name}-METADATA.XML").write_text(self.xml())
        return self.path

    def xml(self) -> str:
        text = self.head + _TEMPLATE.format(
            name=self.name,
            datatake=self.name[18:28],
            zone=int(self.crs[-2:]),
            corners=self._corners(),
            lists=self._channel_lists() if self.channel_lists else "",
            bands="".join(self._band(i, band) for i, band in enumerate(self.table, 1)),
            size=self.size,
            statistics="".join(
                f'<bandID number="{i}"><mean>0.1</mean><stdDeviation>'
                f"{0 if band.number in self.empty else 0.01}</stdDeviation></bandID>"
                for i, band in enumerate(self.table, 1)
            ),
        )
        for old, new in self.extra.items():
            assert old in text
            text = text.replace(old, new)
        return text

    def _corners(self) -> str:
        ring = projected([shapely.box(*self.grid.bounds)], self.crs, "EPSG:4326")[0]
        xmin, ymin, xmax, ymax = ring.bounds
        places = {
            "upper_left": (xmin, ymax),
            "lower_left": (xmin, ymin),
            "lower_right": (xmax, ymin),
            "upper_right": (xmax, ymax),
            "center": ((xmin + xmax) / 2, (ymin + ymax) / 2),
        }
        return "".join(
            f'<point><frame>{name}</frame><latitude unit="DEG">{lat}</latitude>'
            f'<longitude unit="DEG">{lon}</longitude></point>'
            for name, (lon, lat) in places.items()
        )

    def _channel_lists(self) -> str:
        numbers = {
            d: ",".join(str(i) for i, b in enumerate(self.table, 1) if b.detector == d)
            for d in ("VNIR", "SWIR")
        }
        return "".join(
            f"<{d.lower()}ProductQuality><expectedChannelsList>{n}</expectedChannelsList>"
            f"</{d.lower()}ProductQuality>"
            for d, n in numbers.items()
        )

    def _band(self, number: int, band) -> str:
        gain = self.gains[number % len(self.gains)] if self.gains else "0.0001"
        return (
            f'<bandID number="{number}">'
            f"<wavelengthCenterOfBand>{band.wavelength_nm + 0.3}</wavelengthCenterOfBand>"
            f"<FWHMOfBand>{band.fwhm_nm}</FWHMOfBand><GainOfBand>{gain}</GainOfBand>"
            "<OffsetOfBand>0</OffsetOfBand></bandID>"
        )


@pytest.fixture
def product(tmp_path):
    """Make a product: `product(size=64, cog=True).write()`."""

    def make(**changes) -> Product:
        return Product(tmp_path / "delivery", **changes)

    return make


_TEMPLATE = """<level_X>
  <metadata><schema><processingLevel>L2A</processingLevel></schema>
    <name>{name}-METADATA.XML</name></metadata>
  <base>
    <spatialCoverage><boundingPolygon>{corners}</boundingPolygon></spatialCoverage>
    <temporalCoverage><startTime>2022-07-24T10:45:26.104543Z</startTime>
      <stopTime>2022-07-24T10:45:30.6Z</stopTime></temporalCoverage>
  </base>
  <specific>
    <qualityFlag><overallQuality>1</overallQuality><cloudCover>12</cloudCover>
      <snowCover>0</snowCover></qualityFlag>
    {lists}
    <datatakeID>{datatake}</datatakeID><tileID>08</tileID>
    <bandCharacterisation>{bands}</bandCharacterisation>
  </specific>
  <product>
    <image><merge><dimension><columns>{size}</columns><rows>{size}</rows></dimension></merge></image>
    <ortho><projection>UTM_Zone{zone}_North</projection></ortho>
    <bandStatistics>{statistics}</bandStatistics>
  </product>
</level_X>
"""
