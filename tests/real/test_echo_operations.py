"""The official OpenAI SDK asks a running gateway for every operation of the echo model, and for legacy completions."""

import base64
import io
import struct
import wave
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from fixtures.llama import Llama
from fixtures.parley import Gateway, Start

PROMPT = "one two three"


@pytest.fixture(scope="module")
def gateway(parley_for_module: Start, llama: Llama) -> Gateway:
    return parley_for_module({"providers": {"local": {"type": "llama.cpp", "base_url": f"{llama.url}/v1"}}})


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="sk-any", max_retries=0) as made:
        yield made


def size_of(image: Any) -> tuple[int, ...]:
    data = base64.b64decode(image)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def spoken(client: openai.OpenAI, text: str) -> bytes:
    return client.audio.speech.create(model="echo", voice="alloy", input=text).read()


def test_completions(client: openai.OpenAI) -> None:
    made = client.completions.create(model="echo", prompt=PROMPT)
    assert (made.object, made.choices[0].text, made.choices[0].finish_reason) == ("text_completion", PROMPT, "stop")
    assert made.usage is not None
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (3, 3)
    long = client.completions.create(model="echo", prompt="w " * 40)
    assert (len(long.choices[0].text.split()), long.choices[0].finish_reason) == (16, "length")


def test_completions_as_a_stream(client: openai.OpenAI) -> None:
    options: Any = {"include_usage": True}
    parts = list(client.completions.create(model="echo", prompt=PROMPT, stream=True, n=2, stream_options=options))
    for index in (0, 1):
        choices = [choice for part in parts for choice in part.choices if choice.index == index]
        assert "".join(choice.text for choice in choices) == PROMPT
        assert [choice.finish_reason for choice in choices] == [None] * 3 + ["stop"]
    assert parts[-1].usage is not None
    assert parts[-1].usage.completion_tokens == 6
    assert all(part.usage is None for part in parts[:-1])


@pytest.mark.parametrize("members", [{"echo": True}, {"suffix": "x"}, {"best_of": 2}, {"logprobs": 1}])
def test_what_a_chat_model_cannot_complete(client: openai.OpenAI, members: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="echo", prompt=PROMPT, **members)
    assert caught.value.param == next(iter(members))


def test_completions_of_a_server_that_has_them_are_its_own(client: openai.OpenAI, llama: Llama) -> None:
    """``logprobs`` and ``echo`` would be refused in a translation."""
    asked: dict[str, Any] = {"prompt": "hi", "max_tokens": 4, "temperature": 0, "logprobs": 1, "echo": False}
    with openai.OpenAI(base_url=f"{llama.url}/v1", api_key="k", max_retries=0) as direct:
        want = direct.completions.create(model="tiny", **asked)
    got = client.completions.create(model="local/tiny", **asked)
    assert got.choices[0] == want.choices[0]
    assert got.choices[0].logprobs is not None
    parts = client.completions.create(model="local/tiny", stream=True, **asked)
    assert "".join(choice.text for part in parts for choice in part.choices) == want.choices[0].text


def test_embeddings(client: openai.OpenAI) -> None:
    packed = client.embeddings.create(model="echo", input=[PROMPT, "x"], dimensions=8)
    plain = client.embeddings.create(model="echo", input=[PROMPT, "x"], dimensions=8, encoding_format="float")
    assert packed.data == plain.data
    assert [len(item.embedding) for item in plain.data] == [8, 8]
    assert plain.usage.total_tokens == 4


def test_images(client: openai.OpenAI) -> None:
    made = client.images.generate(model="echo", prompt=PROMPT, n=2, size="256x256", response_format="b64_json")
    assert made.data is not None
    assert [size_of(image.b64_json) for image in made.data] == [(256, 256)] * 2
    file = ("a.png", base64.b64decode(made.data[0].b64_json or ""))
    edited = client.images.edit(model="echo", prompt=PROMPT, image=[file, file], response_format="b64_json")
    assert edited.data is not None
    assert size_of(edited.data[0].b64_json) == (256, 256)
    with pytest.warns(DeprecationWarning, match="deprecated"):
        varied = client.images.create_variation(model="echo", image=file, size="512x512", response_format="url")
    assert varied.data is not None
    assert size_of((varied.data[0].url or "").removeprefix("data:image/png;base64,")) == (512, 512)


def test_images_as_streams(client: openai.OpenAI) -> None:
    made = list(client.images.generate(model="echo", prompt=PROMPT, stream=True, partial_images=2, size="64x32"))
    part, whole = "image_generation.partial_image", "image_generation.completed"
    assert [event.type for event in made] == [part, part, whole]
    assert [size_of(event.b64_json) for event in made] == [(64, 32)] * 3
    file = ("a.png", base64.b64decode(made[-1].b64_json))
    edited = list(client.images.edit(model="echo", prompt=PROMPT, image=file, stream=True, partial_images=1))
    assert [event.type for event in edited] == ["image_edit.partial_image", "image_edit.completed"]


def test_speech_and_back(client: openai.OpenAI) -> None:
    sound = spoken(client, PROMPT)
    with wave.open(io.BytesIO(sound)) as file:
        assert file.getnframes() == len(PROMPT) * 480
    told = ("a.wav", sound)
    assert client.audio.transcriptions.create(model="echo", file=told).text == PROMPT
    assert client.audio.transcriptions.create(model="echo", file=told, response_format="text") == f"{PROMPT}\n"
    long = client.audio.transcriptions.create(
        model="echo", file=told, response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert [word.word for word in long.words or ()] == PROMPT.split()
    with pytest.warns(DeprecationWarning, match="deprecated"):
        assert client.audio.translations.create(model="echo", file=told).text == PROMPT


def test_speech_and_transcriptions_as_streams(client: openai.OpenAI) -> None:
    body = client.audio.speech.create(model="echo", voice="alloy", input=PROMPT, stream_format="sse").read()
    assert body.rstrip().split(b"\n\n")[-1].startswith(b'data: {"type":"speech.audio.done"')
    told = ("a.wav", spoken(client, PROMPT))
    events = list(client.audio.transcriptions.create(model="echo", file=told, stream=True))
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == PROMPT
    assert events[-1].type == "transcript.text.done"


def test_a_format_that_is_not_spoken(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(model="echo", voice="alloy", input="x", response_format="mp3")
    assert caught.value.param == "response_format"


def test_moderations(client: openai.OpenAI) -> None:
    made = client.moderations.create(model="echo", input=["a", "b"])
    assert [result.flagged for result in made.results] == [False, False]


def test_rerank(client: openai.OpenAI) -> None:
    asked = {"model": "echo", "query": "b c", "documents": ["a", "b", "b c"], "top_n": 2, "return_documents": True}
    made: Any = client.post("/rerank", body=asked, cast_to=object)
    assert made["results"] == [
        {"index": 2, "relevance_score": 1.0, "document": {"text": "b c"}},
        {"index": 1, "relevance_score": 0.5, "document": {"text": "b"}},
    ]
