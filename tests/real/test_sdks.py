"""Both official SDKs through Parley to both wires of a real server: what a caller sees must not depend on the road."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import openai
import pytest

from fixtures.llama import Llama
from fixtures.parley import Gateway, Start
from real import tiny
from real.askers import AnthropicAsker, Asker, Got, OpenAIAsker, Wish, asker, settle

MODELS = {"openai": "oa/tiny", "anthropic": "an/tiny"}
ROADS = [
    (dialect, kind, upstream)
    for dialect in ("openai", "anthropic")
    for upstream in ("openai", "anthropic")
    for kind in ("sync", "async")
]


@pytest.fixture(scope="module")
def gateway(parley_for_module: Start, llama: Llama) -> Iterator[Gateway]:
    config = {
        "providers": {
            "oa": {"type": "openai", "base_url": f"{llama.url}/v1", "api_key": "sk-upstream"},
            "an": {"type": "anthropic", "base_url": llama.url, "api_key": "sk-upstream"},
            "local": {"type": "llama.cpp", "base_url": f"{llama.url}/v1"},
        },
        "models": [
            {"model": "team/blue/tiny", "targets": ["oa/tiny"]},
            {"model": "short", "targets": ["an/tiny"], "overrides": {"max_tokens": 3}},
            {"model": "shy", "targets": ["oa/tiny"], "defaults": {"max_tokens": 2}},
        ],
    }
    running = parley_for_module(config)
    yield running
    assert "sk-upstream" not in "\n".join(running.stderr_lines())


@pytest.fixture(params=ROADS, ids="-".join)
async def road(request: pytest.FixtureRequest, gateway: Gateway) -> AsyncIterator[tuple[Asker, str]]:
    dialect, kind, upstream = request.param
    async with asker(dialect, kind, gateway.url, MODELS[upstream]) as face:
        yield face, upstream


@pytest.fixture
async def plain_openai(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with asker("openai", "async", gateway.url, "oa/tiny") as face:
        assert isinstance(face.client, openai.AsyncOpenAI)
        yield face.client


@pytest.fixture
async def plain_anthropic(gateway: Gateway) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with asker("anthropic", "async", gateway.url, "an/tiny") as face:
        assert isinstance(face.client, anthropic.AsyncAnthropic)
        yield face.client


TEXTS = {
    "plain": (Wish(), tiny.HI, "end", (6, 8)),
    "other script": (Wish("Привет"), tiny.HI, "end", (16, 8)),
    "system": (Wish(system="S"), tiny.HI, "end", (9, 8)),
    "turns": (Wish("COUNT", turns=(("user", "hi"), ("assistant", "yes"))), tiny.COUNT, "end", (None, 13)),
    "long": (Wish("COUNT"), tiny.COUNT, "end", (10, 13)),
    "length": (Wish("COUNT", max_tokens=3), "one two three", "length", (10, 3)),
    "stop": (Wish("COUNT", stop=" four"), "one two three", "end", (10, 4)),
    "loop": (Wish("LOOP", max_tokens=20), " ".join(["again and"] * 10), "length", (9, 20)),
    "thinking": (Wish("THINK"), "Greetings!", "end", (10, 10)),
}


def check_text(got: Got, name: str) -> None:
    wish, text, stop, (prompt, completion) = TEXTS[name]
    assert (got.text.strip(), got.stop) == (text, stop)
    assert got.thinking == (tiny.THOUGHT if wish.text == "THINK" else "")
    assert got.calls == []
    if got.tokens is not None:
        assert got.tokens[1] == completion
        assert prompt in (None, got.tokens[0])


@pytest.mark.parametrize("name", TEXTS)
async def test_texts(road: tuple[Asker, str], name: str) -> None:
    got = await road[0].ask(TEXTS[name][0])
    check_text(got, name)
    assert got.tokens is not None


@pytest.mark.parametrize("name", TEXTS)
async def test_streamed_texts(road: tuple[Asker, str], name: str) -> None:
    face, _ = road
    got = await face.stream(TEXTS[name][0])
    check_text(got, name)
    words = len(TEXTS[name][1].replace(".", " .").split())
    assert got.pieces >= min(words, 2), "not streamed piece by piece"
    assert (got.tokens is None) == (face.dialect == "openai"), "usage was not asked for"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("choice", ["", "auto", "required", "named"])
async def test_a_tool_is_called(road: tuple[Asker, str], choice: str, streamed: bool) -> None:
    face, _ = road
    got = await (face.stream if streamed else face.ask)(Wish(tools=1, choice=choice))
    assert (got.calls, got.stop, got.text.strip()) == ([tiny.PARIS], "tool_use", "")


async def test_no_tool_may_be_called(road: tuple[Asker, str]) -> None:
    face, upstream = road
    got = await face.ask(Wish(tools=1, choice="none"))
    if upstream == "openai":
        assert (got.calls, got.text.strip()) == ([], tiny.CALL_TEXT)
    else:  # this server's Messages wire does not heed it (test_tiny_model.py shows that without us)
        assert got.calls == [tiny.PARIS]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_two_tools_are_called(road: tuple[Asker, str], streamed: bool) -> None:
    face, _ = road
    got = await (face.stream if streamed else face.ask)(Wish("TWO", tools=2))
    assert (got.calls, got.stop) == ([tiny.OSLO, tiny.UTC], "tool_use")
    if streamed:
        assert got.pieces >= 4, "arguments came in one piece"


async def test_a_full_tool_round_trip(road: tuple[Asker, str]) -> None:
    got = await road[0].round_trip()
    assert (got.text, got.stop, got.calls) == (tiny.HI, "end", [])


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_schema_is_met(road: tuple[Asker, str], streamed: bool) -> None:
    face, _ = road
    got = await (face.stream if streamed else face.ask)(Wish("JSON", form="schema"))
    assert json.loads(got.text) == {"answer": 42}


async def test_a_json_object(plain_openai: openai.AsyncOpenAI) -> None:
    got = await OpenAIAsker(plain_openai, "oa/tiny").ask(Wish("JSON", form="object"))
    assert got.text == '{"answer": 42}'


async def test_a_json_object_where_the_wire_has_none(plain_openai: openai.AsyncOpenAI) -> None:
    wanted = OpenAIAsker(plain_openai, "an/tiny").wanted(Wish("JSON", form="object"))
    raw = await plain_openai.chat.completions.with_raw_response.create(**wanted)
    assert "response_format" in raw.headers["x-parley-dropped"]


async def test_thinking_goes_back(road: tuple[Asker, str]) -> None:
    face, upstream = road
    first = await face.ask(Wish("THINK"))
    if isinstance(face, AnthropicAsker):
        said: dict[str, Any] = {"role": "assistant", "content": [block.model_dump() for block in first.raw.content]}
    else:
        said = first.raw.choices[0].message.model_dump(exclude_none=True)
        assert said["reasoning_content"] == tiny.THOUGHT
    turns = [*tiny.user("THINK"), said, *tiny.user("COUNT")]
    got = await face.ask(Wish(), messages=turns)
    assert got.text.strip() == tiny.COUNT
    plain = await face.ask(Wish("COUNT", turns=(("user", "THINK"), ("assistant", "Greetings!"))))
    assert got.tokens is not None
    assert plain.tokens is not None
    if (face.dialect, upstream) == ("openai", "anthropic"):
        # This server does not sign its thinking, and Anthropic refuses what is unsigned: dropped, and said so.
        create = face.client.chat.completions.with_raw_response.create if isinstance(face, OpenAIAsker) else None
        raw = await settle(create, model=face.model, messages=turns)
        assert raw.headers["x-parley-dropped"] == "messages[1].reasoning_content"
    else:
        assert got.tokens[0] > plain.tokens[0], "the thinking did not reach the model"


@pytest.mark.parametrize("model", MODELS.values())
@pytest.mark.parametrize("wanted", [None, False, True])
async def test_usage_in_a_stream_only_when_asked(
    plain_openai: openai.AsyncOpenAI, model: str, wanted: bool | None
) -> None:
    more = {} if wanted is None else {"stream_options": {"include_usage": wanted}}
    got = await OpenAIAsker(plain_openai, model).stream(Wish(), **more)
    assert got.text == tiny.HI
    if wanted:
        assert got.tokens == (6, 8)
        assert got.raw[-1].choices == []
        assert [chunk for chunk in got.raw[:-1] if chunk.usage] == []
    else:
        assert [chunk for chunk in got.raw if chunk.usage or not chunk.choices] == []


async def test_the_sdks_own_stream_reader(plain_openai: openai.AsyncOpenAI) -> None:
    for model in MODELS.values():
        async with plain_openai.chat.completions.stream(model=model, messages=tiny.user("COUNT")) as stream:  # type: ignore[arg-type]
            final = await stream.get_final_completion()
        assert (final.choices[0].message.content or "").strip() == tiny.COUNT


async def test_the_vendor_of_this_server(plain_openai: openai.AsyncOpenAI) -> None:
    assert (await OpenAIAsker(plain_openai, "local/tiny").ask(Wish())).text == tiny.HI


async def test_defaults_and_overrides(plain_openai: openai.AsyncOpenAI) -> None:
    wanted = {"messages": tiny.user("COUNT")}
    shy = await plain_openai.chat.completions.create(model="shy", **wanted)  # type: ignore[call-overload]
    assert shy.choices[0].message.content == "one two"
    told = await plain_openai.chat.completions.create(model="shy", max_tokens=4, **wanted)  # type: ignore[call-overload]
    assert told.choices[0].message.content == "one two three four"
    short = await plain_openai.chat.completions.create(model="short", max_tokens=9, **wanted)  # type: ignore[call-overload]
    assert (short.choices[0].message.content or "").strip() == "one two three"


async def test_models_in_openais_shape(plain_openai: openai.AsyncOpenAI) -> None:
    listed = [model.id async for model in plain_openai.models.list()]
    assert {"team/blue/tiny", "short", "echo"} <= set(listed)
    found = await plain_openai.models.retrieve("team/blue/tiny")
    assert (found.id, found.object) == ("team/blue/tiny", "model")
    with pytest.raises(openai.NotFoundError) as missing:
        await plain_openai.models.retrieve("team/green/tiny")
    assert missing.value.code == "model_not_found"


async def test_models_in_anthropics_shape(plain_anthropic: anthropic.AsyncAnthropic) -> None:
    listed = [model async for model in plain_anthropic.models.list()]
    assert {"team/blue/tiny", "short", "echo"} <= {model.id for model in listed}
    assert all(model.created_at.year >= 1970 and model.display_name for model in listed)
    found = await plain_anthropic.models.retrieve("team/blue/tiny")
    assert (found.id, found.type) == ("team/blue/tiny", "model")
    with pytest.raises(anthropic.NotFoundError):
        await plain_anthropic.models.retrieve("team/green/tiny")


async def test_tokens_are_counted(plain_anthropic: anthropic.AsyncAnthropic) -> None:
    wanted: Any = {"messages": tiny.user("hi")}
    exact = await plain_anthropic.messages.count_tokens(model="an/tiny", **wanted)
    assert exact.input_tokens == 6
    guessed = await plain_anthropic.messages.count_tokens(model="oa/tiny", **wanted)
    assert 0 < guessed.input_tokens < 50
    longer = await plain_anthropic.messages.count_tokens(model="oa/tiny", messages=tiny.user("hi " * 200))  # type: ignore[arg-type]
    assert longer.input_tokens > guessed.input_tokens


async def test_an_unknown_model(gateway: Gateway) -> None:
    for kind in ("sync", "async"):
        async with asker("openai", kind, gateway.url, "nobody") as face:
            with pytest.raises(openai.NotFoundError) as missing:
                await face.ask(Wish())
            assert (missing.value.code, missing.value.status_code) == ("model_not_found", 404)
        async with asker("anthropic", kind, gateway.url, "nobody") as face:
            with pytest.raises(anthropic.NotFoundError) as absent:
                await face.ask(Wish())
            assert "nobody" in str(absent.value)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_too_much_context(road: tuple[Asker, str], streamed: bool) -> None:
    face, _ = road
    with pytest.raises((openai.BadRequestError, anthropic.BadRequestError)) as refused:
        await (face.stream if streamed else face.ask)(Wish(tiny.OVERFLOW))
    assert "exceeds the available context size" in str(refused.value)
    assert refused.value.response.headers["x-request-id"]


async def test_answers_say_who_answered(gateway: Gateway) -> None:
    for dialect, raised in (("openai", "oa/tiny"), ("anthropic", "an/tiny")):
        async with asker(dialect, "sync", gateway.url, raised) as face:
            place = face.client.chat.completions if isinstance(face, OpenAIAsker) else face.client.messages
            raw: Any = place.with_raw_response.create(**face.wanted(Wish()))
            assert raw.headers["x-parley-target"] == raised
            assert raw.headers["x-parley-attempts"] == "1"
            assert raw.headers["x-request-id"]
