"""What the tests of this wire are made of: events, answers, and the official package's own types to judge them by."""

from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec import json
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent

from parley.failure import Failure, ParleyError
from parley.fold import Fold
from parley.ir import ChatRequest, ChatResponse, Event
from parley.wire import Reply, load

WIRE = load("openai_responses")
CHAT = load("openai_chat")
RECORDINGS = Path(__file__).parent.parent / "recordings"
HI = {"role": "user", "content": "hi"}
EVENTS = {
    get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(get_args(ResponseStreamEvent)[0])
}


def reply(wire: str = "openai_chat", asked: dict[str, Any] | None = None) -> Reply:
    body = b"" if asked is None else json.encode(asked)
    return Reply(model="asked", id="req-1", created=5, wire=wire, asked=body)


def event(kind: str, **members: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.encode({"type": kind, "sequence_number": 0, **members}))


def message(text: str = "Hello", item_id: str = "msg_1", **members: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": item_id, "type": "message", "status": "completed", "role": "assistant", "content": [part], **members}


def call(arguments: str = '{"q": 1}', item_id: str = "fc_1", **members: Any) -> dict[str, Any]:
    item = {"id": item_id, "type": "function_call", "status": "completed", "call_id": "call_1", "name": "look"}
    return {**item, "arguments": arguments, **members}


def reasoning(**members: Any) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": "Hm."}]
    return {"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": "gAAA=", **members}


def answer(*output: dict[str, Any], **members: Any) -> dict[str, Any]:
    response = {
        "id": "resp_7",
        "object": "response",
        "created_at": 7,
        "status": "completed",
        "model": "m",
        "output": list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    return {**response, **members}


def created() -> bytes:
    return event("response.created", response=answer(status="in_progress"))


def completed(*output: dict[str, Any], **members: Any) -> bytes:
    return event("response.completed", response=answer(*output, **members))


def text_delta(text: str, **members: Any) -> bytes:
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    return event("response.output_text.delta", delta=text, logprobs=[], **at, **members)


def added(item: dict[str, Any], place: int = 0) -> bytes:
    return event("response.output_item.added", output_index=place, item=item)


def done(item: dict[str, Any], place: int = 0) -> bytes:
    return event("response.output_item.done", output_index=place, item=item)


def read(*data: bytes) -> list[Event]:
    decoder = WIRE.stream_decoder()
    return [found for part in data for found in decoder.feed(part)] + decoder.close()


def folded(events: list[Event], wire: str = "openai_responses") -> ChatResponse:
    fold = Fold(wire)
    for found in events:
        fold.feed(found)
    return fold.response()


def frames(stream: bytes) -> list[dict[str, Any]]:
    """Every event of a stream, its name and its number proven."""
    found = []
    for number, block in enumerate(stream.decode().split("\n\n")[:-1]):
        name, data = block.split("\n")
        value = json.decode(data.removeprefix("data: ").encode())
        assert name == f"event: {value['type']}"
        assert value["sequence_number"] == number
        found.append(value)
    return found


def judged(events: list[dict[str, Any]]) -> None:
    """Read by the official package: each event is of its type, and all together make one response."""
    state: Any = ResponseStreamState(input_tools=[], text_format=omit)
    for value in events:
        parsed = EVENTS[value["type"]].model_validate(value)
        if value["type"] != "error":
            state.handle_event(parsed)


def judged_whole(body: bytes) -> dict[str, Any]:
    """The same of a whole answer."""
    value: dict[str, Any] = json.decode(body)
    Response.model_validate(value)
    return value


def written(events: list[Event], to: Reply) -> list[dict[str, Any]]:
    """The stream for the caller, judged."""
    encoder = WIRE.stream_encoder(to)
    found = frames(b"".join(encoder.feed(one) for one in events))
    judged(found)
    return found


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [value["type"].removeprefix("response.") for value in events]


def failure(run: Any, *arguments: Any) -> Failure:
    with pytest.raises(ParleyError) as caught:
        run(*arguments)
    return caught.value.failure


def body(**members: Any) -> dict[str, Any]:
    return {"model": "m", "input": "hi", **members}


def decoded(*items: dict[str, Any], **members: Any) -> ChatRequest:
    return WIRE.decode_request({"model": "m", "input": list(items) or "hi", **members})


def sent(request: ChatRequest, **options: Any) -> dict[str, Any]:
    return WIRE.encode_request(request, options).body


def dropped(request: ChatRequest) -> tuple[str, ...]:
    return WIRE.encode_request(request, {}).dropped


FUNCTION = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True}
EVERYTHING: dict[str, Any] = {
    "model": "m",
    "instructions": "Be kind.",
    "input": [
        {"role": "developer", "content": "Be brief."},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Look.", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
                {"type": "input_file", "file_id": "file_1", "of_tomorrow": 1},
            ],
        },
        reasoning(status="completed"),
        message(phase="commentary"),
        call(status="completed"),
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
        {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "4"}]},
        {"type": "of_tomorrow", "x": [1.50]},
    ],
    "tools": [FUNCTION, {"type": "web_search"}, {"type": "custom", "name": "c"}],
    "tool_choice": {"type": "custom", "name": "c"},
    "parallel_tool_calls": True,
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {"a": 1}, "strict": True}, "verbosity": "low"},
    "include": ["reasoning.encrypted_content", "file_search_call.results"],
    "max_output_tokens": 64,
    "max_tool_calls": 3,
    "temperature": 0.5,
    "top_p": 0.5,
    "top_logprobs": 2,
    "metadata": {"k": "v"},
    "prompt_cache_key": "p",
    "service_tier": "flex",
    "truncation": "auto",
    "store": True,
    "stream": True,
    "stream_options": {"include_obfuscation": False},
    "user": "u",
    "of_tomorrow": {"x": 0},
}
