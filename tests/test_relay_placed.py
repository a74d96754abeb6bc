"""Requests whose path names the model and says whether a stream is wanted, along the relay."""

from typing import Any

from msgspec import json

from parley import jsontext
from parley.relay import RebuiltStream, VerbatimStream, VerbatimWhole, outgoing, relay
from relay_parts import refused, reply, sent, way
from wire.gemini_parts import candidate, event

GEMINI, ARRAY = "gemini", "gemini_array"
PICTURE = {"fileData": {"fileUri": "gs://bucket/a.png", "mimeType": "image/png"}}


def body(*parts: Any, **members: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": "hi"}, *parts]}], **members}


def streamed(along: Any, members: dict[str, Any]) -> dict[str, Any]:
    text = json.encode(members)
    found = outgoing(along, text, jsontext.members(text), streams=True)
    made: dict[str, Any] = json.decode(b"".join(found.body))
    return made


def test_its_own_wire_passes_byte_for_byte() -> None:
    text = b'{ "contents" : [{"parts":[{"text":"hi"}]}], "new_thing": 1.0 }'
    found = outgoing(way(GEMINI, GEMINI), text, jsontext.members(text))
    assert b"".join(found.body) == text


def test_the_path_says_that_a_stream_is_wanted() -> None:
    assert streamed(way(GEMINI), body())["stream"] is True
    assert streamed(way(GEMINI), body())["stream_options"] == {"include_usage": True}
    assert "stream" not in sent(way(GEMINI), body())[0]
    assert set(streamed(way(GEMINI, GEMINI, overrides={"temperature": 1}), body())) == {"contents", "generationConfig"}


def test_no_model_stands_in_the_body() -> None:
    for outlet in (GEMINI,):
        made, _ = sent(way("openai_chat", outlet), {"model": "asked", "messages": [{"role": "user", "content": "hi"}]})
        assert set(made) == {"contents"}
    assert sent(way(GEMINI), body())[0]["model"] == "real-1"


def test_settings_of_the_registration_hold_on_this_wire() -> None:
    along = way(GEMINI, GEMINI, defaults={"temperature": 0.5, "stop": "END"}, overrides={"max_tokens": 7})
    asked = body(generationConfig={"temperature": 1.5, "maxOutputTokens": 99, "topK": 3})
    made, _ = sent(along, asked)
    assert made["generationConfig"] == {"temperature": 1.5, "stopSequences": ["END"], "maxOutputTokens": 7, "topK": 3}


def test_an_override_wins_over_what_the_caller_wrote_in_this_wires_words() -> None:
    along = way(GEMINI, GEMINI, overrides={"reasoning_effort": "none", "response_format": {"type": "json_object"}})
    config = {
        "thinkingConfig": {"thinkingBudget": 900},
        "responseMimeType": "text/x.enum",
        "responseSchema": {"type": "STRING"},
    }
    made, _ = sent(along, body(generationConfig=config))
    assert made["generationConfig"] == {
        "thinkingConfig": {"thinkingBudget": 0},
        "responseMimeType": "application/json",
    }


def test_losses_are_told_in_the_callers_paths() -> None:
    failure = refused(way(GEMINI, "anthropic"), body(PICTURE))
    assert failure.param == "contents[0].parts[1]"
    assert failure.message.startswith("contents[0].parts[1]: ")
    shown = {"inlineData": {"mimeType": "image/png", "data": "AA=="}, "videoMetadata": {"fps": 1}}
    asked = body(shown, safetySettings=[{}], generationConfig={"speechConfig": {}, "topK": 2}, cachedContent="c")
    _, dropped = sent(way(GEMINI), asked)
    assert set(dropped) == {
        "contents[0].parts[1].videoMetadata",
        "safetySettings",
        "cachedContent",
        "generationConfig.speechConfig",
        "generationConfig.topK",
    }


def test_unknown_members_by_policy() -> None:
    strict = way(GEMINI, GEMINI, unknown_fields="strict")
    assert refused(strict, body(odd=1)).param == "odd"
    assert sent(strict, body(generation_config={}, safetySettings=[]))[0]["generation_config"] == {}
    made, dropped = sent(way(GEMINI, GEMINI, unknown_fields="drop"), body(odd=1))
    assert "odd" not in made
    assert dropped == ("odd",)


def test_a_text_of_the_system_has_a_path_too() -> None:
    asked = body(
        system_instruction={"parts": [{"text": "s"}, {"inlineData": {"mimeType": "image/png", "data": "AA=="}}]}
    )
    assert refused(way(GEMINI, "anthropic"), asked).param == "system_instruction.parts[1]"


STREAM = event(candidate({"text": "hi"})) + event(candidate({"text": ""}, reason="STOP"))


def test_which_relay_carries_what() -> None:
    own = relay(way(GEMINI, GEMINI), lambda: reply(GEMINI), streams=True, events=True)
    assert isinstance(own, VerbatimStream)
    assert own.feed(STREAM) + own.close() == STREAM
    assert (own.ended, own.failure) == (True, None)
    whole = relay(way(GEMINI, GEMINI), lambda: reply(GEMINI), streams=False, events=False)
    assert isinstance(whole, VerbatimWhole)
    array = relay(way(ARRAY, GEMINI), lambda: reply(GEMINI), streams=True, events=True)
    assert isinstance(array, RebuiltStream)
    items = json.decode(array.feed(STREAM) + array.close())
    assert [item["candidates"][0].get("finishReason") for item in items] == [None, "STOP"]


def test_a_stream_without_its_end_is_a_failure_on_its_own_wire_too() -> None:
    own = relay(way(GEMINI, GEMINI), lambda: reply(GEMINI), streams=True, events=True)
    assert own.feed(event(candidate({"text": "hi"})))
    own.close()
    assert own.failure is not None
    assert own.failure.kind == "upstream_incomplete"


def test_an_object_becomes_a_stream_where_one_is_wanted() -> None:
    found = relay(way(GEMINI, GEMINI), lambda: reply(GEMINI), streams=True, events=False)
    found.feed(json.encode({"candidates": [candidate({"text": "hi"}, reason="STOP")]}))
    items = [json.decode(line[6:]) for line in found.close().split(b"\n\n") if line]
    assert items[0]["candidates"][0]["content"]["parts"] == [{"text": "hi"}]
    assert items[-1]["candidates"][0]["finishReason"] == "STOP"
