"""Ollama's official client through a running gateway to a provider of OpenAI's wire, and other clients to an Ollama."""

import base64
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest

from fixtures.parley import Gateway, Start
from fixtures.peer import Peer, peer
from real.ollama_parts import ARGUMENTS, PNG, SCHEMA, WEATHER, between, broken, by_ollama, by_openai, user


@pytest.fixture(scope="module")
def native() -> Iterator[Peer]:
    with peer(by_ollama) as found:
        yield found


@pytest.fixture(scope="module")
def other() -> Iterator[Peer]:
    with peer(by_openai) as found:
        yield found


@pytest.fixture(scope="module")
def gateway(parley_for_module: Start, native: Peer, other: Peer) -> Gateway:
    return parley_for_module(between(native.url, other.url))


@pytest.fixture
def client(gateway: Gateway) -> Iterator[ollama.Client]:
    with ollama.Client(gateway.url) as made:
        yield made


@pytest.fixture
def caller(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="sk-any", max_retries=0) as made:
        yield made


# The official client to a provider of OpenAI's wire


def test_a_chat_elsewhere(client: ollama.Client, other: Peer) -> None:
    found = client.chat(
        "oa/gpt",
        [{"role": "system", "content": "S"}, *user("what?", images=[PNG])],
        options={"temperature": 0.5, "num_predict": 3, "stop": ["x"], "seed": 7, "num_ctx": 9},
        format=SCHEMA,
        think="low",
    )
    body = other.last.body
    assert (other.last.path, other.last.headers["authorization"]) == ("/v1/chat/completions", "Bearer sk-1")
    assert body["messages"][0] == {"role": "system", "content": "S"}
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert body["messages"][1]["content"] == [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": "what?"},
    ]
    assert (body["temperature"], body["max_tokens"], body["stop"], body["seed"]) == (0.5, 3, ["x"], 7)
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert body["reasoning_effort"] == "low"
    assert not {"options", "format", "think"} & body.keys()
    assert (found.message.content, found.message.thinking, found.done_reason) == ("openai says hi", "hm", "length")
    assert (found.prompt_eval_count, found.eval_count, found.model) == (11, 4, "gpt")


def test_a_stream_elsewhere(client: ollama.Client, other: Peer) -> None:
    parts = list(client.chat("oa/gpt", user(), stream=True, think=True))
    assert other.last.body["stream"] is True
    assert [(part.message.thinking, part.message.content) for part in parts] == [
        ("hm", ""), (None, "openai "), (None, "says hi"), (None, ""),
    ]  # fmt: skip
    assert (parts[-1].done, parts[-1].prompt_eval_count, parts[-1].eval_count) == (True, 11, 4)
    assert (
        "".join(part.response for part in client.generate("oa/gpt", "p", system="S", stream=True)) == "openai says hi"
    )
    assert other.last.body["messages"] == [{"role": "system", "content": "S"}, {"role": "user", "content": "p"}]


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_elsewhere_and_back(client: ollama.Client, other: Peer, streamed: bool) -> None:
    said: list[Any] = user("weather?")
    given: Any = client.chat("oa/gpt", said, tools=[WEATHER], stream=streamed)
    parts = list(given) if streamed else [given]
    assert other.last.body["tools"] == [WEATHER]
    calls = [call for part in parts for call in part.message.tool_calls or ()]
    assert [list(call.function.arguments.items()) for call in calls] == [[("unit", "C"), ("city", "Paris")]] * 2
    said.append({"role": "assistant", "content": "", "tool_calls": [call.model_dump() for call in calls]})
    said += [{"role": "tool", "content": text, "tool_name": "weather"} for text in ("sun", "rain")]
    again: Any = client.chat("oa/gpt", said, tools=[WEATHER], stream=streamed)
    assert "".join(part.message.content for part in (again if streamed else [again])) == "openai says hi"
    turn, first, second = other.last.body["messages"][1:]
    assert [call["function"]["arguments"] for call in turn["tool_calls"]] == ['{"unit":"C","city":"Paris"}'] * 2
    assert [result["tool_call_id"] for result in (first, second)] == [call["id"] for call in turn["tool_calls"]]
    assert (first["content"], second["content"]) == ("sun", "rain")


def test_a_function_of_python_is_a_tool(client: ollama.Client, other: Peer) -> None:
    def weather(city: str) -> str:
        """Tells the weather.

        Args:
          city: Where.
        """
        return city

    client.chat("oa/gpt", user(), tools=[weather])
    [tool] = other.last.body["tools"]
    assert tool["function"]["name"] == "weather"
    assert tool["function"]["parameters"]["properties"]["city"]["type"] == "string"


def test_vectors_elsewhere(client: ollama.Client, other: Peer) -> None:
    assert client.embed("oa/e", ["a", "b"]).embeddings == [[0.0, 0.5], [1.0, 0.5]]
    assert (other.last.path, other.last.body["input"]) == ("/v1/embeddings", ["a", "b"])
    assert client.embeddings("oa/e", "a").embedding == [0.0, 0.5]


def test_what_cannot_go_elsewhere_is_told(gateway: Gateway, other: Peer) -> None:
    given = {"model": "oa/gpt", "messages": user(), "options": {"num_ctx": 9, "num_predict": -1}, "keep_alive": "5m",
             "stream": False}  # fmt: skip
    found = httpx.post(f"{gateway.url}/api/chat", json=given)
    assert set(found.headers["x-parley-dropped"].split(", ")) == {"options.num_ctx", "keep_alive"}
    before = len(other.seen)
    given = {"model": "oa/gpt", "messages": user(images=["https://example.org/a.png"])}
    found = httpx.post(f"{gateway.url}/api/chat", json=given)
    assert (found.status_code, found.json()["code"]) == (400, "invalid_request")
    assert "messages[0].images[0]" in found.json()["error"]
    assert len(other.seen) == before


def test_errors_elsewhere(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="no such thing") as caught:
        client.chat("oa-gone", user())
    assert caught.value.status_code == 404
    parts, _ = broken(client.chat("oa-cut", user(), stream=True))
    assert parts
    assert not any(part.done for part in parts)


# Clients of other dialects to an Ollama


def test_openai_to_an_ollama(caller: openai.OpenAI, native: Peer) -> None:
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    content: Any = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": url}}]
    form: Any = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    found = caller.chat.completions.create(
        model="ol/tiny", messages=[{"role": "user", "content": content}], max_completion_tokens=5, temperature=0,
        response_format=form, reasoning_effort="high", stop="x",
    )  # fmt: skip
    assert (native.last.path, native.last.body) == (
        "/api/chat",
        {
            "model": "tiny",
            "messages": [{"role": "user", "content": "what?", "images": [base64.b64encode(PNG).decode()]}],
            "format": SCHEMA,
            "options": {"temperature": 0, "num_predict": 5, "stop": ["x"]},
            "think": "high",
            "truncate": False,
            "stream": False,
        },
    )
    assert (found.choices[0].message.content, found.choices[0].finish_reason) == ("ollama says hi", "stop")
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.completion_tokens, found.created) == (11, 4, 1767323045)
    assert found.choices[0].message.to_dict()["reasoning_content"] == "hm"


def test_openai_streams_from_an_ollama(caller: openai.OpenAI, native: Peer) -> None:
    options: Any = {"include_usage": True}
    messages: Any = user()
    parts = list(
        caller.chat.completions.create(model="ol/tiny", messages=messages, stream=True, stream_options=options)
    )
    assert native.last.body["stream"] is True
    assert [choice.delta.content for part in parts for choice in part.choices if choice.delta.content] == [
        "ollama ", "says ", "hi",
    ]  # fmt: skip
    assert parts[-1].usage is not None
    assert parts[-1].usage.completion_tokens == 4


@pytest.mark.parametrize("streamed", [False, True])
def test_openai_tools_at_an_ollama(caller: openai.OpenAI, native: Peer, streamed: bool) -> None:
    messages: list[Any] = user("weather?")
    tools: Any = [WEATHER]
    if streamed:
        with caller.chat.completions.stream(model="ol/tiny", messages=messages, tools=tools) as stream:
            found = stream.get_final_completion().choices[0]
    else:
        found = caller.chat.completions.create(model="ol/tiny", messages=messages, tools=tools).choices[0]
    calls: Any = found.message.tool_calls
    assert found.finish_reason == "tool_calls"
    assert [call.function.arguments for call in calls] == [ARGUMENTS] * 2
    assert len({call.id for call in calls}) == 2
    turns = [{"id": c.id, "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}} for c in calls]
    messages += [{"role": "assistant", "tool_calls": turns}]
    messages += [{"role": "tool", "tool_call_id": call.id, "content": "sun"} for call in calls]
    again = caller.chat.completions.create(model="ol/tiny", messages=messages, tools=tools)
    assert again.choices[0].message.content == "ollama says hi"
    assert ARGUMENTS in native.last.text, "not one character of the arguments changed"
    results = native.last.body["messages"][2:]
    assert [(result["role"], result["tool_name"]) for result in results] == [("tool", "weather")] * 2


def test_openai_refusals_and_errors_of_an_ollama(caller: openai.OpenAI, native: Peer) -> None:
    before = len(native.seen)
    content: Any = [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]
    with pytest.raises(openai.BadRequestError) as refused:
        caller.chat.completions.create(model="ol/tiny", messages=[{"role": "user", "content": content}])
    assert refused.value.param == "messages[0].content[0]"
    assert len(native.seen) == before
    messages: Any = user()
    with pytest.raises(openai.NotFoundError) as missing:
        caller.chat.completions.create(model="ol-gone", messages=messages)
    assert missing.value.code == "model_not_found"
    for model in ("ol-cut", "ol-short", "ol-breaks"):
        with pytest.raises(openai.APIError):
            list(caller.chat.completions.create(model=model, messages=messages, stream=True))


def test_openai_vectors_and_completions_of_an_ollama(caller: openai.OpenAI, native: Peer) -> None:
    found = caller.embeddings.create(model="ol/tiny", input=["a", "bc"])
    assert [item.embedding for item in found.data] == [[1.0, 0.5], [2.0, 0.5]]
    assert (native.last.path, native.last.body["input"]) == ("/api/embed", ["a", "bc"])
    assert caller.completions.create(model="ol/tiny", prompt="p", max_tokens=9).choices[0].text == "ollama says hi"
    assert native.last.path == "/api/generate"
    assert (native.last.body["prompt"], native.last.body["options"]) == ("p", {"num_predict": 9})


def test_extensions_reach_an_ollama(gateway: Gateway, native: Peer) -> None:
    given = {
        "model": "ol/tiny",
        "messages": user(),
        "seed": 3,
        "x-parley-extensions": {"min_p": 0.1, "top_k": 5, "n_keep": 2},
    }
    found = httpx.post(f"{gateway.url}/v1/chat/completions", json=given)
    assert found.status_code == 200
    assert native.last.body["options"] == {"seed": 3, "min_p": 0.1, "top_k": 5, "num_keep": 2}
    assert "x-parley-dropped" not in found.headers


@pytest.mark.parametrize("streamed", [False, True])
def test_anthropic_to_an_ollama(gateway: Gateway, native: Peer, streamed: bool) -> None:
    tools: Any = [{"name": "weather", "input_schema": WEATHER["function"]["parameters"]}]  # type: ignore[index]
    thinking: Any = {"type": "enabled", "budget_tokens": 16384}
    messages: Any = user("weather?")
    asked: dict[str, Any] = {"model": "ol/tiny", "max_tokens": 17000, "messages": messages, "thinking": thinking}
    with anthropic.Anthropic(base_url=gateway.url, api_key="k", max_retries=0) as caller:
        if streamed:
            with caller.messages.stream(**asked, tools=tools) as stream:
                found = stream.get_final_message()
        else:
            found = caller.messages.create(**asked, tools=tools)
    assert native.last.body["think"] == "high"
    assert [block.type for block in found.content] == ["thinking", "tool_use", "tool_use"]
    assert found.stop_reason == "tool_use"
    assert [list(block.input.items()) for block in found.content if block.type == "tool_use"] == [
        [("unit", "C"), ("city", "Paris")],
    ] * 2  # fmt: skip
    assert (found.usage.input_tokens, found.usage.output_tokens) == (11, 4)
