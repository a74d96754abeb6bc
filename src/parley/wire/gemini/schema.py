"""Two ways to describe a value: JSON Schema, and the part of OpenAPI 3.0 that Gemini's own schemas are.

Source: provider contract 3.2, 3.6 (6).
"""

from typing import Any, Final

from parley.failure import invalid
from parley.wire.gemini.names import Json

MAX_WRITTEN: Final = 20_000

_MAPS: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "defs"})
_VALUES: Final = frozenset({"enum", "default", "example", "examples", "const", "required", "propertyOrdering"})
# What only Gemini's schemas have and JSON Schema says in another way or not at all.
_OWN: Final = frozenset({"nullable", "propertyOrdering", "property_ordering", "example"})
_SPELLED: Final = {
    "any_of": "anyOf",
    "max_items": "maxItems",
    "max_length": "maxLength",
    "max_properties": "maxProperties",
    "min_items": "minItems",
    "min_length": "minLength",
    "min_properties": "minProperties",
    "additional_properties": "additionalProperties",
    "ref": "$ref",
    "defs": "$defs",
}
_TAKEN: Final = frozenset(
    {
        "type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems", "properties", "required",
        "minProperties", "maxProperties", "minLength", "maxLength", "pattern", "anyOf", "items", "minimum", "maximum",
        "default",
    }
)  # fmt: skip


def json_schema(schema: Any) -> Any:
    """JSON Schema for one of Gemini's: types in small letters, ``nullable`` as a type."""
    if type(schema) is list:
        return [json_schema(item) for item in schema]
    if type(schema) is not dict:
        return schema
    spelled: Json = {str(_SPELLED.get(key, key)): value for key, value in schema.items()}
    made: Json = {name: _member(name, value) for name, value in spelled.items() if name not in _OWN}
    if schema.get("nullable") is True:
        _allow_null(made)
    return made


def _member(name: str, value: Any) -> Any:
    """One member of a schema."""
    if name in _MAPS and type(value) is dict:
        return {inner: json_schema(item) for inner, item in value.items()}
    if name in _VALUES:
        return value
    if type(value) is str:
        # Counts are 64-bit integers, which this wire writes as strings.
        count = name.startswith(("min", "max")) and value.isascii() and value.isdigit()
        return value.lower() if name == "type" else int(value) if count else value
    return json_schema(value)


def _allow_null(made: Json) -> None:
    if type(made.get("type")) is str:
        made["type"] = [made["type"], "null"]
        if type(made.get("enum")) is list:
            made["enum"] = [*made["enum"], None]
    elif type(made.get("anyOf")) is list:
        made["anyOf"] = [*made["anyOf"], {"type": "null"}]


def openapi(schema: Json) -> Json:
    """One of Gemini's for JSON Schema, for servers that take no other: references are written out, a constant is an
    enumeration of one, and what has no word here is left out. Raises ``invalid_request`` for one that grows beyond all
    bounds when its references are written out."""
    return _plain(schema, _Whole(schema), ())


class _Whole:
    """The schema that references point into, and how much has been written of it."""

    __slots__ = ("root", "written")

    def __init__(self, root: Json) -> None:
        self.root = root
        self.written = 0


def _plain(schema: Any, root: _Whole, within: tuple[str, ...]) -> Json:
    if type(schema) is not dict:
        return {}
    root.written += 1
    if root.written > MAX_WRITTEN:
        raise invalid("the schema is too large once its references are written out")
    target = schema.get("$ref")
    if type(target) is str:
        # What holds itself cannot be written out.
        if target in within:
            return {"type": "object"}
        others = {key: value for key, value in schema.items() if key != "$ref"}
        return _plain({**_referred(root.root, target), **others}, root, (*within, target))
    made: Json = {key: value for key, value in schema.items() if key in _TAKEN}
    if "const" in schema:
        made["enum"] = [schema["const"]]
    _choices(made, schema, root, within)
    if type(schema.get("properties")) is dict:
        made["properties"] = {name: _plain(item, root, within) for name, item in schema["properties"].items()}
    if type(schema.get("items")) is dict:
        made["items"] = _plain(schema["items"], root, within)
    return _typed(made)


def _choices(made: Json, schema: Json, root: _Whole, within: tuple[str, ...]) -> None:
    options = schema.get("anyOf") or schema.get("oneOf")
    if type(options) is list:
        known = [item for item in options if not (type(item) is dict and item.get("type") == "null")]
        made["anyOf"] = [_plain(item, root, within) for item in known]
        if len(known) < len(options):
            made["nullable"] = True
    parts = schema.get("allOf")
    if type(parts) is list:
        for part in parts:
            made.update(_plain(part, root, within))


def _typed(made: Json) -> Json:
    kind = made.get("type")
    if type(kind) is list:
        kinds = [item for item in kind if item != "null"]
        if len(kinds) < len(kind):
            made["nullable"] = True
        if len(kinds) == 1:
            made["type"] = kinds[0]
        else:
            del made["type"]
            made["anyOf"] = [{"type": item} for item in kinds]
    if type(made.get("enum")) is list and made.get("type", "string") == "string":
        made["enum"] = [str(item) for item in made["enum"] if item is not None]
        made["type"] = "string"
    return made


def _referred(root: Json, target: str) -> Json:
    found: Any = root
    for step in target.removeprefix("#").strip("/").split("/") if target.startswith("#") else ["?"]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if type(found) is dict and step else found
    return found if type(found) is dict else {}
