"""Both official SDKs through Parley to Bedrock: signed calls, event streams, tools and sealed reasoning, and faults."""

import json
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import openai
import pytest

from fixtures.parley import Gateway, start
from real.askers import Asker, Wish, asker, openai_client
from real.bedrock import EVENTS, KEYS, REGION, Bedrock, serving
from wire.bedrock_parts import USAGE

ONCE = {"retries": {"attempts": 1}}
FAULTS = ("failed", "cut", "busy", "denied", "wrong", "gone", "crashed", "throttled-first")


@pytest.fixture(scope="module")
def bedrock() -> Iterator[Bedrock]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(bedrock: Bedrock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config = {
        "providers": {
            "aws": {"type": "bedrock", "base_url": bedrock.url},
            "keyed": {"type": "bedrock", "base_url": bedrock.url, "api_key": "bearer-secret"},
        },
        "models": [
            *({"model": name, "targets": [f"aws/{name}"], **ONCE} for name in FAULTS),
            {"model": "second", "targets": ["aws/throttled-first", "aws/text"]},
            {"model": "strict", "targets": ["aws/text"], "unknown_fields": "strict"},
        ],
    }
    env = {
        "AWS_ACCESS_KEY_ID": KEYS.access_key,
        "AWS_SECRET_ACCESS_KEY": KEYS.secret_key,
        "AWS_SESSION_TOKEN": KEYS.token,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    # On the sources alone: the product is installed without extras.
    running = start(sys.executable, tmp_path_factory.mktemp("parley"), config, env, ())
    try:
        yield running
    finally:
        running.stop()
    told = "\n".join(running.stderr_lines())
    assert not any(secret in told for secret in (KEYS.secret_key, KEYS.token, "bearer-secret"))
    assert bedrock.forged == []


@pytest.fixture(params=["openai", "anthropic"])
async def face(request: pytest.FixtureRequest, gateway: Gateway) -> AsyncIterator[Asker]:
    async with asker(request.param, "async", gateway.url, "aws/text") as made:
        yield made


@pytest.mark.parametrize("bytewise", ["", "bytewise/"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_texts(face: Asker, bedrock: Bedrock, streamed: bool, bytewise: str) -> None:
    face.model = f"aws/{bytewise}text:0"
    got = await (face.stream if streamed else face.ask)(Wish("hello", system="Be kind.", stop="END"))
    assert (got.text, got.stop) == ("Bedrock says hi.", "end")
    assert got.tokens == ((None if streamed else (30, 5)) if face.dialect == "openai" else (30, 5))
    path, headers, body = bedrock.seen[-1]
    encoded = "bytewise%2Ftext%3A0" if bytewise else "text%3A0"
    assert path == f"/model/{encoded}/converse" + ("-stream" if streamed else "")
    assert headers["accept"] == (EVENTS if streamed else "application/json")
    assert body == {
        "system": [{"text": "Be kind."}],
        "messages": [{"role": "user", "content": [{"text": "hello"}]}],
        "inferenceConfig": {"maxTokens": 100, "stopSequences": ["END"]},
    }
    assert not [
        name for name in headers if name in ("x-api-key", "anthropic-version") or name.startswith("x-stainless")
    ]


@pytest.mark.parametrize("bytewise", ["", "bytewise/"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_parallel_calls(face: Asker, streamed: bool, bytewise: str) -> None:
    face.model = f"aws/{bytewise}calls"
    got = await (face.stream if streamed else face.ask)(Wish("hello", tools=2, choice="required"))
    assert got.calls == [("weather", {"city": "Paris", "n": 1.0}), ("clock", {})]
    assert (got.text, got.stop, got.thinking) == ("Looking.", "tool_use", "Let me look.")


async def test_the_model_and_the_id_are_those_of_the_request(face: Asker) -> None:
    got = await face.ask(Wish())
    assert got.raw.model == "text"
    assert got.raw.id


async def test_usage_in_a_stream_comes_after_the_stop(gateway: Gateway) -> None:
    async with asker("openai", "async", gateway.url, "aws/text") as made:
        got = await made.stream(Wish(), stream_options={"include_usage": True})
    assert got.tokens == (USAGE["inputTokens"], USAGE["outputTokens"])
    assert got.raw[-1].choices == []
    assert len({chunk.id for chunk in got.raw}) == 1


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_sealed_reasoning_comes_back_byte_for_byte(face: Asker, bedrock: Bedrock, streamed: bool) -> None:
    """The caller gives the answer back as its own dialect holds it, with the results of both calls."""
    turns: list[dict[str, Any]]
    if face.dialect == "openai":
        turns = await _openai_turns(face, streamed)
    else:
        face.model = "aws/calls"
        got = await (face.stream if streamed else face.ask)(Wish("hello", tools=2))
        content = [block.model_dump(exclude_none=True) for block in got.raw.content]
        uses = [block["id"] for block in content if block["type"] == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": use, "content": f"of {use}"} for use in uses]
        turns = [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
    face.model = "aws/text"
    await face.ask(Wish(tools=2), messages=[{"role": "user", "content": "hello"}, *turns])
    asked, said, answered = bedrock.last["messages"]
    assert asked["content"] == [{"text": "hello"}]
    assert said["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "Let me look.", "signature": "c2ln/+=="}}},
        {"reasoningContent": {"redactedContent": "AAECgP8="}},
        {"text": "Looking."},
        {"toolUse": {"toolUseId": "tooluse_a.b:1", "name": "weather", "input": {"city": "Paris", "n": 1.0}}},
        {"toolUse": {"toolUseId": "tooluse_2", "name": "clock", "input": {}}},
    ]
    assert answered["role"] == "user"
    assert [block["toolResult"]["toolUseId"] for block in answered["content"]] == ["tooluse_a.b:1", "tooluse_2"]
    assert answered["content"][0]["toolResult"]["content"] == [{"text": "of tooluse_a.b:1"}]


async def _openai_turns(face: Asker, streamed: bool) -> list[dict[str, Any]]:
    face.model = "aws/calls"
    got = await (face.stream if streamed else face.ask)(Wish("hello", tools=2))
    if not streamed:
        message = got.raw.choices[0].message.model_dump(exclude_none=True)
    else:
        deltas = [chunk.choices[0].delta.model_dump() for chunk in got.raw if chunk.choices]
        thoughts = [block for part in deltas for block in part.get("thinking_blocks") or ()]
        ids = [call["id"] for part in deltas for call in part["tool_calls"] or () if call["id"]]
        calls = [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": json.dumps(value)}}
            for id_, (name, value) in zip(ids, got.calls, strict=True)
        ]
        message = {"role": "assistant", "content": got.text, "thinking_blocks": thoughts, "tool_calls": calls}
    ids = [call["id"] for call in message["tool_calls"]]
    return [message, *({"role": "tool", "tool_call_id": id_, "content": f"of {id_}"} for id_ in ids)]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_guardrail_is_a_content_filter(gateway: Gateway, streamed: bool) -> None:
    with openai_client(gateway.url) as client:
        asked: dict[str, Any] = {"model": "aws/blocked", "messages": [{"role": "user", "content": "hi"}]}
        if streamed:
            chunks = list(client.chat.completions.create(**asked, stream=True))
            assert chunks[-1].choices[0].finish_reason == "content_filter"
        else:
            assert client.chat.completions.create(**asked).choices[0].finish_reason == "content_filter"


async def test_a_picture_goes_as_bytes_and_an_address_is_refused_by_name(face: Asker, bedrock: Bedrock) -> None:
    if face.dialect == "openai":
        part: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
        far: Any = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    else:
        part = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
        far = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    await face.ask(Wish(), messages=[{"role": "user", "content": [part]}])
    assert bedrock.last["messages"][0]["content"] == [{"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}}]
    count = len(bedrock.seen)
    with pytest.raises((openai.BadRequestError, anthropic.BadRequestError)) as caught:
        await face.ask(Wish(), messages=[{"role": "user", "content": [{"type": "text", "text": "a"}, far]}])
    assert "messages[0].content[1]" in caught.value.message
    assert len(bedrock.seen) == count


async def test_what_cannot_go_is_listed_or_refused(gateway: Gateway) -> None:
    with openai_client(gateway.url) as client:
        asked: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "seed": 1, "user": "u"}
        raw = client.chat.completions.with_raw_response.create(model="aws/text", **asked)
        assert raw.headers["x-parley-dropped"] == "seed, user"
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="strict", **asked)
    assert caught.value.param == "seed"


async def test_a_bearer_key_is_not_signed(face: Asker, bedrock: Bedrock) -> None:
    face.model = "keyed/text"
    await face.stream(Wish())
    headers = bedrock.seen[-1][1]
    assert headers["authorization"] == "Bearer bearer-secret"
    assert not [name for name in headers if name.startswith("x-amz-")]


# --- faults ------------------------------------------------------------------------------------


async def test_throttling_as_the_first_event_goes_to_the_next_target(face: Asker, bedrock: Bedrock) -> None:
    face.model, count = "second", len(bedrock.seen)
    got = await face.stream(Wish())
    assert got.text == "Bedrock says hi."
    assert [path for path, _, _ in bedrock.seen[count:]] == [
        "/model/throttled-first/converse-stream",
        "/model/text/converse-stream",
    ]


@pytest.mark.parametrize(
    ("model", "status", "words"),
    [
        ("busy", 429, ""),
        ("denied", 502, ""),
        ("wrong", 400, "The model wants less."),
        ("gone", 404, "No such model."),
        ("crashed", 500, ""),
        ("failed", 502, ""),
    ],
)
async def test_errors_have_the_caller_s_own_shape(face: Asker, model: str, status: int, words: str) -> None:
    face.model = model
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as caught:
        await face.ask(Wish())
    assert caught.value.status_code == status
    assert words in caught.value.message
    assert KEYS.access_key not in caught.value.message


async def test_throttling_is_told_as_such_where_there_is_no_other_target(face: Asker) -> None:
    face.model = "throttled-first"
    with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)):
        await face.stream(Wish())


@pytest.mark.parametrize("model", ["failed", "cut"])
async def test_a_stream_that_breaks_ends_in_an_error_and_no_terminator(face: Asker, model: str) -> None:
    face.model = model
    with pytest.raises((openai.APIError, anthropic.APIError)) as caught:
        await face.stream(Wish())
    assert not isinstance(caught.value, openai.APIConnectionError | anthropic.APIConnectionError)
