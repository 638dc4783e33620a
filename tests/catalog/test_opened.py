import hashlib
from pathlib import Path

import pytest

from workbench.catalog import open_catalog
from workbench.errors import CatalogError

ENTRY = """
  {name}:
    description: {description}
    layout: footprints
    source: {source}
    license: CC0-1.0
    citation: Nobody (2020)
"""
LOCAL = '{{type: local, path: "{path}", obtain: Ask the owner.}}'


@pytest.fixture
def write(tmp_path):
    """Write a catalog of these entries (name: source) into its own folder and open it."""

    def catalog(description="A thing. Or two.", more="", **sources):
        (tmp_path / "home").mkdir(exist_ok=True)
        path = tmp_path / "home" / "c.yaml"
        entries = [
            ENTRY.format(name=name, description=description, source=source)
            for name, source in sources.items()
        ]
        path.write_text("version: 1\ndatasets:" + "".join(entries) + more, encoding="utf-8")
        return open_catalog(path)

    return catalog


def local(path):
    return LOCAL.format(path=path)


def test_entries_are_looked_up_by_name_in_the_order_of_the_file(write):
    catalog = write(zebra=local("a"), ant=local("b"))
    assert list(catalog) == ["zebra", "ant"]
    assert len(catalog) == 2
    assert "ant" in catalog
    assert "bee" not in catalog
    assert catalog["ant"].title == "A thing"
    assert [entry.name for entry in catalog.values()] == ["zebra", "ant"]


def test_an_unknown_name_gets_a_suggestion(write):
    catalog = write(scenes=local("a"), grid=local("b"))
    with pytest.raises(CatalogError, match=r"c\.yaml has no entry 'scnes'") as caught:
        catalog.fetch("scnes")
    assert 'Did you mean "scenes"?' in str(caught.value)
    with pytest.raises(CatalogError, match="has no entry 'zzz'") as caught:
        catalog["zzz"]
    assert "It has: scenes, grid." in str(caught.value)


def test_no_catalog_where_one_was_named(tmp_path):
    with pytest.raises(CatalogError, match="There is no catalog at ") as caught:
        open_catalog(tmp_path / "none.yaml")
    assert str(tmp_path / "none.yaml") in str(caught.value)


def test_no_catalog_says_how_to_name_one_in_python_and_in_a_shell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        CatalogError, match=r"There is no catalog at .*data_catalog\.yaml"
    ) as caught:
        open_catalog()
    assert "open_catalog(PATH)" in str(caught.value)
    assert "--catalog PATH" in str(caught.value)
    assert str(caught.value).count("\n") == 1


def test_a_catalog_that_is_no_text(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"version: \xff\xfe")
    with pytest.raises(CatalogError, match="must be UTF-8 text"):
        open_catalog(tmp_path / "c.yaml")


def test_relative_paths_start_at_the_folder_of_the_catalog(write, tmp_path, monkeypatch):
    catalog = write(a=local("sub/x.csv"))
    (tmp_path / "home/sub").mkdir()
    (tmp_path / "home/sub/x.csv").write_text("1")
    monkeypatch.chdir(tmp_path)
    assert catalog["a"].file() == tmp_path / "home/sub/x.csv"
    assert catalog.fetch("a") == tmp_path / "home/sub"


def test_a_relative_catalog_stays_where_it_was_opened(write, tmp_path, monkeypatch):
    write(a=local("x.csv"))
    (tmp_path / "home/x.csv").write_text("1")
    monkeypatch.chdir(tmp_path / "home")
    catalog = open_catalog("c.yaml")
    monkeypatch.chdir(tmp_path)
    assert catalog["a"].file().read_text() == "1"


def test_globs_folders_and_patterns_list_files_in_order(write, tmp_path):
    catalog = write(globbed=local("t/*/*.tif"), folder=local("t"), deep=local("t/**/b.tif"))
    for name in ("2/b.tif", "1/a.tif", "1/b.tif", "1/note.txt"):
        (tmp_path / "home/t" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "home/t" / name).write_text(name)
    top = tmp_path / "home/t"
    assert catalog["globbed"].files() == [top / "1/a.tif", top / "1/b.tif", top / "2/b.tif"]
    assert catalog["folder"].files("*.tif") == catalog["globbed"].files()
    assert catalog["deep"].files() == [top / "1/b.tif", top / "2/b.tif"]
    assert {catalog.fetch(name) for name in catalog} == {top}
    with pytest.raises(CatalogError, match=r"must have one file '\*\.tif', found 3: a\.tif"):
        catalog["folder"].file("*.tif")


def test_absent_local_data_say_how_to_get_them(write):
    catalog = write(a=local("nowhere/*"))
    assert not catalog["a"].is_available()
    with pytest.raises(CatalogError, match=r"Entry 'a': nothing lies at .*nowhere/\*") as caught:
        catalog.fetch("a")
    assert str(caught.value).endswith("\nAsk the owner.")


def test_environment_variables_lead_to_the_data(write, tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_ARCHIVE", str(tmp_path / "archive"))
    catalog = write(a=local("${SOME_ARCHIVE}/x"), b=local("${NO_SUCH_ARCHIVE:-data}/x"))
    assert catalog["a"].path == tmp_path / "archive/x"
    assert catalog["b"].path == tmp_path / "home/data/x"


def test_an_unset_variable_is_an_error_of_the_file(write):
    with pytest.raises(CatalogError, match="the environment variable NO_SUCH_ARCHIVE is not set"):
        write(a=local("${NO_SUCH_ARCHIVE}/x"))


def test_the_home_folder_may_be_written_short(write):
    assert write(a=local("~/x"))["a"].path == Path.home() / "x"


def test_fetching_a_package_through_the_catalog(write, publish):
    wheel = publish()
    source = "{type: package, name: tiny-data, version: '1.0', members: [tiny_data/*]}"
    catalog = write(a=f"{source}\n    checksum: {wheel.checksum}")
    entry = catalog["a"]
    assert not entry.is_available()
    folder = catalog.fetch("a")
    assert folder == entry.path
    assert entry.is_available()
    assert [p.relative_to(folder).as_posix() for p in entry.files()] == [
        "tiny_data/a.csv",
        "tiny_data/deep/b.bin",
    ]
    assert entry.fingerprint() == wheel.checksum
    assert entry.damage() == []
    (folder / "tiny_data/a.csv").write_bytes(b"y\n1\n")  # same size
    assert entry.damage() == ["tiny_data/a.csv has changed since it was fetched"]


def test_the_fingerprint_of_local_data_follows_names_sizes_and_times(write, tmp_path):
    entry = write(a=local("t/*"))["a"]
    (tmp_path / "home/t").mkdir()
    file = tmp_path / "home/t/x"
    file.write_text("one")
    before = entry.fingerprint()
    assert before.startswith("listing-sha256:")
    assert entry.fingerprint() == before
    file.write_text("three")
    assert entry.fingerprint() != before


def test_the_fingerprint_of_simulated_data_follows_seed_and_parameters(write):
    catalog = write(
        a="{type: simulated, seed: 1}",
        b="{type: simulated, seed: 1}",
        c="{type: simulated, seed: 2}",
        d="{type: simulated, seed: 1, parameters: {n: 1}}",
    )
    prints = [entry.fingerprint() for entry in catalog.values()]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
    assert catalog["a"].is_available()
    with pytest.raises(CatalogError, match="Entry 'a' is simulated: it has no files"):
        catalog.fetch("a")


def test_a_checksum_of_one_local_file_is_held_against_it(write, tmp_path):
    digest = hashlib.sha256(b"right").hexdigest()
    catalog = write(a=f"{local('x.bin')}\n    checksum: sha256:{digest}")
    (tmp_path / "home/x.bin").write_bytes(b"right")
    assert catalog["a"].damage() == []
    (tmp_path / "home/x.bin").write_bytes(b"wrong")
    (damage,) = catalog["a"].damage()
    assert "x.bin has the checksum sha256:" in damage


def test_the_table_of_entries_is_printed_and_escaped(write):
    catalog = write(description='"<script>alert(1)</script> & more. Not shown."', a=local("x"))
    assert "<script>alert(1)</script> & more" in repr(catalog)
    assert "Not shown" not in repr(catalog)
    html = catalog._repr_html_()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in html
    assert "<script>" not in html
    assert max(map(len, repr(catalog).splitlines()[1:])) <= 100
