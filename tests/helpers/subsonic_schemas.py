"""The JSON schemas of OpenSubsonic's answers, and a check that is stricter than they are: no name that they lack."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).parent / "opensubsonic"
# Sent although the schemas lack them: names of older protocol versions that clients still read.
OLDER = {"parent", "isDir", "title", "album", "mediaType", "coverArt", "playCount", "name", "songCount", "albumCount"}


@cache
def schemas() -> dict[str, Any]:
    return json.loads((FOLDER / "schemas.json").read_text(encoding="utf-8"))


def faults(endpoint: str, answer: Any) -> list[str]:
    """What is wrong with the JSON answer of an endpoint."""
    schema = {**schemas()["answers"][endpoint], "$defs": schemas()["$defs"]}
    told = [f"{error.json_path}: {error.message[:200]}" for error in Draft202012Validator(schema).iter_errors(answer)]
    return told + _unknown(schema, answer, "$")


def _parts(schema: Any) -> dict[str, Any]:
    """The properties of a schema, those of its parts included."""
    if "$ref" in schema:
        return _parts(schemas()["$defs"][schema["$ref"].rpartition("/")[2]])
    found = dict(schema.get("properties", {}))
    for kind in ("allOf", "oneOf", "anyOf"):
        for one in schema.get(kind, []):
            found |= _parts(one)
    return found


def _unknown(schema: Any, value: Any, where: str) -> list[str]:
    if isinstance(value, list):
        while "$ref" in schema:
            schema = schemas()["$defs"][schema["$ref"].rpartition("/")[2]]
        return [told for one in value for told in _unknown(schema.get("items", {}), one, f"{where}[]")]
    if not isinstance(value, dict):
        return []
    known = _parts(schema)
    told = [f"{where}.{name}: no such name" for name in value if known and name not in known and name not in OLDER]
    for name, one in value.items():
        told += _unknown(known.get(name, {}), one, f"{where}.{name}")
    return told
