"""A stored response as the events it may have been told in: whole texts instead of the pieces they came in. Pure.

Source: OpenAI surface contract section 6.4.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from parley.framing import sse

Event: TypeAlias = dict[str, Any]


def replayed(response: dict[str, Any], after: int = -1) -> bytes:
    """The events whose sequence numbers come after ``after``, as they go over the wire."""
    events = (event | {"sequence_number": number} for number, event in enumerate(_events(response)))
    return b"".join(
        sse(msgspec.json.encode(event), event["type"]) for event in events if event["sequence_number"] > after
    )


def _events(response: dict[str, Any]) -> Iterator[Event]:
    begun = response | {"status": "in_progress", "output": [], "usage": None, "error": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(response.get("output") or []):
        yield from _item(index, item)
    status = response.get("status")
    end = status if status in ("incomplete", "failed", "cancelled") else "completed"
    # There is no event for a cancelled response: it is over without having been completed.
    yield {"type": f"response.{'incomplete' if end == 'cancelled' else end}", "response": response}


def _item(index: int, item: dict[str, Any]) -> Iterator[Event]:
    yield {"type": "response.output_item.added", "output_index": index, "item": _empty(item)}
    place = {"item_id": item.get("id"), "output_index": index}
    if item.get("type") == "function_call":
        yield from _text(
            "function_call_arguments", place, "arguments", item.get("arguments"), {}, name=item.get("name")
        )
    elif item.get("type") == "custom_tool_call":
        yield from _text("custom_tool_call_input", place, "input", item.get("input"))
    for number, part in enumerate(item.get("summary") or []):
        yield from _summary(place | {"summary_index": number}, part)
    content = item.get("content")
    for number, part in enumerate(content if isinstance(content, list) else []):
        yield from _part(place | {"content_index": number}, part)
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _empty(item: dict[str, Any]) -> dict[str, Any]:
    """The item before anything was said in it."""
    nothing: dict[str, Any] = {"content": [], "summary": [], "arguments": "", "input": ""}
    emptied = {name: empty for name, empty in nothing.items() if item.get(name)}
    return item | emptied | ({"status": "in_progress"} if "status" in item else {})


def _part(place: dict[str, Any], part: dict[str, Any]) -> Iterator[Event]:
    kind = part.get("type")
    name = {"output_text": "text", "reasoning_text": "text", "refusal": "refusal"}.get(str(kind))
    yield {"type": "response.content_part.added", **place, "part": part | ({name: ""} if name else {})}
    if name:
        extra = {"logprobs": part.get("logprobs") or []} if kind == "output_text" else {}
        yield from _text(str(kind), place, name, part.get(name), extra)
    yield {"type": "response.content_part.done", **place, "part": part}


def _summary(place: dict[str, Any], part: dict[str, Any]) -> Iterator[Event]:
    yield {"type": "response.reasoning_summary_part.added", **place, "part": part | {"text": ""}}
    yield from _text("reasoning_summary_text", place, "text", part.get("text"))
    yield {"type": "response.reasoning_summary_part.done", **place, "part": part}


def _text(
    kind: str, place: dict[str, Any], member: str, value: Any, extra: dict[str, Any] | None = None, **last: Any
) -> Iterator[Event]:
    """The text in one piece and then whole; ``extra`` is in both events, ``last`` in the second."""
    if value:
        yield {"type": f"response.{kind}.delta", **place, "delta": value, **(extra or {})}
    yield {"type": f"response.{kind}.done", **place, member: value, **(extra or {}), **last}
