"""XML from strangers: plain XML is read, whatever could expand or fetch is refused."""

import pytest

from workbench.errors import TileError
from workbench.readers.safe_xml import read_xml

LAUGHS = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'
EXTERNAL = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'


def test_plain_xml_is_read(tmp_path):
    (tmp_path / "x.xml").write_text("<?xml version='1.0'?><a><b>Zürich &amp; 1</b></a>", "utf-8")
    assert read_xml(tmp_path / "x.xml").findtext("b") == "Zürich & 1"


@pytest.mark.parametrize("text", [LAUGHS, EXTERNAL, '<!DOCTYPE a SYSTEM "x.dtd"><a/>'])
def test_a_document_type_is_refused(tmp_path, text):
    (tmp_path / "x.xml").write_text(text)
    with pytest.raises(TileError, match="it has a document type"):
        read_xml(tmp_path / "x.xml")


@pytest.mark.parametrize("text", ["", "<a>", "<a>&unknown;</a>", "text", "\0"])
def test_what_is_no_xml_is_named(tmp_path, text):
    (tmp_path / "x.xml").write_text(text)
    with pytest.raises(TileError, match=r"must be plain XML, but .*x\.xml"):
        read_xml(tmp_path / "x.xml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TileError, match=r"y\.xml is not"):
        read_xml(tmp_path / "y.xml")
