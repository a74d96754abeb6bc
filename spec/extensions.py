"""Overlay actions for the extension object: one closed schema an operation, from the table that the server reads."""

from collections.abc import Iterator
from typing import Any

from parley.extensions import ALIAS
from parley.extensions.fields import FIELDS, LONGEST_STRING, LONGESTTEXT, MOST_STRINGS, ROLES, Field
from parley.settings import EXTENSIONS

SUFFIX = "Extensions"
_SCHEMAS = "#/components/schemas/"
_ROLES = "ExtensionRoles"
_WORDS = (
    "Settings that OpenAI's API does not have. All of them may also stand at the top level of the request; where both "
    "are given they must agree. Nothing else may be in here."
)


def actions(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """For every operation of the gateway in the document: the object, and the names at the top level of JSON bodies."""
    yield {"target": "$.components.schemas", "update": {_ROLES: _roles()}}
    for operation, kind, request in _requests(document):
        name = "".join(word.capitalize() for word in operation.split("_")) + SUFFIX
        fields = {field: _schema(facts) for field, facts in FIELDS.items() if facts.fits(operation)}
        whole = {"type": "object", "description": _WORDS, "additionalProperties": False, "properties": fields}
        yield {"target": "$.components.schemas", "update": {name: whole}}
        held = document["components"]["schemas"][request]["properties"]
        added = {EXTENSIONS: _maybe(name), ALIAS: _maybe(name)}
        if kind == "application/json":
            added |= {field: fields[field] for field in fields if FIELDS[field].top and field not in held}
        yield {"target": f"$.components.schemas.{request}.properties", "update": added}


def _requests(document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Operation, content type and the name of its request's schema."""
    for item in document["paths"].values():
        for operation in item.values():
            if "x-parley-operation" in operation:
                [(kind, content)] = operation["requestBody"]["content"].items()
                yield operation["x-parley-operation"], kind, content["schema"]["$ref"].removeprefix(_SCHEMAS)


def _maybe(name: str) -> dict[str, Any]:
    return {"anyOf": [{"$ref": _SCHEMAS + name}, {"type": "null"}]}


def _roles() -> dict[str, Any]:
    texts = {role: {"type": ["string", "null"], "maxLength": LONGEST_STRING} for role in ROLES}
    words = "What stands before a message's text, by its role."
    return {"type": "object", "description": words, "additionalProperties": False, "properties": texts}


def _schema(field: Field) -> dict[str, Any]:
    if field.kind == "roles":
        return _maybe(_ROLES)
    kind = {"strings": "array", "choice": "string"}.get(field.kind, field.kind)
    found: dict[str, Any] = {"type": [kind, "null"] if field.nullable else kind}
    if field.kind == "strings":
        found |= {"items": {"type": "string", "minLength": 1, "maxLength": LONGEST_STRING}, "maxItems": MOST_STRINGS}
    elif field.kind == "string":
        found["maxLength"] = LONGESTTEXT
    elif field.kind == "choice":
        found["enum"] = [*field.choices, *([None] if field.nullable else [])]
    if field.low is not None:
        found["minimum"] = field.low
    if field.high is not None:
        found["maximum"] = field.high
    return found
