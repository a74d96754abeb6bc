"""OpenAI's own Python SDK calls every method that is served, of the echo model and of a model on this machine."""

import asyncio
import base64
import io
import json
import sys
import warnings
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from fixtures.parley import BUILDS, Gateway, start
from real import tiny

TEXT = "one two three"
TOOLS: Any = [{"type": "function", "name": "get_weather", "strict": False, **tiny.OPENAI_ONE[0]["function"]}]


class Answer(BaseModel):
    """What the tiny model says in JSON; the echo model is told to."""

    answer: int


JSON_SAID = {"tiny": "JSON", "echo": '{"answer": 42}'}
SAID = {"tiny": ("COUNT", tiny.COUNT), "echo": (TEXT, TEXT)}


ECHOES = [("echo", build) for build, python in BUILDS.items() if python]


@pytest.fixture(scope="module")
def with_tiny(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The sources, with a model of this machine behind them: its extra is not part of the built product."""
    weights = {"model": str(tiny_gguf), "threads": 1}
    config = {"models": [{"model": "tiny", "settings": weights | {"embeddings": True}}]}
    running = start(sys.executable, tmp_path_factory.mktemp("tiny"), config, {}, ())
    yield running
    running.stop()


@pytest.fixture(scope="module", params=[*ECHOES, ("tiny", "sources")], ids="-".join)
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Gateway]]:
    """A model, and the gateway that has it."""
    model, build = request.param
    if model == "tiny":
        yield model, request.getfixturevalue("with_tiny")
        return
    config = {"models": [{"model": "echo", "targets": ["echo/echo"]}]}
    running = start(BUILDS[build], tmp_path_factory.mktemp("echo"), config, {}, ())
    yield model, running
    running.stop()


@pytest.fixture
def client(asked: tuple[str, Gateway]) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{asked[1].url}/v1", api_key="sk-any", max_retries=0) as made:
        yield made


@pytest.fixture
async def later(asked: tuple[str, Gateway]) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{asked[1].url}/v1", api_key="sk-any", max_retries=0) as made:
        yield made


@pytest.fixture
def model(asked: tuple[str, Gateway]) -> str:
    return asked[0]


# What a model that speaks can be asked for, of both models


def test_chat(client: openai.OpenAI, model: str) -> None:
    text, said = SAID[model]
    wanted: Any = {"model": model, "messages": tiny.user(text)}
    assert client.chat.completions.create(**wanted).choices[0].message.content == said
    raw = client.chat.completions.with_raw_response.create(**wanted)
    assert raw.headers["x-parley-target"].endswith(f"/{model}")
    assert raw.parse().choices[0].message.content == said
    with client.chat.completions.with_streaming_response.create(**wanted) as answer:
        assert json.loads(b"".join(answer.iter_bytes()))["choices"][0]["message"]["content"] == said
    parts = list(client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **wanted))
    assert "".join(choice.delta.content or "" for part in parts for choice in part.choices) == said
    assert parts[-1].usage is not None
    with client.chat.completions.stream(**wanted) as events:
        kinds = [event.type for event in events]
        assert events.get_final_completion().choices[0].message.content == said
    assert kinds[-1] == "content.done"


def test_chat_read_as_an_object(client: openai.OpenAI, model: str) -> None:
    wanted: Any = {"model": model, "messages": tiny.user(JSON_SAID[model]), "response_format": Answer}
    parsed = client.chat.completions.parse(**wanted).choices[0].message.parsed
    assert parsed == Answer(answer=42)
    with client.chat.completions.stream(**wanted) as events:
        done = [event.parsed for event in events if event.type == "content.done"]
    assert done == [Answer(answer=42)]


def test_tools_of_a_chat(with_tiny: Gateway) -> None:
    with openai.OpenAI(base_url=f"{with_tiny.url}/v1", api_key="k", max_retries=0) as client:
        wanted: Any = {"model": "tiny", "messages": tiny.user("TWO"), "tools": tiny.OPENAI_TWO}
        with client.chat.completions.stream(**wanted) as events:
            calls = [event for event in events if event.type == "tool_calls.function.arguments.done"]
        assert [(call.name, json.loads(call.arguments)) for call in calls] == [tiny.OSLO, tiny.UTC]
        whole = client.chat.completions.create(**wanted).choices[0]
        results = [{"role": "tool", "tool_call_id": call.id, "content": "x"} for call in whole.message.tool_calls or ()]
        turns = [*tiny.user("TWO"), whole.message, *results]
        again = client.chat.completions.create(model="tiny", messages=turns, tools=tiny.OPENAI_TWO)  # type: ignore[arg-type]
        assert (whole.finish_reason, again.choices[0].message.content) == ("tool_calls", tiny.HI)


def test_completions(client: openai.OpenAI, model: str) -> None:
    prompt, said = ("<|assistant|>", tiny.HI) if model == "tiny" else (TEXT, TEXT)
    wanted: Any = {"model": model, "prompt": prompt, "temperature": 0}
    assert client.completions.create(**wanted).choices[0].text == said
    parts = client.completions.create(stream=True, **wanted)
    assert "".join(choice.text for part in parts for choice in part.choices) == said
    assert client.completions.with_raw_response.create(**wanted).parse().choices[0].text == said


def test_embeddings(client: openai.OpenAI, model: str) -> None:
    packed = client.embeddings.create(model=model, input=["<|assistant|>", "hi <|assistant|>"])
    plain = client.embeddings.create(model=model, input=["<|assistant|>", "hi <|assistant|>"], encoding_format="float")
    assert [item.index for item in packed.data] == [0, 1]
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
    raw = client.embeddings.with_raw_response.create(model=model, input="x", encoding_format="base64")
    sent = json.loads(raw.content)["data"][0]["embedding"]
    assert len(base64.b64decode(sent)) % 4 == 0


def test_responses(client: openai.OpenAI, model: str) -> None:
    text, said = SAID[model]
    whole = client.responses.create(model=model, input=text)
    assert (whole.output_text, whole.status, whole.object) == (said, "completed", "response")
    events = list(client.responses.create(model=model, input=text, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events if event.type != "response.output_text.delta"]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    with client.responses.stream(model=model, input=text) as stream:
        assert "".join(event.delta for event in stream if event.type == "response.output_text.delta") == said
        assert stream.get_final_response().output_text == said
    with client.responses.with_streaming_response.create(model=model, input=text) as answer:
        assert answer.parse().output_text == said
    counted = client.responses.input_tokens.count(model=model, input=text)
    assert counted.input_tokens > 0


def test_responses_read_as_an_object(client: openai.OpenAI, model: str) -> None:
    wanted: Any = {"model": model, "input": JSON_SAID[model], "text_format": Answer}
    assert client.responses.parse(**wanted).output_parsed == Answer(answer=42)
    with client.responses.stream(**wanted) as stream:
        assert stream.get_final_response().output_parsed == Answer(answer=42)


def test_tools_and_thoughts_of_responses(with_tiny: Gateway) -> None:
    with openai.OpenAI(base_url=f"{with_tiny.url}/v1", api_key="k", max_retries=0) as client:
        called = client.responses.create(model="tiny", input="hi", tools=TOOLS)
        [call] = [item for item in called.output if item.type == "function_call"]
        assert (call.name, json.loads(call.arguments)) == tiny.PARIS
        result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        then = client.responses.create(model="tiny", input=[result], tools=TOOLS, previous_response_id=called.id)
        assert (then.output_text, then.previous_response_id) == (tiny.HI, called.id)
        with client.responses.stream(model="tiny", input="hi", tools=TOOLS) as stream:
            done = [event for event in stream if event.type == "response.function_call_arguments.done"]
        assert [json.loads(event.arguments) for event in done] == [tiny.PARIS[1]]
        thought = client.responses.create(model="tiny", input="THINK")
        assert [item.type for item in thought.output] == ["reasoning", "message"]
        assert thought.output_text == "Greetings!"


def test_stored_responses(client: openai.OpenAI, model: str) -> None:
    text, said = SAID[model]
    first = client.responses.create(model=model, input=text)
    assert client.responses.retrieve(first.id) == first
    told = list(client.responses.retrieve(first.id, stream=True))
    assert (told[0].type, told[-1].type) == ("response.created", "response.completed")
    later = list(client.responses.retrieve(first.id, stream=True, starting_after=told[1].sequence_number))
    assert later == told[2:]
    second = client.responses.create(model=model, input=text, previous_response_id=first.id)
    assert second.output_text == said
    items = client.responses.input_items.list(second.id, order="asc").data
    assert [getattr(item, "role", "") for item in items] == ["user", "assistant", "user"]
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(first.id)
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    kept = client.responses.create(model=model, input=text, store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(kept.id)


async def test_background_responses(later: openai.AsyncOpenAI, model: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await later.responses.create(model=model, input="x", background=True, temperature=9)
    assert refused.value.param == "temperature"
    queued = await later.responses.create(model=model, input=SAID[model][0], background=True)
    assert queued.status == "queued"
    async with asyncio.timeout(30):
        # Another process makes it, so there is no event to wait for.
        while (found := await later.responses.retrieve(queued.id)).status in ("queued", "in_progress"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (found.status, found.output_text, found.background) == ("completed", SAID[model][1], True)
    assert (await later.responses.cancel(queued.id)).status == "completed"


def test_conversations(client: openai.OpenAI, model: str) -> None:
    item: Any = {"role": "user", "content": [{"type": "input_text", "text": "before"}]}
    made = client.conversations.create(metadata={"a": "b"}, items=[item])
    answer = client.responses.create(model=model, input=SAID[model][0], conversation=made.id)
    assert answer.conversation is not None
    assert (answer.output_text, answer.conversation.id) == (SAID[model][1], made.id)
    listed = list(client.conversations.items.list(made.id, limit=2, order="asc"))
    assert [getattr(found, "role", "") for found in listed] == ["user", "user", "assistant"]
    added: Any = client.conversations.items.create(made.id, items=[item, item]).data[0]
    assert (added.content[0].text, added.status) == ("before", "completed")
    assert client.conversations.items.retrieve(added.id, conversation_id=made.id) == added
    assert client.conversations.items.delete(added.id, conversation_id=made.id).id == made.id
    assert client.conversations.update(made.id, metadata={"c": "d"}).metadata == {"c": "d"}
    assert client.conversations.retrieve(made.id).metadata == {"c": "d"}
    assert client.conversations.delete(made.id).deleted is True
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(made.id)


def test_models(client: openai.OpenAI, model: str) -> None:
    assert model in [found.id for found in client.models.list()]
    assert client.models.retrieve(model).object == "model"


# What only the echo model can do


@pytest.mark.parametrize("asked", ECHOES, indirect=True, ids="-".join)
def test_images_audio_and_judgements(client: openai.OpenAI) -> None:
    image = client.images.generate(model="echo", prompt=TEXT, response_format="b64_json").data
    assert image is not None
    picture = ("a.png", base64.b64decode(image[0].b64_json or ""))
    assert picture[1].startswith(b"\x89PNG")
    assert client.images.edit(model="echo", prompt=TEXT, image=picture, response_format="b64_json").data
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        assert client.images.create_variation(model="echo", image=picture, response_format="b64_json").data
    speech: Any = {"model": "echo", "voice": "alloy", "input": TEXT}
    with client.audio.speech.with_streaming_response.create(**speech) as answer:
        sound = b"".join(answer.iter_bytes())
    with wave.open(io.BytesIO(sound)) as file:
        assert file.getnframes() > 0
    told = ("a.wav", sound)
    assert client.audio.transcriptions.create(model="echo", file=told).text == TEXT
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        assert client.audio.translations.create(model="echo", file=told).text == TEXT
    [judged] = client.moderations.create(model="echo", input=TEXT).results
    assert judged.flagged is False
