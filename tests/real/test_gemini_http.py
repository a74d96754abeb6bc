"""Gemini's paths without its client, and its providers for callers of OpenAI's wire."""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from fixtures.parley import Gateway, Start
from real.scripted_provider import Answer, Script, candidate, scripted

SIGNATURE = "c2lnbmVkIGJ5IHRoZSBtb2RlbA=="
CALL = {"functionCall": {"name": "weather", "args": {"city": "Riga"}}, "thoughtSignature": SIGNATURE}


@pytest.fixture(scope="module")
def provider() -> Iterator[Script]:
    with scripted() as script:
        yield script


@pytest.fixture(scope="module")
def gateway(parley_for_module: Start, provider: Script) -> Iterator[Gateway]:
    there = {"type": "gemini", "base_url": f"{provider.url}/v1beta", "api_key": "sk-upstream"}
    running = parley_for_module({"providers": {"gem": there}, "models": [{"model": "warm", "targets": ["gem/real-1"]}]})
    yield running
    assert "sk-upstream" not in "\n".join(running.stderr_lines())


@pytest.fixture
def plain(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as made:
        yield made


# --- callers of other wires --------------------------------------------------------------------


def test_a_signature_goes_round_an_openai_caller(plain: openai.OpenAI, provider: Script) -> None:
    provider.answer = lambda asked: Answer(candidate(CALL))
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "$defs": {}}}}]
    messages: list[Any] = [{"role": "user", "content": "weather?"}]
    answer = plain.chat.completions.create(model="gem/real-1", messages=messages, tools=tools)
    assert provider.last.body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == {
        "type": "object",
        "$defs": {},
    }
    call = answer.choices[0].message.model_dump(exclude_none=True)["tool_calls"][0]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert call["id"] == "call_1"
    assert call["extra_content"] == {"google": {"thought_signature": SIGNATURE}}
    messages += [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "12°"},
    ]
    provider.answer = lambda asked: Answer(candidate({"text": "mild"}))
    assert (
        plain.chat.completions.create(model="gem/real-1", messages=messages, tools=tools).choices[0].message.content
        == "mild"
    )
    sent = provider.last.body["contents"]
    assert sent[1]["role"] == "model"
    assert sent[1]["parts"][0]["thoughtSignature"] == SIGNATURE
    response = sent[2]["parts"][0]["functionResponse"]
    assert (response["name"], response["response"]) == ("weather", {"output": "12°"})


def test_streams_for_an_openai_caller(plain: openai.OpenAI, provider: Script) -> None:
    events = [candidate({"text": "gemini "}, reason=None), candidate({"text": "words"}, reason="MAX_TOKENS")]
    provider.answer = lambda asked: Answer(events=events)
    stream = plain.chat.completions.create(
        model="gem/real-1",
        messages=[{"role": "user", "content": "hi"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert provider.last.path == "/v1beta/models/real-1:streamGenerateContent?alt=sse"
    assert "".join(each.choices[0].delta.content or "" for each in chunks if each.choices) == "gemini words"
    assert [each.choices[0].finish_reason for each in chunks if each.choices][-1] == "length"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 10


def test_a_signature_goes_round_an_anthropic_caller(gateway: Gateway, provider: Script) -> None:
    events = [candidate({"text": "hm", "thought": True}, reason=None), candidate(CALL)]
    provider.answer = lambda asked: Answer(events=events)
    tools: Any = [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}]
    messages: list[Any] = [{"role": "user", "content": "weather?"}]
    with anthropic.Anthropic(base_url=gateway.url, api_key="k", max_retries=0) as client:
        with client.messages.stream(model="gem/real-1", max_tokens=99, messages=messages, tools=tools) as stream:
            answer = stream.get_final_message()
        assert answer.stop_reason == "tool_use"
        assert [block.type for block in answer.content] == ["thinking", "thinking", "tool_use"]
        said = [block.model_dump(exclude_none=True) for block in answer.content]
        result = {"type": "tool_result", "tool_use_id": said[-1]["id"], "content": "no such city", "is_error": True}
        messages += [{"role": "assistant", "content": said}, {"role": "user", "content": [result]}]
        provider.answer = lambda asked: Answer(candidate({"text": "mild"}))
        last = client.messages.create(model="gem/real-1", max_tokens=99, messages=messages, tools=tools)
    assert [block.text for block in last.content if block.type == "text"] == ["mild"]
    sent = provider.last.body["contents"]
    assert [list(part) for part in sent[1]["parts"]] == [["functionCall", "thoughtSignature"]]
    assert sent[1]["parts"][0]["thoughtSignature"] == SIGNATURE
    assert sent[2]["parts"][0]["functionResponse"]["response"] == {"error": "no such city"}


# --- without the client ------------------------------------------------------------------------


def ask(gateway: Gateway, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    try:
        method = "GET" if body is None else "POST"
        connection.request(method, path, None if body is None else json.dumps(body), headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers["content-type"], answer.read()
    finally:
        connection.close()


HI = {"contents": [{"role": "user", "parts": [{"text": "one two"}]}]}


@pytest.mark.parametrize("prefix", ["/v1", "/v1beta", "/genai/v1beta"])
def test_without_alt_sse_a_stream_is_one_array(gateway: Gateway, prefix: str) -> None:
    status, kind, body = ask(gateway, f"{prefix}/models/echo/any:streamGenerateContent", HI)
    assert (status, kind) == (200, "application/json")
    items = json.loads(body)
    said = [part["text"] for item in items for part in item["candidates"][0]["content"]["parts"]]
    assert "".join(said) == "one two"
    assert items[-1]["candidates"][0]["finishReason"] == "STOP"
    status, _, body = ask(gateway, f"{prefix}/models/nobody:streamGenerateContent", HI)
    assert status == 404
    assert json.loads(body)[0]["error"]["status"] == "NOT_FOUND"


def test_an_array_that_breaks_ends_with_the_error(gateway: Gateway, provider: Script) -> None:
    provider.answer = lambda asked: Answer(events=[candidate({"text": "half"}, reason=None)])
    status, _, body = ask(gateway, "/v1beta/models/gem%2Freal-1:streamGenerateContent", HI)
    assert status == 200
    items = json.loads(body)
    assert items[0]["candidates"][0]["content"]["parts"] == [{"text": "half"}]
    assert items[-1]["error"]["code"] == 503
    assert provider.last.path == "/v1beta/models/real-1:streamGenerateContent?alt=sse"


def test_whose_list_of_models_it_is(gateway: Gateway) -> None:
    for path, headers in (("/v1/models?key=k", {}), ("/v1/models", {"x-goog-api-key": "k"}), ("/v1beta/models", {})):
        assert "models" in json.loads(ask(gateway, path, None, headers)[2])
    assert "data" in json.loads(ask(gateway, "/v1/models", None)[2])
    page = json.loads(ask(gateway, "/v1beta/models?pageSize=1", None)[2])
    following = json.loads(ask(gateway, f"/v1beta/models?pageSize=1&pageToken={page['nextPageToken']}", None)[2])
    assert page["models"] != following["models"]


def test_a_single_embedding(gateway: Gateway) -> None:
    content = {"parts": [{"text": "one"}]}
    status, _, body = ask(gateway, "/v1beta/models/echo/any:embedContent", {"content": content})
    assert status == 200
    assert json.loads(body)["embedding"]["values"]


def test_paths_that_are_nothing_answer_in_this_wires_words(gateway: Gateway) -> None:
    for path, status in (("/v1beta/nothing", 404), ("/genai/v1beta/models/echo/any:noSuchVerb", 405)):
        found, _, body = ask(gateway, path, HI)
        assert (found, json.loads(body)["error"]["code"]) == (status, status)


def test_a_model_that_is_asked_with_another_method(gateway: Gateway) -> None:
    for method in ("GET", "PUT", "OPTIONS"):
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        try:
            connection.request(method, "/v1beta/models/echo:generateContent")
            answer = connection.getresponse()
            assert (answer.status, answer.headers["allow"]) == (405, "POST"), method
            assert json.loads(answer.read())["error"]["code"] == 405
        finally:
            connection.close()
