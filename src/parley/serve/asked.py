"""What callers ask of stored objects, read strictly: query parameters, metadata, items. Errors name the field."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.datastructures import QueryParams

from parley.failure import Failure, ParleyError, invalid
from parley.jsontext import whole
from parley.store.items import Cut, texts

MAX_ITEMS: Final = 20
MAX_PAIRS, MAX_KEY, MAX_VALUE = 16, 64, 512
MAX_LIMIT: Final = 100
_ROLES: Final = ("user", "assistant", "system", "developer", "tool")
# Source: types of input items in OpenAI's own package; a reference cannot be stored, it names what is.
ITEM_TYPES: Final = frozenset(
    (
        "message", "file_search_call", "computer_call", "computer_call_output", "web_search_call", "function_call",
        "function_call_output", "tool_search_call", "tool_search_output", "additional_tools", "configuration_update",
        "reasoning", "compaction", "image_generation_call", "code_interpreter_call", "local_shell_call",
        "local_shell_call_output", "shell_call", "shell_call_output", "apply_patch_call", "apply_patch_call_output",
        "mcp_list_tools", "mcp_approval_request", "mcp_approval_response", "mcp_call", "custom_tool_call_output",
        "custom_tool_call", "program", "program_output",
    )
)  # fmt: skip
INCLUDABLE: Final = frozenset(
    (
        "file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
        "message.input_image.image_url", "computer_call_output.output.image_url", "code_interpreter_call.outputs",
        "reasoning.encrypted_content", "message.output_text.logprobs",
    )
)  # fmt: skip

_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def cut(query: QueryParams) -> Cut:
    """Order, limit and after of a list."""
    include(query)
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise invalid(f"Invalid value: {order[:80]!r}. Supported values are: 'asc' and 'desc'.", "order")
    limit = _number(query, "limit", 20)
    if not 1 <= limit <= MAX_LIMIT:
        raise invalid(f"Invalid value for 'limit': expected 1 to {MAX_LIMIT}, got {limit}.", "limit")
    return Cut(order == "desc", limit, query.get("after"))


def include(query: QueryParams) -> None:
    """Check ``include``; all that is stored is shown in any case."""
    for value in (*query.getlist("include"), *query.getlist("include[]")):
        if value not in INCLUDABLE:
            known = ", ".join(sorted(INCLUDABLE))
            raise invalid(f"Invalid value: {value[:80]!r}. Supported values are: {known}.", "include")


def stream(query: QueryParams) -> int | None:
    """None for a plain answer, else the number of the last event the caller has (-1: none)."""
    include(query)
    _truth(query, "include_obfuscation")
    if _truth(query, "stream"):
        after = _number(query, "starting_after", -1)
        if after < -1:
            raise invalid(f"Invalid value for 'starting_after': {after} is below zero.", "starting_after")
        return after
    if query.get("starting_after") is not None:
        raise invalid("starting_after is possible only with stream=true", "starting_after")
    return None


def _truth(query: QueryParams, name: str) -> bool:
    value = query.get(name, "false")
    if value not in ("true", "false"):
        raise invalid(f"Invalid value for '{name}': expected true or false, got {value[:80]!r}.", name)
    return bool(value == "true")


def _number(query: QueryParams, name: str, default: int) -> int:
    value = query.get(name)
    if value is None:
        return default
    digits = value[1:] if value.startswith("-") else value
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 10):
        raise invalid(f"Invalid value for '{name}': expected an integer, got {value[:80]!r}.", name)
    return int(value)


def members(body: bytes, known: tuple[str, ...], *, empty: bool = False) -> dict[str, Any]:
    """The body's members, all of them known."""
    if empty and not body.strip():
        return {}
    found = whole(body)
    for name in found:
        if name not in known:
            raise invalid(f"Unknown parameter: '{name[:80]}'.", name[:80])
    return found


def metadata(value: Any) -> bytes:
    """The JSON text of metadata; null is none at all."""
    if value is None:
        return b"{}"
    if not isinstance(value, dict):
        raise invalid(f"Invalid type for 'metadata': expected an object, got {_kind(value)}.", "metadata")
    if len(value) > MAX_PAIRS:
        raise invalid(f"Invalid 'metadata': at most {MAX_PAIRS} pairs, got {len(value)}.", "metadata")
    for key, text in value.items():
        _pair(key, text)
    return msgspec.json.encode(value)


def _pair(key: str, text: Any) -> None:
    if len(key) > MAX_KEY:
        raise invalid(f"Invalid 'metadata': a key has at most {MAX_KEY} characters, got {len(key)}.", "metadata")
    where = f"metadata.{key}"
    if not isinstance(text, str):
        raise invalid(f"Invalid type for '{where}': expected a string, got {_kind(text)}.", where)
    if len(text) > MAX_VALUE:
        raise invalid(f"Invalid '{where}': at most {MAX_VALUE} characters, got {len(text)}.", where)


def items(value: Any, body: bytes) -> list[bytes]:
    """The texts of items to be added to a conversation, as they were written in ``body``."""
    if not isinstance(value, list):
        raise invalid(f"Invalid type for 'items': expected an array, got {_kind(value)}.", "items")
    if len(value) > MAX_ITEMS:
        raise invalid(f"Invalid 'items': at most {MAX_ITEMS} items at a time, got {len(value)}.", "items")
    for place, item in enumerate(value):
        _item(item, f"items[{place}]")
    return texts(bytes(_members(body)["items"]))


def _item(item: Any, where: str) -> None:
    if not isinstance(item, dict):
        raise invalid(f"Invalid type for '{where}': expected an object, got {_kind(item)}.", where)
    kind = item.get("type", "message")
    if not isinstance(kind, str) or kind not in ITEM_TYPES:
        raise invalid(f"Invalid value for '{where}.type': {str(kind)[:80]!r}.", f"{where}.type")
    _texts(item, where, ("id", "status", "call_id", "name"))
    if kind == "message":
        _message(item, where)
    elif kind in ("function_call_output", "function_call"):
        _present(item, where, ("call_id", "output" if kind.endswith("output") else "arguments"))


def _message(item: Mapping[str, Any], where: str) -> None:
    _present(item, where, ("role", "content"))
    if item["role"] not in _ROLES:
        known = ", ".join(_ROLES)
        message = f"Invalid value for '{where}.role': {str(item['role'])[:80]!r}. Supported values are: {known}."
        raise invalid(message, f"{where}.role")
    content = item["content"]
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise invalid(f"Invalid type for '{where}.content': expected a string or an array.", f"{where}.content")
    for place, part in enumerate(content):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            at = f"{where}.content[{place}]"
            raise invalid(f"Invalid type for '{at}': expected an object with a type.", at)


def _present(item: Mapping[str, Any], where: str, names: tuple[str, ...]) -> None:
    for name in names:
        if item.get(name) is None:
            raise invalid(f"Missing required parameter: '{where}.{name}'.", f"{where}.{name}")


def _texts(item: Mapping[str, Any], where: str, names: tuple[str, ...]) -> None:
    for name in names:
        if item.get(name) is not None and not isinstance(item[name], str):
            message = f"Invalid type for '{where}.{name}': expected a string, got {_kind(item[name])}."
            raise invalid(message, f"{where}.{name}")


def missing(name: str) -> ParleyError:
    """A body lacks a member that it must have."""
    return ParleyError(Failure("invalid_request", f"Missing required parameter: '{name}'.", param=name))


def _kind(value: Any) -> str:
    """What JSON calls it."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "an array"}
    return names.get(type(value), "an object")
