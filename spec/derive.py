"""The OpenAPI 3.1 document of the SDK's whole surface: served operations in full, the others by name."""

import re
from collections.abc import Set
from importlib.metadata import version
from typing import Any

import typing_extensions as te
from openai._legacy_response import HttpxBinaryResponseContent
from openai.types.audio import (
    transcription_create_response,
    translation_create_response,
)

from spec.annotations import Schema, Schemas, object_schema
from spec.resources import Call

Key = tuple[str, str]
_PARAMETER = re.compile(r"\{(\w+)\}")
# What the SDK decides by the requested format, in a function of its own.
_ANSWERS = {
    "audio.transcriptions.create": transcription_create_response.TranscriptionCreateResponse,
    "audio.translations.create": translation_create_response.TranslationCreateResponse,
}


def document(calls: list[Call], served: Set[Key]) -> dict[str, Any]:
    """The document. ``served`` are (path, lower-case method) of the operations to describe in full."""
    schemas = Schemas()
    paths: dict[str, Any] = {}
    for call in calls:
        item = paths.setdefault(call.path, {})
        method = call.method.lower()
        if call.marker:
            # A path of OpenAPI has no query: a twin is told at its sibling.
            item[method].setdefault("x-twins", []).append({"operationId": operation_id(call), "query": call.marker})
            continue
        item[method] = _operation(call) | (_in_full(call, schemas) if (call.path, method) in served else _by_name())
    return {
        "openapi": "3.1.0",
        "info": {"title": "OpenAI API, as its Python package calls it", "version": version("openai")},
        "servers": [{"url": "https://api.openai.com"}],
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.components.items()))},
    }


def operation_id(call: Call) -> str:
    """The SDK's own name of an operation as one word: chat.completions.create -> chatCompletionsCreate."""
    first, *others = re.split(r"[._]", call.name)
    return first + "".join(word.capitalize() for word in others)


def _operation(call: Call) -> dict[str, Any]:
    *place, verb = call.name.split(".")
    found = {
        "operationId": operation_id(call),
        "summary": f"{' '.join(place).replace('_', ' ')}: {verb.replace('_', ' ')}".capitalize(),
        "tags": [call.path.split("/")[2]],
    }
    names = _PARAMETER.findall(call.path)
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    return found | ({"parameters": parameters} if parameters else {})


def _by_name() -> dict[str, Any]:
    return {"responses": {"default": {"description": "Not described here."}}}


def _in_full(call: Call, schemas: Schemas) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if call.query is not None:
        found["parameters"] = _operation(call).get("parameters", []) + _query(call, schemas)
    if call.body is not None:
        name = "".join(word[:1].upper() + word[1:] for word in re.split(r"[._]", call.name)) + "Request"
        schemas.components[name] = object_schema(*_chosen(schemas.members(call.body), call.body_fields))
        kind = "multipart/form-data" if call.form else "application/json"
        content = {kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}}
        found["requestBody"] = {"required": True, "content": content}
    found["responses"] = {"200": {"description": "The answer.", "content": _answer(call, schemas)}}
    return found


def _chosen(
    members: tuple[dict[str, Schema], list[str]], names: tuple[str, ...] | None
) -> tuple[dict[str, Schema], list[str]]:
    properties, required = members
    if names is None:
        return members
    return {name: properties[name] for name in properties if name in names}, [one for one in required if one in names]


def _query(call: Call, schemas: Schemas) -> list[dict[str, Any]]:
    properties, _ = _chosen(schemas.members(call.query), call.query_fields)
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]


def _answer(call: Call, schemas: Schemas) -> dict[str, Any]:
    kind = _ANSWERS.get(call.name, call.answer)
    content: dict[str, Any] = {}
    if call.page is not None:
        content["application/json"] = {"schema": object_schema(*schemas.members(call.page))}
    elif kind is HttpxBinaryResponseContent:
        content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    elif kind is None:
        raise ValueError(f"{call.name} is served, but the type of its answer is not known")
    elif kind is not type(None):
        content["application/json"] = {"schema": schemas.of(kind)}
    if call.event is not None:
        # OpenAPI 3.1 has no words for events in a stream; what their data holds is told beside the schema.
        content["text/event-stream"] = {"schema": {}, "x-event-data": schemas.of(te.get_args(call.event)[0])}
    return content
