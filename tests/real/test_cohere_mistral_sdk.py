"""The official SDKs around Cohere and Mistral.

mistralai asks a running gateway, whose OpenAI surface it speaks. The SDKs of OpenAI and Anthropic reach both vendors
through the gateway. And the vendors' own SDKs read what the providers played here answer, so that these are true.
"""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import cohere
import httpx
import openai
import pytest
from mistralai.client import Mistral
from mistralai.client.errors import SDKError
from mistralai.client.models import ChatCompletionRequest

from fixtures.parley import Gateway, Start
from real import cohere_mistral as played
from real.scripted_provider import Script, scripted

ASK: Any = [{"role": "user", "content": "What is the weather?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]


@pytest.fixture(scope="module")
def at_cohere() -> Iterator[Script]:
    with scripted() as script:
        script.answer = played.cohere
        yield script


@pytest.fixture(scope="module")
def at_mistral() -> Iterator[Script]:
    with scripted() as script:
        script.answer = played.mistral
        yield script


@pytest.fixture(scope="module")
def gateway(parley_for_module: Start, at_cohere: Script, at_mistral: Script) -> Gateway:
    return parley_for_module(
        {
            "providers": {
                "co": {"type": "cohere", "base_url": at_cohere.url, "api_key": "co-key"},
                "mi": {"type": "mistral", "base_url": at_mistral.url, "api_key": "mi-key"},
            }
        }
    )


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="sk-any", max_retries=0) as made:
        yield made


@pytest.fixture
def claude(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key="sk-any", max_retries=0) as made:
        yield made


# What is played is what the vendors' own SDKs know.


def test_coheres_own_sdk_reads_what_is_played(at_cohere: Script) -> None:
    with httpx.Client() as http:
        sdk = cohere.ClientV2(api_key="k", base_url=at_cohere.url, httpx_client=http)
        made = sdk.chat(model="m", messages=ASK)
        assert made.message.content is not None
        assert (made.message.content[0].text, made.finish_reason) == (played.TEXT, "COMPLETE")
        events = list(sdk.chat_stream(model="m", messages=ASK, tools=TOOLS))
        assert [event.type for event in events][:2] == ["message-start", "tool-plan-delta"]
        assert events[-1].type == "message-end"
        vectors = sdk.embed(model="m", texts=["a"], input_type="search_document", embedding_types=["float"])
        assert vectors.embeddings.float_ == [played.VECTOR]
        assert [one.index for one in sdk.rerank(model="m", query="q", documents=["a", "b"]).results] == [1, 0]
        with pytest.raises(cohere.errors.InvalidTokenError):
            sdk.chat(model="refused", messages=ASK)


def test_mistrals_own_sdk_reads_what_is_played(at_mistral: Script) -> None:
    with Mistral(api_key="k", server_url=at_mistral.url) as sdk:
        made = sdk.chat.complete(model="m", messages=ASK)
        content: Any = made.choices[0].message.content
        assert [chunk.type for chunk in content] == ["thinking", "text"]
        (choice,) = sdk.chat.complete(model="m", messages=ASK, tools=TOOLS).choices
        calls: Any = choice.message.tool_calls
        assert (calls[0].id, calls[0].function.arguments) == ("null", {"city": "Paris"})
        assert len(list(sdk.chat.stream(model="m", messages=ASK))) == 4
        assert sdk.embeddings.create(model="m", inputs=["a"]).data[0].embedding == played.VECTOR


# mistralai speaks OpenAI's surface: it is a caller like any other.


@pytest.fixture
def mistral(gateway: Gateway) -> Iterator[Mistral]:
    with Mistral(api_key="any", server_url=gateway.url) as made:
        yield made


def test_mistralai_asks_the_echo(mistral: Mistral) -> None:
    made = mistral.chat.complete(model="echo", messages=[{"role": "user", "content": "one two three"}])
    assert (made.choices[0].message.content, made.choices[0].finish_reason) == ("one two three", "stop")
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (3, 3)
    parts = list(mistral.chat.stream(model="echo", messages=[{"role": "user", "content": "one two three"}]))
    assert (
        "".join(str(part.data.choices[0].delta.content or "") for part in parts if part.data.choices) == "one two three"
    )


@pytest.mark.parametrize("model", ["co/command", "mi/large"])
def test_mistralai_reaches_either_vendor(mistral: Mistral, model: str) -> None:
    (choice,) = mistral.chat.complete(model=model, messages=ASK, tools=TOOLS, random_seed=5).choices
    calls: Any = choice.message.tool_calls
    assert (calls[0].function.name, json.loads(calls[0].function.arguments)) == ("get_weather", {"city": "Paris"})
    assert choice.finish_reason == "tool_calls"
    vectors = mistral.embeddings.create(model=model, inputs=["a"])
    assert [item.embedding for item in vectors.data] == [played.VECTOR]


def test_mistralai_understands_our_errors(mistral: Mistral) -> None:
    with pytest.raises(SDKError) as caught:
        mistral.chat.complete(model="nobody", messages=ASK)
    assert caught.value.status_code == 404
    assert "model_not_found" in str(caught.value)


# Other callers reach the vendors.


@pytest.mark.parametrize(("model", "text"), [("co/command", played.TEXT), ("mi/large", "Mistral speaks.")])
def test_words(client: openai.OpenAI, claude: anthropic.Anthropic, model: str, text: str) -> None:
    made = client.chat.completions.create(model=model, messages=ASK, store=True, seed=1)
    assert (made.choices[0].message.content, made.choices[0].finish_reason) == (text, "stop")
    options: Any = {"include_usage": True}
    parts = list(client.chat.completions.create(model=model, messages=ASK, stream=True, stream_options=options))
    assert "".join(part.choices[0].delta.content or "" for part in parts if part.choices) == text
    assert parts[-1].usage is not None
    assert parts[-1].usage.total_tokens in (17, 13)
    with claude.messages.stream(model=model, max_tokens=50, messages=ASK) as stream:
        message = stream.get_final_message()
    assert [block.text for block in message.content if block.type == "text"] == [text]
    assert (message.stop_reason, message.usage.output_tokens in (5, 4)) == ("end_turn", True)
    answered = client.responses.create(model=model, input="What is the weather?")
    assert answered.output_text == text


@pytest.mark.parametrize(("model", "thought"), [("co/command", played.PLAN), ("mi/large", "")])
@pytest.mark.parametrize("streams", [False, True])
def test_a_round_with_a_tool(
    client: openai.OpenAI, at_mistral: Script, at_cohere: Script, model: str, thought: str, streams: bool
) -> None:
    if streams:
        with client.chat.completions.stream(model=model, messages=ASK, tools=TOOLS) as stream:
            turn: Any = stream.get_final_completion().choices[0].message
    else:
        turn = client.chat.completions.create(model=model, messages=ASK, tools=TOOLS).choices[0].message
    (call,) = turn.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
    assert (getattr(turn, "reasoning_content", None) or "") == thought
    said = {"role": "assistant", "tool_calls": [call.model_dump(include={"id", "type", "function"})]}
    if thought:
        said["reasoning_content"] = thought
    result = {"role": "tool", "tool_call_id": call.id, "content": '{"sky": "blue"}'}
    history: Any = [*ASK, said, result, {"role": "user", "content": "And?"}]
    last = client.chat.completions.create(model=model, messages=history)
    assert last.choices[0].message.content
    sent = (at_cohere if model.startswith("co/") else at_mistral).last.body["messages"]
    if thought:
        assert (sent[1]["tool_plan"], sent[1]["tool_calls"][0]) == (
            thought,
            played.CALL | {"function": sent[1]["tool_calls"][0]["function"]},
        )
        assert sent[2]["tool_call_id"] == "get_weather_1"
    else:
        assert [turn["role"] for turn in sent] == ["user", "assistant", "tool", "assistant", "user"]
        assert sent[1]["tool_calls"][0]["id"] == sent[2]["tool_call_id"]


def test_claudes_tool_results_beside_words(claude: anthropic.Anthropic, at_mistral: Script) -> None:
    tools: Any = [{"name": "get_weather", "input_schema": SCHEMA}]
    use: Any = {"type": "tool_use", "id": "toolu_0123456789", "name": "get_weather", "input": {"city": "Paris"}}
    result: Any = {"type": "tool_result", "tool_use_id": "toolu_0123456789", "content": "blue"}
    turns: Any = [
        *ASK,
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result, {"type": "text", "text": "And?"}]},
    ]
    for model in ("mi/large", "co/command"):
        made = claude.messages.create(model=model, max_tokens=50, messages=turns, tools=tools, system="Be kind.")
        assert made.content
    body = at_mistral.last.body
    ChatCompletionRequest.model_validate(body)
    assert body["messages"][0] == {"role": "system", "content": "Be kind."}


def test_vectors(client: openai.OpenAI, at_cohere: Script, at_mistral: Script) -> None:
    for model in ("co/embed", "mi/embed"):
        made = client.embeddings.create(model=model, input=["a"])
        assert made.data[0].embedding == played.VECTOR
        floats = client.embeddings.create(model=model, input=["a"], encoding_format="float")
        assert floats.data[0].embedding == played.VECTOR
    assert at_cohere.last.body["input_type"] == "search_document"
    assert (at_cohere.last.path, at_mistral.last.path) == ("/v2/embed", "/v1/embeddings")
    assert at_cohere.last.headers["authorization"] == "Bearer co-key"
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="co/embed", input=[1, 2])
    assert caught.value.param == "input"


def test_ranked_documents(client: openai.OpenAI) -> None:
    body = {"model": "co/rerank", "query": "q", "documents": ["a", "b"], "return_documents": True}
    made: Any = client.post("/rerank", cast_to=dict[str, Any], body=body)
    assert [one["document"] for one in made["results"]] == [{"text": "b"}, {"text": "a"}]


def test_a_token_that_is_not_valid_is_the_gateways_affair(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="co/refused", messages=ASK)
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_auth")
