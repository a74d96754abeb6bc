"""Items of responses and conversations as JSON text: arrays apart and together, identity, pages. Pure.

An item is kept as it was written and goes to models so; what lists show is completed: an id, a type, a status,
content as a list of parts.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw

from parley.failure import Failure, ParleyError, invalid

# Id and text of one item.
Item: TypeAlias = tuple[str, bytes]

REFERENCE: Final = "item_reference"
_PREFIXES: Final = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "reasoning": "rs",
}
# Types whose status a caller may leave out and a list may not, and likewise where a search ran: a caller's at his.
_COMPLETED: Final = frozenset(
    (
        "message", "function_call", "function_call_output", "computer_call_output", "shell_call", "shell_call_output",
        "tool_search_call", "tool_search_output",
    )
)  # fmt: skip
_EXECUTED: Final = frozenset(("tool_search_call", "tool_search_output"))
_array: Final = msgspec.json.Decoder(list[Raw]).decode
_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_object: Final = msgspec.json.Decoder(dict[str, Any]).decode
_string: Final = msgspec.json.Decoder(str).decode


class Mark(msgspec.Struct, frozen=True):
    """What an item says about itself."""

    id: Any = None
    type: Any = None


_mark: Final = msgspec.json.Decoder(Mark).decode


def texts(array: bytes) -> list[bytes]:
    """The texts of a JSON array's elements."""
    return [bytes(raw) for raw in _array(array)]


def joined(items: Iterable[bytes]) -> bytes:
    """The JSON array of some texts."""
    return b"[%b]" % b",".join(items)


def identified(bodies: Iterable[bytes], seed: str) -> list[Item]:
    """Each item with its own id, else one that follows from ``seed`` and its place."""
    return [(own_id(body) or made_id(body, f"{seed}:{place}"), body) for place, body in enumerate(bodies)]


def own_id(body: bytes) -> str:
    """The id that an item carries, "" for none."""
    found = _mark(body).id
    return found if isinstance(found, str) else ""


def made_id(body: bytes, seed: str) -> str:
    """An id for an item without one; the same seed gives the same id."""
    return f"{_PREFIXES.get(kind_of(body), 'item')}_{sha256(seed.encode()).hexdigest()[:48]}"


def kind_of(body: bytes) -> str:
    """The item's type; a message may leave it out."""
    found = _mark(body).type
    return found if isinstance(found, str) else "message"


def output_of(response: bytes) -> list[bytes]:
    """The output items of a response object."""
    raw = bytes(_members(response).get("output", b""))
    return texts(raw) if raw.startswith(b"[") else []


def member(response: bytes, name: str) -> str:
    """A string member of a response object, "" where it is no string."""
    raw = bytes(_members(response).get(name, b""))
    return _string(raw) if raw.startswith(b'"') else ""


def truth(response: bytes, name: str) -> bool:
    """Whether a member of a response object is true."""
    return bytes(_members(response).get(name, b"")) == b"true"


def changed(response: bytes, **values: Any) -> bytes:
    """The object with some members set; the others keep their bytes."""
    return msgspec.json.encode({**_members(response), **values})


def scrubbed(response: bytes) -> bytes:
    """A response object without the credentials that tools of other servers were given."""
    if b'"mcp"' not in response:
        return response
    found = _members(response)
    tools = msgspec.json.decode(found["tools"]) if "tools" in found else None
    if not isinstance(tools, list):
        return response
    kept = [_without_secrets(tool) for tool in tools]
    return msgspec.json.encode({**found, "tools": kept})


def _without_secrets(tool: Any) -> Any:
    if not isinstance(tool, dict) or tool.get("type") != "mcp":
        return tool
    return {name: value for name, value in tool.items() if name not in ("authorization", "headers")}


def shown(item: Item) -> dict[str, Any]:
    """The item as lists show it."""
    name, body = item
    made: dict[str, Any] = {"id": name, "type": "message"} | _object(body) | {"id": name}
    if made["type"] is None:
        made["type"] = "message"
    if made["type"] in _COMPLETED and made.get("status") is None:
        made["status"] = "completed"
    if made["type"] in _EXECUTED and made.get("execution") is None:
        made["execution"] = "client"
    if made["type"] == "message" and isinstance(made.get("content"), str):
        made["content"] = [_part(made.get("role"), made["content"])]
    return made


def _part(role: Any, text: str) -> dict[str, Any]:
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": []}
    return {"type": "input_text", "text": text}


def page(items: Sequence[Item], *, more: bool) -> dict[str, Any]:
    """A page of a list."""
    return {
        "object": "list",
        "data": [shown(item) for item in items],
        "first_id": items[0][0] if items else None,
        "last_id": items[-1][0] if items else None,
        "has_more": more,
    }


class Cut(msgspec.Struct, frozen=True):
    """Which part of a list is asked for. ``after`` is the id of the last item seen."""

    descending: bool = True
    limit: int = 20
    after: str | None = None

    def of(self, items: Sequence[Item]) -> dict[str, Any]:
        """The page of a whole list, given oldest first."""
        ordered = list(reversed(items)) if self.descending else list(items)
        if self.after is not None:
            ids = [name for name, _ in ordered]
            if self.after not in ids:
                raise unknown_after(self.after)
            ordered = ordered[ids.index(self.after) + 1 :]
        return page(ordered[: self.limit], more=len(ordered) > self.limit)


def unknown_after(after: str) -> ParleyError:
    """There is no such item to go on from."""
    return invalid(f"No item with id '{after[:200]}' in this list.", "after")


def not_found(what: str, id: str) -> ParleyError:
    """There is no such object, or it belongs to somebody else."""
    return ParleyError(Failure("invalid_request", f"{what} with id '{id[:200]}' not found.", status=404))
