"""What changed between two derived documents, as lines for people: operations, fields, types."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.json import decode

_SCHEMAS = "#/components/schemas/"


def report(before: bytes, after: dict[str, Any]) -> str:
    """Markdown; says so where nothing changed."""
    old = decode(before)
    lines = [
        f"# OpenAI's package: {old['info']['version']} to {after['info']['version']}",
        *_section("Operations", operations(old), operations(after)),
        *_section("Fields", fields(old), fields(after)),
    ]
    return "\n".join(lines if len(lines) > 1 else [*lines, "", "Nothing that is described here has changed."])


def operations(document: dict[str, Any]) -> dict[str, str]:
    """``POST /v1/files`` to the operation's name in the SDK; twins stand beside their siblings."""
    found: dict[str, str] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            place = f"{method.upper()} {path}"
            found[place] = operation["operationId"]
            found |= {f"{place}?{twin['query']}": twin["operationId"] for twin in operation.get("x-twins", [])}
    return found


def fields(document: dict[str, Any]) -> dict[str, str]:
    """``Schema.field`` to its type in one line, for every schema and every query of a served operation."""
    found: dict[str, str] = {}
    for name, schema in document["components"]["schemas"].items():
        if "properties" not in schema:
            found[name] = said(schema)
        for field, inner in schema.get("properties", {}).items():
            needed = " (required)" if field in schema.get("required", []) else ""
            found[f"{name}.{field}"] = said(inner) + needed
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "query":
                    found[f"{method.upper()} {path}?{parameter['name']}"] = said(parameter["schema"])
    return found


def said(schema: dict[str, Any]) -> str:
    """A schema in one line: ``string | [Message] | null``."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_SCHEMAS)
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return " | ".join(said(one) for one in alternatives)
    if "const" in schema or "enum" in schema:
        return " | ".join("null" if word is None else repr(word) for word in schema.get("enum", [schema.get("const")]))
    kinds = schema.get("type", "anything")
    return " | ".join(_kind(kind, schema) for kind in (kinds if isinstance(kinds, list) else [kinds]))


def _kind(kind: str, schema: dict[str, Any]) -> str:
    if kind == "array":
        return f"[{said(schema.get('items', {}))}]"
    inner = schema.get("additionalProperties")
    if kind == "object" and isinstance(inner, dict):
        return f"map of {said(inner)}"
    return f"{kind} ({schema['format']})" if "format" in schema else kind


def _section(title: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    lines = [
        *(f"- added `{name}`: {new[name]}" for name in sorted(new.keys() - old.keys())),
        *(f"- removed `{name}`: {old[name]}" for name in sorted(old.keys() - new.keys())),
        *(
            f"- changed `{name}`: {old[name]} -> {new[name]}"
            for name in sorted(old)
            if new.get(name, old[name]) != old[name]
        ),
    ]
    if lines:
        yield from ("", f"## {title}", "", *lines)
