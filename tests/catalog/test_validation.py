import textwrap

import pytest

from workbench.catalog.entries import expand_variables
from workbench.catalog.validation import parse_catalog
from workbench.errors import CatalogError

GOOD = """\
version: 1
datasets:
  scenes:
    description: Two scenes. Not more.
    sensor: enmap
    layout: enmap_l2a
    source:
      type: local
      path: ${ARCHIVE:-data}/scenes/*
      obtain: Ask for them.
    gsd: 30
    bands: [B001, B002]
    license: CC0-1.0
    citation: Nobody (2020)
  wheel:
    description: Points.
    layout: footprints
    source: {type: package, name: tiny-data, version: 1.0.0, members: [a/b.csv]}
    checksum: sha256:%s
    license: CC0-1.0
    citation: Nobody (2020)
  made:
    description: Made up.
    layout: enmap_simulated
    source: {type: simulated, seed: 1, parameters: {n_tiles: 3, cloudy: true, name: x}}
    license: CC0-1.0
    citation: Nobody (2020)
""" % ("0" * 64)


def complaints(text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(CatalogError) as caught:
        parse_catalog(text, "c.yaml", environ or {})
    return str(caught.value).splitlines()


def changed(old: str, new: str) -> list[str]:
    assert GOOD.count(old) >= 1, old
    return complaints(GOOD.replace(old, new, 1))


def test_a_good_catalog_is_read_as_written():
    catalog = parse_catalog(GOOD, "c.yaml", {"ARCHIVE": "/archive"})
    assert list(catalog.datasets) == ["scenes", "wheel", "made"]
    assert catalog.datasets["scenes"].source.path == "/archive/scenes/*"
    assert catalog.datasets["scenes"].gsd == 30.0
    assert catalog.datasets["wheel"].source.members == ["a/b.csv"]
    assert catalog.datasets["made"].source.parameters == {"n_tiles": 3, "cloudy": True, "name": "x"}


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "bands: [",
            "bandz: [",
            'c.yaml:12:5 datasets.scenes.bandz: unknown key, did you mean "bands"?',
        ),
        (
            "    sensor: enmap\n",
            "    pixels: 3\n",
            "c.yaml:5:5 datasets.scenes.pixels: unknown key; known: description, sensor, layout, "
            "source, license, citation, checksum, gsd, bands",
        ),
        ("version: 1\n", "version: 2\n", "c.yaml:1:10 version: must be 1, found 2"),
        ("sensor: enmap", "sensor: enmapp", 'unknown sensor "enmapp", did you mean "enmap"?'),
        (
            "layout: enmap_l2a",
            "layout: zzz",
            'c.yaml:6:13 datasets.scenes.layout: unknown layout "zzz"; known: bigearth',
        ),
        (
            "type: local",
            "type: locl",
            'c.yaml:8:13 datasets.scenes.source.type: unknown type of source "locl", did you',
        ),
        ("      type: local\n", "", 'datasets.scenes.source: the key "type" is missing: one of'),
        (
            "    license: CC0-1.0\n",
            "",
            'c.yaml:3:3 datasets.scenes: the key "license" is missing',
        ),
        ("gsd: 30", "gsd: 0", "datasets.scenes.gsd: must be greater than 0, found 0"),
        ("gsd: 30", "gsd: fine", 'datasets.scenes.gsd: must be a number, found "fine"'),
        ("[B001, B002]", "[]", "datasets.scenes.bands: must not be empty"),
        ("[B001, B002]", "B001", 'datasets.scenes.bands: must be a list, found "B001"'),
        (
            "[B001, B002]",
            "[B001, 2]",
            "c.yaml:12:19 datasets.scenes.bands[1]: must be text, found 2",
        ),
        (
            "[B001, B002]",
            "[B001, B999]",
            'c.yaml:12:19 datasets.scenes.bands[1]: enmap has no band "B999", did you',
        ),
        ("[B001, B002]", "[B001, B001]", "datasets.scenes.bands: each band may be named once"),
        (
            "license: CC0-1.0",
            "license: no",
            "datasets.scenes.license: must be text, found false; quote it",
        ),
        (
            "version: 1.0.0",
            "version: 1.0",
            "c.yaml:18:55 datasets.wheel.source.version: must be text, found 1.0; quote it",
        ),
        ("[a/b.csv]", "[../b.csv]", "members[0]: a member is a path inside the package"),
        ("name: tiny-data", "name: --index", "source.name: must be the name of a distribution"),
        (
            "checksum: sha256:0",
            "checksum: sha1:0",
            'datasets.wheel.checksum: must be "sha256:" and 64',
        ),
        ("seed: 1", "seed: -1", "datasets.made.source.seed: must be greater than or equal"),
        ("seed: 1", "seed: 1.5", "datasets.made.source.seed: must be a whole number, found 1.5"),
        ("n_tiles: 3", "n_tiles: [3]", "parameters.n_tiles: a parameter is text, a number, true"),
        ("  scenes:\n", "  Scenes 1:\n", "datasets.Scenes 1: a name is lower-case letters"),
        (
            "${ARCHIVE:-data}",
            "$ARCHIVE",
            "datasets.scenes.source.path: write a variable as ${NAME}",
        ),
        (
            "${ARCHIVE:-data}",
            "${ARCHIVE}",
            "c.yaml:9:13 datasets.scenes.source.path: the environment variable ARCHIVE is not set",
        ),
    ],
)
def test_one_mistake_gives_one_line(old, new, line):
    (found,) = changed(old, new)
    assert line in found


def test_a_misspelt_key_is_both_unknown_and_missing():
    assert changed("      path:", "      paths:") == [
        'c.yaml:7:5 datasets.scenes.source: the key "path" is missing',
        'c.yaml:9:7 datasets.scenes.source.paths: unknown key, did you mean "path"?',
    ]


def test_a_package_needs_a_checksum():
    (line,) = changed(f"    checksum: sha256:{'0' * 64}\n", "")
    assert line == (
        "c.yaml:15:3 datasets.wheel.checksum: a package source needs the checksum of its wheel, "
        "sha256:…"
    )


@pytest.mark.parametrize(
    ("entry", "message"),
    [("made", "simulated data have no checksum"), ("scenes", "a checksum belongs to one file")],
)
def test_a_checksum_stands_only_where_it_means_something(entry, message):
    text = GOOD.replace(f"  {entry}:\n", f"  {entry}:\n    checksum: sha256:{'1' * 64}\n")
    (line,) = complaints(text)
    assert f"datasets.{entry}.checksum: {message}" in line


def test_all_mistakes_of_a_file_are_listed_at_once_in_its_order():
    text = (
        GOOD.replace("sensor: enmap", "sensor: enmap\n    sensor: enmap")
        .replace("bands: [", "bandz: [")
        .replace("${ARCHIVE:-data}", "${NOWHERE}")
        .replace("seed: 1", "sed: 1")
        .replace(f"    checksum: sha256:{'0' * 64}\n", "")
    )
    found = complaints(text)
    assert [line.split(" ")[0] for line in found] == [
        "c.yaml:6:5",
        "c.yaml:10:13",
        "c.yaml:13:5",
        "c.yaml:16:3",
        "c.yaml:25:5",
        "c.yaml:25:31",
    ]
    assert 'unknown key, did you mean "seed"?' in found[-1]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "c.yaml:1:1: the catalog is empty"),
        ("- a\n", "c.yaml:1:1: must be a map, found a list"),
        ("version: 1\ndatasets: 3\n", "c.yaml:2:11 datasets: must be a map, found 3"),
        ("version: 1\ndatasets: {a: }\n", "datasets.a: must be a map, found nothing"),
        ("datasets: {}\n", 'c.yaml:1:1: the key "version" is missing'),
        ("version: [\n", "not YAML"),
    ],
)
def test_a_file_that_is_no_catalog_at_all(text, line):
    (found,) = complaints(text)
    assert line in found


def test_an_empty_variable_counts_as_unset():
    assert expand_variables("${A:-x}/${B}", {"A": "", "B": "b"}) == "x/b"
    with pytest.raises(KeyError):
        expand_variables("${A}", {"A": ""})


def test_a_plain_dollar_is_written_twice():
    assert expand_variables("a$$b", {}) == "a$b"


def test_hostile_text_in_a_catalog_never_runs():
    text = textwrap.dedent("""\
        version: 1
        datasets: !!python/object/new:os.system ["exit 3"]
        """)
    assert any("the tag" in line for line in complaints(text))
