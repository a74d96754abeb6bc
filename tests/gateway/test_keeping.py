"""Two turns of clients that bring back nothing but words and calls: what the provider sealed comes back to it."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from ollama import ChatResponse as OllamaAnswer
from openai.types.chat import ChatCompletion

from gateway.keeping_parts import (
    ANTHROPIC_ANSWER,
    BEDROCK_ANSWER,
    CALLERS,
    OLLAMA,
    PAIRS,
    PROVIDERS,
    SIGNATURE,
    Json,
    chat,
    from_anthropic,
    from_bedrock,
    ollama,
    spoken,
)
from gateway.parts import Ear, Stage, inlet_at, provider, registration
from parley.ports import Request
from parley.relay import Seals
from real.genai_client import types


def stage(*, keeps: bool = True) -> Stage:
    on = Stage(
        *(registration(name, f"{name}/m-1") for name in PROVIDERS),
        registration("either", "rock/m-1", "claude/m-1"),
        providers=tuple(found[0] for found in PROVIDERS.values()),
    )
    on.gateway.seals = Seals(on.clock.now) if keeps else None
    return on


def ask(on: Stage, caller: str, model: str, answer: Json | None, result: str = "Sunny.", **members: Any) -> Any:
    path, write = CALLERS[caller]
    body = {**write(answer, result), **members}
    if path is None:
        path = f"/v1beta/models/{model}:generateContent".encode()
        ear = Ear()
        on.gateway.begin(inlet_at(path), Request([], msgspec.json.encode(body), "req-1", path), ear)
        return ear
    return on.ask_raw(msgspec.json.encode({"model": model, **body}), path)[1]


def turns(on: Stage, caller: str, name: str) -> tuple[Json, Any]:
    """The second request as it reached the provider, and what its answer says was dropped."""
    ear = ask(on, caller, name, None)
    on.sent[-1].whole(PROVIDERS[name][1])
    assert ear.status == 200, ear.text
    second = ask(on, caller, name, msgspec.json.decode(ear.text))
    sent = on.sent[-1].body
    on.sent[-1].whole(PROVIDERS[name][1])
    return sent, second.lines.get(b"x-parley-dropped")


@pytest.mark.parametrize(("caller", "name"), PAIRS)
def test_what_was_sealed_comes_back(caller: str, name: str) -> None:
    *_, find, sealed = PROVIDERS[name]
    body, dropped = turns(stage(), caller, name)
    assert find(body) == sealed
    assert dropped is None
    assert "Sunny." in str(body)


@pytest.mark.parametrize(("caller", "name"), PAIRS)
def test_nothing_comes_back_that_nobody_kept(caller: str, name: str) -> None:
    *_, find, sealed = PROVIDERS[name]
    assert find(turns(stage(keeps=False), caller, name)[0]) != sealed


def events(*datas: str) -> Iterator[bytes]:
    for data in datas:
        kind = msgspec.json.decode(data)["type"]
        yield spoken(f"event: {kind}\ndata: {data}\n\n")


ANTHROPIC_STREAM = b"".join(
    events(
        '{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"m",'
        '"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":1}}}',
        '{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Let me "}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"look."}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"SIG"}}',
        '{"type":"content_block_stop","index":0}',
        '{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}',
        '{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"One moment."}}',
        '{"type":"content_block_stop","index":1}',
        '{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_0123456789",'
        '"name":"weather","input":{}}}',
        '{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\\"city\\":"}}',
        '{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"\\"Paris\\"}"}}',
        '{"type":"content_block_stop","index":2}',
        '{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":5}}',
        '{"type":"message_stop"}',
    )
)
KEPT_OF_STREAM = {"type": "thinking", "thinking": "Let me look.", "signature": SIGNATURE}


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_stream_is_kept_as_well(size: int) -> None:
    on = stage()
    ear = ask(on, "chat", "claude", None, stream=True)
    on.sent[-1].stream(*(ANTHROPIC_STREAM[at : at + size] for at in range(0, len(ANTHROPIC_STREAM), size)))
    assert ear.text.endswith(b"data: [DONE]\n\n")
    call = {"id": "toolu_0123456789", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    ask(on, "chat", "claude", {"choices": [{"message": {"content": "One moment.", "tool_calls": [call]}}]})
    content = on.sent[-1].body["messages"][1]["content"]
    assert content[0] == KEPT_OF_STREAM
    assert [block["type"] for block in content] == ["thinking", "text", "tool_use"]


GOOGLE_STREAM = (
    b'data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"function-call-'
    b'99","type":"function","extra_content":{"google":{"thought_signature":"c2ln"}},"function":{"name":"weather",'
    b'"arguments":"{}"}}]},"finish_reason":"tool_calls"}]}\n\n'
    b"data: [DONE]\n\n"
)
DEEPSEEK_STREAM = (
    b'data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"Let me "}}]}\n\n'
    b'data: {"id":"c","choices":[{"index":0,"delta":{"reasoning_content":"look."}}]}\n\n'
    b'data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"function-call-99","type":"function"'
    b',"function":{"name":"weather","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}\n\n'
    b"data: [DONE]\n\n"
)
CALLED = {"id": "function-call-99", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("name", "stream", "found"),
    [
        ("deep", DEEPSEEK_STREAM, {"reasoning_content": "Let me look.", "tool_calls": [CALLED]}),
        (
            "goog",
            GOOGLE_STREAM,
            {"tool_calls": [{**CALLED, "extra_content": {"google": {"thought_signature": "c2ln"}}}]},
        ),
    ],
)
def test_a_stream_that_passes_is_read_on_the_side(name: str, stream: bytes, found: Json) -> None:
    on = stage()
    ear = ask(on, "chat", name, None, stream=True)
    on.sent[-1].begin()
    on.sent[-1].say(*(stream[at : at + 9] for at in range(0, len(stream), 9)))
    assert ear.text == stream
    ask(on, "chat", name, {"choices": [{"message": {"content": None, "tool_calls": [CALLED]}}]})
    assert on.sent[-1].body["messages"][1] == {"role": "assistant", "content": None, **found}


def test_another_provider_of_the_same_wire_never_gets_it() -> None:
    on = Stage(
        registration("one", "mine/m"),
        registration("other", "yours/m"),
        providers=(provider("mine", "anthropic"), provider("yours", "anthropic")),
    )
    on.gateway.seals = Seals(on.clock.now)
    ear = ask(on, "chat", "one", None)
    on.sent[-1].whole(ANTHROPIC_ANSWER)
    answer = msgspec.json.decode(ear.text)
    ask(on, "chat", "other", answer)
    assert from_anthropic(on.sent[-1].body) == []
    ask(on, "chat", "one", answer)
    assert from_anthropic(on.sent[-1].body) == PROVIDERS["claude"][3]


def test_after_a_failover_the_other_provider_gets_nothing_of_it() -> None:
    on = stage()
    ear = ask(on, "chat", "either", None)
    on.sent[-1].whole(BEDROCK_ANSWER)
    ask(on, "chat", "either", msgspec.json.decode(ear.text))
    assert from_bedrock(on.sent[-1].body) == PROVIDERS["rock"][3]
    on.sent[-1].fail()
    on.clock.advance(5)
    assert on.sent[-1].call.to.path.endswith(b"/messages")
    assert from_anthropic(on.sent[-1].body) == []


def test_what_a_caller_brings_back_itself_stays_as_it_is() -> None:
    on = stage()
    ear = ask(on, "chat", "claude", None)
    on.sent[-1].whole(ANTHROPIC_ANSWER)
    answer = msgspec.json.decode(ear.text)
    body = chat(answer, "Sunny.")
    body["messages"][1]["thinking_blocks"] = [{"type": "thinking", "thinking": "Other.", "signature": "T3RoZXI="}]
    on.ask_raw(msgspec.json.encode({"model": "claude", **body}))
    assert from_anthropic(on.sent[-1].body) == [{"type": "thinking", "thinking": "Other.", "signature": "T3RoZXI="}]


def test_words_that_a_caller_kept_give_way_to_what_is_sealed() -> None:
    on = stage()
    ear = ask(on, "chat", "claude", None)
    on.sent[-1].whole(ANTHROPIC_ANSWER)
    body = chat(msgspec.json.decode(ear.text), "Sunny.")
    body["messages"][1]["reasoning_content"] = "Let me look."
    _, second = on.ask_raw(msgspec.json.encode({"model": "claude", **body}))
    assert from_anthropic(on.sent[-1].body) == PROVIDERS["claude"][3]
    on.sent[-1].whole(ANTHROPIC_ANSWER)
    assert b"x-parley-dropped" not in second.lines


@pytest.mark.parametrize("caller", ["chat", "ollama"])
def test_other_owners_never_get_it(caller: str) -> None:
    on = stage()
    ear = ask(on, caller, "claude", None)
    on.sent[-1].whole(ANTHROPIC_ANSWER)
    answer = msgspec.json.decode(ear.text)
    path, write = CALLERS[caller]
    job, _ = on.ask_raw(msgspec.json.encode({"model": "claude", **write(answer, "Sunny.")}), path or b"")
    assert from_anthropic(on.sent[-1].body) != []
    job.owner = "somebody-else"
    assert job.route is not None
    body = msgspec.json.decode(b"".join(job.outgoing(job.route).body))
    assert from_anthropic(body) == []


def test_another_conversation_with_the_same_call_gets_nothing() -> None:
    on = stage()
    ear = ask(on, "ollama", "claude", None)
    on.sent[-1].whole(ANTHROPIC_ANSWER)
    body = ollama(msgspec.json.decode(ear.text), "Sunny.")
    body["messages"].insert(0, {"role": "system", "content": "You are somebody else."})
    on.ask_raw(msgspec.json.encode({"model": "claude", **body}), OLLAMA)
    assert from_anthropic(on.sent[-1].body) == []


def test_nobody_keeps_where_nothing_can_be_called() -> None:
    on = stage()
    job, ear = on.ask_raw(msgspec.json.encode({"model": "claude", "messages": [{"role": "user", "content": "hi"}]}))
    on.sent[-1].whole(ANTHROPIC_ANSWER)
    assert ear.status == 200
    assert job.message.keeper is None
    assert len(on.gateway.seals) == 0


@pytest.mark.parametrize("body", [b"{}", b"{", b'{"choices":[{"message":3}]}'])
def test_what_cannot_be_read_on_the_side_is_judged_as_ever(body: bytes) -> None:
    on = stage()
    ear = ask(on, "chat", "deep", None)
    on.sent[-1].whole(body)
    assert ear.status in (200, 502)
    assert len(on.gateway.seals) == 0


def test_what_else_such_a_turn_loses_has_its_own_path() -> None:
    on = stage()
    ear = ask(on, "chat", "claude", None)
    on.sent[-1].whole(ANTHROPIC_ANSWER)
    body = chat(msgspec.json.decode(ear.text), "Sunny.")
    body["messages"][1] |= {"content": "Let me see.", "reasoning_content": "Hm."}
    body["messages"][1]["tool_calls"][0]["odd"] = 1
    _, second = on.ask_raw(msgspec.json.encode({"model": "claude", **body}))
    assert [block["type"] for block in on.sent[-1].body["messages"][1]["content"]] == [
        "thinking", "redacted_thinking", "text", "tool_use",
    ]  # fmt: skip
    on.sent[-1].whole(ANTHROPIC_ANSWER)
    assert second.lines[b"x-parley-dropped"] == b"messages[1].tool_calls[0].odd"


# The official clients' own types: what they keep of an answer, and send again.


def by_openai(answer: bytes) -> Json:
    said = ChatCompletion.model_validate_json(answer).choices[0].message
    calls = said.tool_calls or []
    again = {"role": "assistant", "content": said.content, "tool_calls": [call.model_dump() for call in calls]}
    return {"messages": [again, *({"role": "tool", "tool_call_id": call.id, "content": "x"} for call in calls)]}


def by_ollama(answer: bytes) -> Json:
    said = OllamaAnswer.model_validate_json(answer).message
    assert said.tool_calls
    results = [{"role": "tool", "tool_name": call.function.name, "content": "x"} for call in said.tool_calls]
    return {"messages": [said.model_dump(exclude_none=True), *results], "stream": False}


def by_genai(answer: bytes) -> Json:
    said = types.GenerateContentResponse.model_validate_json(answer)
    assert said.candidates
    content = said.candidates[0].content
    assert content is not None
    calls = [part.function_call for part in content.parts or () if part.function_call is not None]
    results = [{"functionResponse": {"name": call.name, "response": {"output": "x"}}} for call in calls]
    parts = [{"functionCall": {"name": call.name, "args": call.args}} for call in calls]
    return {"contents": [{"role": "model", "parts": parts}, {"role": "user", "parts": results}]}


CLIENTS = {"chat": by_openai, "ollama": by_ollama, "gemini": by_genai}


@pytest.mark.parametrize("name", ["claude", "rock", "oai"])
@pytest.mark.parametrize("caller", CLIENTS)
def test_official_clients_complete_the_round(caller: str, name: str) -> None:
    on = stage()
    ear = ask(on, caller, name, None)
    on.sent[-1].whole(PROVIDERS[name][1])
    second = CLIENTS[caller](ear.text)
    turns = "contents" if caller == "gemini" else "messages"
    first = CALLERS[caller][1](None, "")[turns]
    ask(on, caller, name, None, **{**second, turns: [*first, *second[turns]]})
    *_, find, sealed = PROVIDERS[name]
    assert find(on.sent[-1].body) == sealed
