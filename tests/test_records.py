import pydantic
import pytest

from workbench.errors import ManifestError
from workbench.records import read_record, write_record


class Card(pydantic.BaseModel, extra="forbid", strict=True):
    name: str
    bands: int = pydantic.Field(ge=1)


def read(path):
    return read_record(path, Card, what="a card", cure="Make it anew.", error=ManifestError)


def test_a_record_comes_back_as_it_was_written(tmp_path):
    card = Card(name="Ä", bands=3)
    assert read(write_record(tmp_path / "card.json", card)) == card
    assert read(write_record(tmp_path / "card.json", card.model_dump())) == card


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a card: invalid JSON"),
        ("[" * 100_000, "is not a card: invalid JSON"),
        ("[]", "is not a card: the top level: input should be an object, found \\[\\]"),
        ('{"name": "a", "bands": 0}', "bands: input should be greater than or equal to 1, found 0"),
        ('{"name": 3, "bands": "x"}', "name: input should be a valid string, found 3 .and 1 more."),
        ('{"name": "a", "bands": 1, "x": 1}', "x: extra inputs are not permitted, found 1"),
    ],
)
def test_a_damaged_record_is_refused_in_one_sentence(tmp_path, text, said):
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(ManifestError, match=said) as caught:
        read(tmp_path / "card.json")
    assert str(caught.value).splitlines()[1:] == ["Make it anew."]


def test_a_missing_record_and_one_that_is_not_text_are_named(tmp_path):
    with pytest.raises(ManifestError, match=r"There is no card at .*card\.json"):
        read(tmp_path / "card.json")
    (tmp_path / "card.json").write_bytes(b'{"name": "\xff"}')
    with pytest.raises(ManifestError, match="must be UTF-8 text, but byte 10 is 0xff"):
        read(tmp_path / "card.json")


def test_what_json_cannot_hold_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_record(tmp_path / "card.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())
