"""Several answers of providers that give one at a time, asked for by the official SDKs through ``parley serve``."""

import sys
from collections.abc import Iterator

import openai
import pytest

from fixtures.parley import Gateway, start
from grid.features import words
from grid.upstream import Upstream, configuration
from real.genai_client import genai, types

SINGLE = ("anthropic", "ollama", "cohere", "bedrock", "tgi")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    wanted = configuration(upstream, [])
    for name in (*SINGLE, "openai_chat"):
        for scenario in ("plain", "tools", "error-429"):
            wanted["providers"].setdefault(
                f"{name}.{scenario}", upstream.fakes[name].provider(upstream.url(name, scenario))
            )
            target = {"model": f"{name}-{scenario}", "targets": [f"{name}.{scenario}/m"], "retries": {"attempts": 1}}
            wanted["models"].append({**target, "choices": "fan_out"})
    wanted["models"].append({"model": "refuses", "targets": ["anthropic.plain/m"]})
    running = start(sys.executable, tmp_path_factory.mktemp("fan"), wanted, {}, ())
    yield running
    running.stop()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as made:
        yield made


@pytest.mark.parametrize("name", SINGLE)
def test_whole(client: openai.OpenAI, upstream: Upstream, name: str) -> None:
    made = client.chat.completions.create(
        model=f"{name}-plain", messages=[{"role": "user", "content": "What is it like?"}], n=3
    )
    assert [choice.index for choice in made.choices] == [0, 1, 2]
    assert {choice.message.content for choice in made.choices} == {words(name)}
    assert made.usage is not None
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (33, 21)
    assert len(upstream.take()) == 3


@pytest.mark.parametrize("name", SINGLE)
def test_streamed(client: openai.OpenAI, upstream: Upstream, name: str) -> None:
    texts, stops, counted = ["", ""], ["", ""], []
    asked = client.chat.completions.create(
        model=f"{name}-plain",
        messages=[{"role": "user", "content": "What is it like?"}],
        n=2,
        stream=True,
        stream_options={"include_usage": True},
    )
    for chunk in asked:
        counted += [chunk.usage] if chunk.usage else []
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            stops[choice.index] += choice.finish_reason or ""
    assert (texts, stops) == ([words(name)] * 2, ["stop"] * 2)
    (usage,) = counted
    assert (usage.prompt_tokens, usage.completion_tokens) == (22, 14)
    assert [seen.stream for seen in upstream.take()] == [True, True]


@pytest.mark.parametrize("name", ["anthropic", "ollama", "cohere", "bedrock"])
def test_each_calls_tools(client: openai.OpenAI, upstream: Upstream, name: str) -> None:
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
    with client.chat.completions.stream(
        model=f"{name}-tools",
        messages=[{"role": "user", "content": "What is it like?"}],
        n=2,
        tools=[tool],  # type: ignore[list-item]
    ) as stream:
        made = stream.get_final_completion()
    calls = [choice.message.tool_calls[0].function for choice in made.choices if choice.message.tool_calls]
    assert [call.name for call in calls] == ["get_weather"] * 2
    assert [choice.finish_reason for choice in made.choices] == ["tool_calls"] * 2
    upstream.take()


def test_a_provider_that_gives_several_is_asked_once(client: openai.OpenAI, upstream: Upstream) -> None:
    made = client.chat.completions.create(
        model="openai_chat-plain", messages=[{"role": "user", "content": "What is it like?"}], n=2
    )
    assert made.choices[0].message.content == words("openai_chat")
    assert len(upstream.take()) == 1


def test_gemini_callers(gateway: Gateway, upstream: Upstream) -> None:
    config = types.GenerateContentConfig(candidate_count=2)
    with genai.Client(api_key="any", http_options=types.HttpOptions(base_url=gateway.url)) as client:
        made = client.models.generate_content(model="anthropic-plain", contents="What is it like?", config=config)
    assert made.candidates is not None
    texts = [part.text for one in made.candidates for part in (one.content.parts if one.content else None) or ()]
    assert texts == [words("anthropic")] * 2
    assert len(upstream.take()) == 2


def test_an_error_of_one_is_the_error_of_all(client: openai.OpenAI, upstream: Upstream) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(
            model="anthropic-error-429", messages=[{"role": "user", "content": "What is it like?"}], n=3
        )
    assert caught.value.response.headers["x-parley-attempts"] == "1"
    upstream.forget()


def test_without_the_setting_it_is_refused_by_name(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.take()
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="refuses", messages=[{"role": "user", "content": "What is it like?"}], n=2)
    assert caught.value.param == "n"
    assert upstream.take() == []
