"""From YAML text to a checked catalog, or to the list of everything that is wrong with it."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from workbench.catalog.document import Document, read_document
from workbench.catalog.entries import SOURCES, CatalogDocument, Dataset
from workbench.catalog.problems import Path, Position, Problem, did_you_mean, refuse
from workbench.sensors import SENSOR_NAMES, sensor

_KINDS = {"dict_type": "a map", "model_type": "a map", "model_attributes_type": "a map"}
_KINDS |= {"list_type": "a list", "string_type": "text", "int_type": "a whole number"}
_KINDS |= {
    "float_type": "a number",
    "float_parsing": "a number",
    "int_from_float": "a whole number",
}
_PATTERNS = {
    "checksum": '"sha256:" and 64 hexadecimal digits',
    "name": "the name of a distribution",
    "version": "one exact version",
}


def parse_catalog(text: str, filename: str, environ: Mapping[str, str]) -> CatalogDocument:
    """Check the text of a catalog against the models and the rules between fields.

    Args:
        text: Content of the file.
        filename: How messages call the file.
        environ: Environment variables for the paths of local sources.

    Raises:
        CatalogError: Listing every problem, one line each, as
            "data_catalog.yaml:12:5 datasets.enmap.bandz: unknown key, did you mean "bands"?".
    """
    document = read_document(text)
    if document.problems and document.value is None:
        refuse(filename, document.problems)
    if document.value is None:
        refuse(filename, [Problem(Position(1, 1), (), "the catalog is empty")])
    try:
        catalog = CatalogDocument.model_validate(document.value, context={"environ": environ})
    except ValidationError as error:
        found = [_problem(document, details) for details in error.errors(include_url=False)]
        refuse(filename, [*document.problems, *found, *_between_fields(document)])
    if problems := [*document.problems, *_between_fields(document)]:
        refuse(filename, problems)
    return catalog


def _problem(document: Document, details: ErrorDetails) -> Problem:
    kind, path = details["type"], _path_in_file(document, details)
    if details["loc"] and details["loc"][-1] == "[key]":
        message = f'a name is lower-case letters, digits and _, found "{path[-1]}"'
        return Problem(document.position(path, of_key=True), path, message)
    if kind == "extra_forbidden":
        known = _fields_at(document, path[:-1])
        hint = did_you_mean(str(path[-1]), known) or f"; known: {', '.join(known)}"
        message = f"unknown key{hint}"
        return Problem(document.position(path, of_key=True), path, message)
    if kind == "missing":
        return Problem(document.position(path), path[:-1], f'the key "{path[-1]}" is missing')
    if kind == "union_tag_not_found":
        return Problem(document.position(path), path, f'the key "type" is missing: {_types()}')
    if kind == "union_tag_invalid":
        tag = details["ctx"]["tag"]
        hint = did_you_mean(tag, SOURCES) or f"; it is {_types()}"
        path = (*path, "type")
        return Problem(document.position(path), path, f'unknown type of source "{tag}"{hint}')
    return Problem(document.position(path), path, _value_message(kind, path, details))


def _value_message(kind: str, path: Path, details: ErrorDetails) -> str:
    found = details["input"]
    if kind == "catalog":
        return str(details["ctx"]["message"])
    if kind in _KINDS:
        quote = (
            "; quote it" if kind == "string_type" and isinstance(found, bool | int | float) else ""
        )
        return f"must be {_KINDS[kind]}, found {_described(found)}{quote}"
    if kind == "string_pattern_mismatch":
        return f"must be {_PATTERNS.get(str(path[-1]), 'well formed')}, found {_described(found)}"
    if kind in ("string_too_short", "too_short"):
        return "must not be empty"
    if kind == "literal_error":
        return f"must be {details['ctx']['expected']}, found {_described(found)}"
    said = details["msg"].replace("Input should", "must")
    return f"{said[:1].lower()}{said[1:]}, found {_described(found)}"


def _described(value: Any) -> str:
    """A found value in at most forty characters, as YAML would write it."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "a map" if isinstance(value, dict) else "a list"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = text if len(text) <= 40 else f"{text[:37]}..."
    return f'"{text}"' if isinstance(value, str) else text


def _types() -> str:
    return f"one of {', '.join(SOURCES)}"


def _path_in_file(document: Document, details: ErrorDetails) -> Path:
    """Drop what pydantic adds to a path: the source's type, "[key]"."""
    path: Path = ()
    for step in details["loc"]:
        if (*path, step) in document.values:
            path = (*path, step)
    return (*path, details["loc"][-1]) if details["type"] == "missing" else path


def _fields_at(document: Document, path: Path) -> list[str]:
    """The keys that a map at this path may have."""
    if len(path) >= 3 and path[2] == "source":
        source = document.value["datasets"][path[1]]["source"]
        return list(SOURCES[source["type"]].model_fields)
    model: type[BaseModel] = Dataset if len(path) == 2 else CatalogDocument
    return list(model.model_fields)


def _between_fields(document: Document) -> Iterator[Problem]:
    """Rules that need two fields; an entry that is malformed there has been listed already."""
    root = document.value
    datasets = root.get("datasets") if isinstance(root, dict) else None
    for name, entry in datasets.items() if isinstance(datasets, dict) else ():
        if isinstance(entry, dict):
            path = ("datasets", name)
            for where, message in (*_checksum_rule(entry), *_band_rule(entry)):
                yield Problem(document.position((*path, *where)), (*path, *where), message)


def _checksum_rule(entry: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    source = entry.get("source")
    kind = source.get("type") if isinstance(source, dict) else None
    if kind == "package" and "checksum" not in entry:
        yield ("checksum",), "a package source needs the checksum of its wheel, sha256:…"
    if kind == "simulated" and "checksum" in entry:
        yield ("checksum",), "simulated data have no checksum; their seed and parameters say it all"
    path = source.get("path") if isinstance(source, dict) else None
    if kind == "local" and "checksum" in entry and isinstance(path, str) and set(path) & set("*?["):
        yield ("checksum",), "a checksum belongs to one file, but the path is a glob"


def _band_rule(entry: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    bands, name = entry.get("bands"), entry.get("sensor")
    if not isinstance(bands, list) or not all(isinstance(band, str) for band in bands):
        return
    if len(set(bands)) < len(bands):
        yield ("bands",), "each band may be named once"
    if name in SENSOR_NAMES:
        known = [band.name for band in sensor(name).bands]
        for i, band in enumerate(bands):
            if band not in known:
                yield ("bands", i), f'{name} has no band "{band}"{did_you_mean(band, known)}'
