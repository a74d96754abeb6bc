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
REFERENCE: Final = "item_reference"
# What an item of each type cannot be without, beside the type and an id, which is made where it is missing.
# Source: the types of input items in OpenAI's own package; a test compares them.
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "message": ("role", "content"),
    "file_search_call": ("queries", "status"),
    "computer_call": ("call_id", "pending_safety_checks", "status"),
    "computer_call_output": ("call_id", "output"),
    "web_search_call": ("action", "status"),
    "function_call": ("call_id", "name", "arguments"),
    # Without the id of its call no model can be told what it answers.
    "function_call_output": ("call_id", "output"),
    "tool_search_call": ("arguments",),
    "tool_search_output": ("tools",),
    "additional_tools": ("role", "tools"),
    "configuration_update": (),
    "reasoning": ("summary",),
    "compaction": ("encrypted_content",),
    "image_generation_call": ("result", "status"),
    "code_interpreter_call": ("code", "container_id", "outputs", "status"),
    "local_shell_call": ("action", "call_id", "status"),
    "local_shell_call_output": ("output",),
    "shell_call": ("action", "call_id"),
    "shell_call_output": ("call_id", "output"),
    "apply_patch_call": ("call_id", "operation", "status"),
    "apply_patch_call_output": ("call_id", "status"),
    "mcp_list_tools": ("server_label", "tools"),
    "mcp_approval_request": ("arguments", "name", "server_label"),
    "mcp_approval_response": ("approval_request_id", "approve"),
    "mcp_call": ("arguments", "name", "server_label"),
    "custom_tool_call": ("call_id", "input", "name"),
    "custom_tool_call_output": ("call_id", "output"),
    "program": ("call_id", "code", "fingerprint"),
    "program_output": ("call_id", "result", "status"),
    REFERENCE: ("id",),
}
MAY_BE_NULL: Final = frozenset(
    (("image_generation_call", "result"), ("code_interpreter_call", "code"), ("code_interpreter_call", "outputs"))
)
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
    if not isinstance(kind, str) or kind not in NEEDED:
        raise invalid(f"Invalid value for '{where}.type': {str(kind)[:80]!r}.", f"{where}.type")
    _texts(item, where, ("id", "status", "call_id", "name"))
    for name in NEEDED[kind]:
        if name not in item or (item[name] is None and (kind, name) not in MAY_BE_NULL):
            raise missing(f"{where}.{name}")
    if kind == "message":
        _message(item, where)


def _message(item: Mapping[str, Any], where: str) -> None:
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


def _texts(item: Mapping[str, Any], where: str, names: tuple[str, ...]) -> None:
    for name in names:
        if item.get(name) is not None and not isinstance(item[name], str):
            message = f"Invalid type for '{where}.{name}': expected a string, got {_kind(item[name])}."
            raise invalid(message, f"{where}.{name}")


def checks(operation: str, body: bytes) -> None:
    """Judge by the published document what was not refused in better words."""
    from parley.api.check import checked

    if body.strip():
        checked(operation, body)


def missing(name: str) -> ParleyError:
    """A body lacks a member that it must have."""
    return ParleyError(Failure("invalid_request", f"Missing required parameter: '{name}'.", param=name))


def _kind(value: Any) -> str:
    """What JSON calls it."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "an array"}
    return names.get(type(value), "an object")
