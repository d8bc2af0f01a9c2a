"""Make `schemas.json` of a copy of OpenSubsonic's OpenAPI folder: `python compact.py FOLDER`.

Kept are the JSON answers of all endpoints; left out are requests, examples, links and prose.
"""

import json
import sys
from pathlib import Path
from typing import Any

PROSE = ("description", "externalDocs", "example", "examples", "title")


def compact(folder: Path) -> dict[str, Any]:
    """{"answers": {endpoint: schema}, "$defs": {name: schema}}; references lead into "$defs"."""
    schemas: dict[str, Any] = {}
    answers = {}
    for path in sorted((folder / "endpoints").glob("*.json")):
        methods = json.loads(path.read_text(encoding="utf-8"))
        answer, at = methods.get("get", methods.get("post"))["responses"]["200"], path
        if "$ref" in answer:
            at = (path.parent / answer["$ref"]).resolve()
            answer = json.loads(at.read_text(encoding="utf-8"))
        held = answer["content"].get("application/json")
        if held is not None:
            answers[path.stem] = rewritten(held["schema"], at, schemas)
    return {"answers": answers, "$defs": dict(sorted(schemas.items()))}


def rewritten(schema: Any, at: Path, schemas: dict[str, Any]) -> Any:
    """A schema whose references lead into `schemas`, which takes what they lead to."""
    if isinstance(schema, list):
        return [rewritten(one, at, schemas) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get("$ref"), str):
        to = (at.parent / schema["$ref"]).resolve()
        if to.stem not in schemas:
            schemas[to.stem] = {}  # a schema may hold itself
            schemas[to.stem] = rewritten(json.loads(to.read_text(encoding="utf-8")), to, schemas)
        return {"$ref": f"#/$defs/{to.stem}"}
    return {
        name: {key: rewritten(one, at, schemas) for key, one in value.items()}
        if name == "properties"
        else rewritten(value, at, schemas)
        for name, value in schema.items()
        if name not in PROSE
    }


if __name__ == "__main__":
    made = compact(Path(sys.argv[1]))
    text = json.dumps(made, separators=(",", ":"), sort_keys=True)
    Path(__file__).with_name("schemas.json").write_text(text + "\n", encoding="utf-8")
