"""What OpenAI's own SDK really sends passes the models: its requests are caught on their way out."""

import email.policy
from collections.abc import Callable
from email.parser import BytesParser
from typing import Any

import httpx2
import openai
import pytest

from parley.api.check import BODIES, FORMS, checked, checked_form

PNG = ("a.png", b"\x89PNG", "image/png")
WAV = ("a.wav", b"RIFF", "audio/wav")
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}
ITEM = {"role": "user", "content": [{"type": "input_text", "text": "t"}]}
SCHEMA = {"name": "s", "schema": {"type": "object"}, "strict": True}


def sent(call: Callable[[openai.OpenAI], Any]) -> httpx2.Request:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        request.read()
        seen.append(request)
        return httpx2.Response(400, json={"error": {"message": "enough"}})

    with (
        openai.OpenAI(api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))) as client,
        pytest.raises(openai.BadRequestError),
    ):
        call(client)
    [request] = seen
    return request


def form_of(request: httpx2.Request) -> tuple[dict[str, list[str]], set[str]]:
    head = b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
    fields: dict[str, list[str]] = {}
    files = set()
    for part in BytesParser(policy=email.policy.HTTP).parsebytes(head + request.content).iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        if part.get_filename():
            files.add(name)
        else:
            fields.setdefault(name, []).append(part.get_payload(decode=True).decode())
    return fields, files


JSON: list[tuple[str, Callable[[openai.OpenAI], Any]]] = [
    (
        "chat",
        lambda client: client.chat.completions.create(
            model="gpt-4o",
            messages=[
                {"role": "developer", "content": "d"},
                {"role": "system", "content": [{"type": "text", "text": "s"}]},
                {
                    "role": "user",
                    "name": "ann",
                    "content": [
                        {"type": "text", "text": "t"},
                        {"type": "image_url", "image_url": {"url": "data:,", "detail": "low"}},
                        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                        {"type": "file", "file": {"file_id": "f"}},
                    ],
                },
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "1", "content": "r"},
            ],
            tools=[TOOL],
            tool_choice={"type": "function", "function": {"name": "f"}},
            response_format={"type": "json_schema", "json_schema": SCHEMA},
            stream_options={"include_usage": True},
            stream=True,
            logit_bias={"1": -100},
            stop=["a"],
            temperature=0,
            extra_body={"top_k": 4, "x-parley-extensions": {"min_p": 0.1}, "chat_template_kwargs": {"x": 1}},
        ),
    ),
    (
        "chat",
        lambda client: client.chat.completions.create(
            model="m",
            messages=[
                openai.types.chat.ChatCompletionMessage(role="assistant", content="before").model_dump(),
                openai.types.chat.ChatCompletionMessage(role="assistant", content="before"),
                {"role": "user", "content": "now"},
            ],
        ),
    ),
    ("completions", lambda client: client.completions.create(model="m", prompt=[[1, 2], [3]], max_tokens=0)),
    ("embeddings", lambda client: client.embeddings.create(model="m", input=["a", "b"], dimensions=8)),
    ("embeddings", lambda client: client.embeddings.create(model="m", input=[1, 2], encoding_format="float")),
    (
        "responses",
        lambda client: client.responses.create(
            model="m",
            input=[
                {"role": "user", "content": "hi"},
                {"type": "function_call_output", "call_id": "c", "output": "o"},
                {"type": "item_reference", "id": "i"},
            ],
            tools=[
                {"type": "function", "name": "f", "parameters": {}, "strict": None},
                {"type": "web_search"},
                {"type": "mcp", "server_label": "s", "server_url": "https://x"},
            ],
            tool_choice={"type": "function", "name": "f"},
            text={"format": {"type": "json_schema", "name": "n", "schema": {}}, "verbosity": "low"},
            reasoning={"effort": "low", "summary": "auto"},
            include=["reasoning.encrypted_content"],
            max_output_tokens=16,
            stream=True,
        ),
    ),
    ("responses", lambda client: client.responses.create(model="m", input="hi", previous_response_id=None)),
    ("image_generation", lambda client: client.images.generate(prompt="p", model="m", n=2, size="1024x1024")),
    ("speech", lambda client: client.audio.speech.create(model="m", input="i", voice="alloy", speed=1.5)),
    ("moderation", lambda client: client.moderations.create(input=[{"type": "text", "text": "t"}])),
    ("moderation", lambda client: client.moderations.create(input="t", model="m")),
    ("input_tokens", lambda client: client.responses.input_tokens.count(model="m", input="hi", tools=[])),
    ("conversation", lambda client: client.conversations.create(metadata={"a": "b"}, items=[ITEM])),
    ("conversation_update", lambda client: client.conversations.update("c", metadata={"a": "b"})),
    ("conversation_items", lambda client: client.conversations.items.create("c", items=[ITEM])),
]
MULTIPART: list[tuple[str, Callable[[openai.OpenAI], Any]]] = [
    ("image_edit", lambda client: client.images.edit(image=PNG, prompt="p", n=2, mask=PNG, stream=True)),
    ("image_edit", lambda client: client.images.edit(image=[PNG, PNG], prompt="p", output_compression=50)),
    ("image_variation", lambda client: client.images.create_variation(image=PNG, n=2, size="512x512")),
    (
        "transcription",
        lambda client: client.audio.transcriptions.create(
            file=WAV,
            model="whisper-1",
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
            include=["logprobs"],
            temperature=0.5,
            chunking_strategy={"type": "server_vad", "threshold": 0.5, "silence_duration_ms": 200},
        ),
    ),
    (
        "transcription",
        lambda client: client.audio.transcriptions.create(file=WAV, model="m", stream=True, chunking_strategy="auto"),
    ),
    ("translation", lambda client: client.audio.translations.create(file=WAV, model="m", response_format="srt")),
]


def test_every_operation_of_the_sdk_has_a_sample() -> None:
    assert {name for name, _ in JSON} == BODIES - {"rerank"}
    assert {name for name, _ in MULTIPART} == FORMS


@pytest.mark.parametrize(("operation", "call"), JSON)
def test_bodies_of_the_sdk_pass(operation: str, call: Callable[[openai.OpenAI], Any]) -> None:
    checked(operation, sent(call).content)


# Two of these methods are deprecated at OpenAI, not here.
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
@pytest.mark.parametrize(("operation", "call"), MULTIPART)
def test_forms_of_the_sdk_pass(operation: str, call: Callable[[openai.OpenAI], Any]) -> None:
    fields, files = form_of(sent(call))
    assert fields or operation == "image_variation"
    assert files
    checked_form(operation, fields, files)
