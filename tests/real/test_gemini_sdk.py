"""The official google-genai client through ``parley serve``: to the echo, to OpenAI's wire, and to its own."""

import base64
from collections.abc import Iterator

import pytest

from fixtures.parley import Gateway, Start
from real.genai_client import errors, genai, types
from real.scripted_provider import Answer, Asked, Script, candidate, chat_answer, chunk, scripted

PIXEL = b"\x89PNG\xfb\xff\xfe not a picture, but its bytes need both odd letters of base64"
WEATHER = types.FunctionDeclaration(
    name="weather",
    description="The weather of a city",
    parameters=types.Schema(
        type=types.Type.OBJECT,
        properties={"city": types.Schema(type=types.Type.STRING, nullable=True)},
        required=["city"],
    ),
)
SIGNATURE = "c2lnbmVkIGJ5IHRoZSBtb2RlbA=="


@pytest.fixture(scope="module")
def provider() -> Iterator[Script]:
    with scripted() as script:
        yield script


@pytest.fixture(scope="module")
def gateway(parley_for_module: Start, provider: Script) -> Iterator[Gateway]:
    config = {
        "providers": {
            "oa": {"type": "openai", "base_url": f"{provider.url}/v1", "api_key": "sk-upstream"},
            "an": {"type": "anthropic", "base_url": provider.url, "api_key": "sk-upstream"},
            # A provider that fails is left alone for a while: each of these fails alone.
            **{
                f"bad{status}": {"type": "openai", "base_url": f"{provider.url}/v1", "api_key": "sk-upstream"}
                for status in (200, 400, 401, 404, 429, 500, 529)
            },
            "gem": {"type": "gemini", "base_url": f"{provider.url}/v1beta", "api_key": "sk-upstream"},
        },
        "models": [{"model": "warm", "targets": ["gem/real-1"], "overrides": {"temperature": 0.5}}],
    }
    running = parley_for_module(config)
    yield running
    assert "sk-upstream" not in "\n".join(running.stderr_lines())


@pytest.fixture(scope="module", params=["v1", "v1beta"])
def client(request: pytest.FixtureRequest, gateway: Gateway) -> Iterator[genai.Client]:
    options = types.HttpOptions(
        base_url=gateway.url, api_version=request.param, retry_options=types.HttpRetryOptions(attempts=1)
    )
    with genai.Client(api_key="caller-key", http_options=options) as made:
        yield made


@pytest.fixture(scope="module")
def caller(gateway: Gateway) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=gateway.url, retry_options=types.HttpRetryOptions(attempts=1))
    with genai.Client(api_key="caller-key", http_options=options) as made:
        yield made


CALL = {"functionCall": {"name": "weather", "args": {"city": "Riga"}}, "thoughtSignature": SIGNATURE}


# --- the echo ----------------------------------------------------------------------------------


def test_echo(client: genai.Client) -> None:
    answer = client.models.generate_content(model="echo/any", contents="one two three")
    assert answer.text == "one two three"
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata.prompt_token_count, answer.usage_metadata.candidates_token_count) == (3, 3)


def test_echo_streams_word_by_word(client: genai.Client) -> None:
    chunks = list(client.models.generate_content_stream(model="echo/any", contents="one two three"))
    assert "".join(chunk.text or "" for chunk in chunks) == "one two three"
    assert len(chunks) > 3
    reasons = [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates]
    assert [reason for reason in reasons if reason] == [types.FinishReason.STOP]
    assert chunks[-1].usage_metadata is not None
    assert chunks[-1].usage_metadata.total_token_count == 6


# The client derives from a class of aiohttp's, which warns of it.
@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
async def test_echo_streams_to_the_asynchronous_client(gateway: Gateway) -> None:
    options = types.HttpOptions(base_url=gateway.url)
    async with genai.Client(api_key="caller-key", http_options=options).aio as client:
        stream = await client.models.generate_content_stream(model="echo/any", contents="один два")
        assert "".join([chunk.text or "" async for chunk in stream]) == "один два"


def test_a_chat_keeps_what_was_said(client: genai.Client) -> None:
    chat = client.chats.create(model="echo/any")
    assert chat.send_message("first").text == "first"
    assert "".join(chunk.text or "" for chunk in chat.send_message_stream("second")) == "second"
    said = [(content.role, "".join(part.text or "" for part in content.parts or ())) for content in chat.get_history()]
    assert said[:3] == [("user", "first"), ("model", "first"), ("user", "second")]
    assert "".join(text for role, text in said[3:] if role == "model") == "second"
    assert len(chat.get_history(curated=True)) == len(said)


def test_tokens_are_counted(client: genai.Client) -> None:
    assert client.models.count_tokens(model="echo/any", contents="one two three").total_tokens == 3


def test_embeddings(client: genai.Client) -> None:
    answer = client.models.embed_content(model="echo/any", contents=["one", "two"])
    assert answer.embeddings is not None
    assert [bool(each.values) for each in answer.embeddings] == [True, True]


def test_models(client: genai.Client) -> None:
    listed = {model.name: model for model in client.models.list()}
    assert "models/warm" in listed
    assert listed["models/warm"].supported_actions == [
        "generateContent",
        "streamGenerateContent",
        "countTokens",
        "embedContent",
        "batchEmbedContents",
    ]
    assert client.models.get(model="warm").display_name == "warm"
    with pytest.raises(errors.ClientError) as caught:
        client.models.get(model="nothing-there")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


def test_an_unknown_model_is_told_in_this_wires_words(client: genai.Client) -> None:
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model="nobody/nothing", contents="hi")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
    assert caught.value.details["error"]["details"][0]["reason"] == "model_not_found"


# --- to OpenAI's wire --------------------------------------------------------------------------


def test_settings_reach_the_other_wire(client: genai.Client, provider: Script) -> None:
    provider.answer = lambda asked: chat_answer({"content": "openai words"})
    answer = client.models.generate_content(
        model="oa/gpt",
        contents=[
            types.Content(
                role="user", parts=[types.Part(text="look"), types.Part.from_bytes(data=PIXEL, mime_type="image/png")]
            ),
        ],
        config=types.GenerateContentConfig(
            system_instruction="be brief",
            temperature=0.25,
            top_p=0.5,
            max_output_tokens=99,
            stop_sequences=["END"],
            seed=3,
            response_mime_type="application/json",
            response_schema={"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
            thinking_config=types.ThinkingConfig(thinking_budget=2000, include_thoughts=True),
        ),
    )
    assert answer.text == "openai words"
    assert answer.model_version == "openai-words"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.thoughts_token_count == 2
    assert answer.usage_metadata.candidates_token_count == 3
    asked = provider.last
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == "Bearer sk-upstream"
    assert asked.body["messages"][0] == {"role": "system", "content": "be brief"}
    image = asked.body["messages"][1]["content"][1]["image_url"]["url"]
    assert image == "data:image/png;base64," + base64.b64encode(PIXEL).decode()
    assert asked.body["max_tokens"] == 99
    assert asked.body["stop"] == ["END"]
    assert asked.body["reasoning_effort"] == "low"
    schema = asked.body["response_format"]["json_schema"]["schema"]
    assert schema == {"type": "object", "properties": {"a": {"type": "string"}}}
    assert "stream" not in asked.body


def weather_answer(asked: Asked) -> Answer:
    if any(message["role"] == "tool" for message in asked.body["messages"]):
        return chat_answer({"content": "mild"})
    calls = [
        {
            "id": f"c{place}",
            "type": "function",
            "function": {"name": "weather", "arguments": f'{{"city":"{city}"}}'},
        }
        for place, city in enumerate(("Riga", "Oslo"))
    ]
    return chat_answer({"content": None, "tool_calls": calls}, "tool_calls")


WEATHER_CONFIG = types.GenerateContentConfig(
    tools=[types.Tool(function_declarations=[WEATHER])],
    tool_config=types.ToolConfig(
        function_calling_config=types.FunctionCallingConfig(
            mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=["weather"]
        )
    ),
)


def test_tools_go_round_the_other_wire(client: genai.Client, provider: Script) -> None:
    provider.answer = weather_answer
    first = client.models.generate_content(model="oa/gpt", contents="weather?", config=WEATHER_CONFIG)
    assert provider.last.body["tools"][0]["function"]["parameters"] == {
        "type": "object",
        "properties": {"city": {"type": ["string", "null"]}},
        "required": ["city"],
    }
    assert provider.last.body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    calls = first.function_calls or []
    assert [(call.id, call.name, call.args) for call in calls] == [
        ("c0", "weather", {"city": "Riga"}),
        ("c1", "weather", {"city": "Oslo"}),
    ]
    assert first.candidates is not None
    results = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"result": "12°"}))
        for call in calls
    ]
    history = [
        types.Content(role="user", parts=[types.Part(text="weather?")]),
        first.candidates[0].content,
        types.Content(role="user", parts=results),
    ]
    assert client.models.generate_content(model="oa/gpt", contents=history, config=WEATHER_CONFIG).text == "mild"
    said = provider.last.body["messages"]
    assert [call["id"] for call in said[1]["tool_calls"]] == ["c0", "c1"]
    assert said[2:] == [
        {"role": "tool", "tool_call_id": "c0", "content": "12°"},
        {"role": "tool", "tool_call_id": "c1", "content": "12°"},
    ]


def test_streamed_tools_and_thoughts_of_the_other_wire(client: genai.Client, provider: Script) -> None:
    fragments = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "hmm"}),
        chunk({"content": "so"}),
        chunk(
            {
                "tool_calls": [
                    {"index": 0, "id": "c0", "type": "function", "function": {"name": "weather", "arguments": ""}}
                ]
            }
        ),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"ci'}}]}),
        chunk(
            {
                "tool_calls": [
                    {"index": 1, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
                ]
            }
        ),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": 'ty":"Riga"}'}}]}),
        chunk({}, "tool_calls"),
        {"id": "cc-2", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
    ]
    provider.answer = lambda asked: Answer(events=fragments, end="data: [DONE]\n\n")
    chunks = list(client.models.generate_content_stream(model="oa/gpt", contents="hi"))
    assert provider.last.body["stream"] is True
    parts = [part for each in chunks for part in (each.candidates or [])[0].content.parts or ()]  # type: ignore[union-attr]
    assert [part.text for part in parts if part.thought] == ["hmm"]
    assert "".join(part.text or "" for part in parts if not part.thought) == "so"
    calls = [part.function_call for part in parts if part.function_call]
    assert [(call.id, call.args) for call in calls] == [("c0", {"city": "Riga"}), ("c1", {})]
    assert chunks[-1].usage_metadata is not None
    assert chunks[-1].usage_metadata.prompt_token_count == 3


def test_a_cut_stream_raises(caller: genai.Client, provider: Script) -> None:
    provider.answer = lambda asked: Answer(events=[chunk({"content": "half"})])
    said = []
    stream = caller.models.generate_content_stream(model="bad200/gpt", contents="hi")
    with pytest.raises(errors.APIError) as caught:
        said.extend(each.text for each in stream)
    assert said == ["half"]
    assert (caught.value.code, caught.value.status) == (503, "UNAVAILABLE")
    assert caught.value.details["error"]["details"][0]["reason"] == "upstream_incomplete"


@pytest.mark.parametrize(
    ("status", "seen", "name"),
    [
        (400, 400, "INVALID_ARGUMENT"),
        (401, 502, "UNAVAILABLE"),
        (404, 404, "NOT_FOUND"),
        (429, 429, "RESOURCE_EXHAUSTED"),
        (500, 500, "INTERNAL"),
        (529, 503, "UNAVAILABLE"),
    ],
)
def test_errors_of_the_other_wire(caller: genai.Client, provider: Script, status: int, seen: int, name: str) -> None:
    provider.answer = lambda asked: Answer({"error": {"message": "openai says no", "type": "x"}}, status=status)
    with pytest.raises(errors.APIError) as caught:
        caller.models.generate_content(model=f"bad{status}/gpt", contents="hi")
    assert (caught.value.code, caught.value.status) == (seen, name)
    assert ("openai says no" in str(caught.value.message)) == (400 <= status < 500 and status != 401)


# --- its own wire ------------------------------------------------------------------------------


def test_its_own_wire_passes_untouched(client: genai.Client, provider: Script) -> None:
    provider.answer = lambda asked: Answer({**candidate(CALL), "newMember": 1})
    answer = client.models.generate_content(
        model="gem/real-1", contents="hi", config=types.GenerateContentConfig(temperature=1.0, top_k=3)
    )
    assert answer.function_calls is not None
    assert answer.candidates is not None
    assert answer.candidates[0].content is not None
    assert (answer.candidates[0].content.parts or [])[0].thought_signature == base64.b64decode(SIGNATURE)
    asked = provider.last
    assert asked.path == "/v1beta/models/real-1:generateContent"
    assert asked.headers["x-goog-api-key"] == "sk-upstream"
    assert asked.body["contents"] == [{"parts": [{"text": "hi"}], "role": "user"}]
    assert asked.body["generationConfig"]["topK"] == 3


def test_a_rebuilt_request_of_its_own_wire_keeps_everything(client: genai.Client, provider: Script) -> None:
    provider.answer = lambda asked: Answer(
        events=[candidate({"text": "gemini "}, reason=None), candidate({"text": "words"})]
    )
    config = types.GenerateContentConfig(
        temperature=1.5,
        safety_settings=[types.SafetySetting(category="HARM_CATEGORY_HARASSMENT", threshold="BLOCK_NONE")],  # type: ignore[arg-type]
        tools=[types.Tool(google_search=types.GoogleSearch()), types.Tool(function_declarations=[WEATHER])],
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=-1),
        media_resolution=types.MediaResolution.MEDIA_RESOLUTION_LOW,
    )
    chunks = list(client.models.generate_content_stream(model="warm", contents="hi", config=config))
    assert "".join(each.text or "" for each in chunks) == "gemini words"
    asked = provider.last
    assert asked.path == "/v1beta/models/real-1:streamGenerateContent?alt=sse"
    assert asked.body["generationConfig"] == {
        "temperature": 0.5,
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": -1},
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
    }
    assert asked.body["safetySettings"] == [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    assert [list(tool) for tool in asked.body["tools"]] == [["googleSearch"], ["functionDeclarations"]]
    assert asked.body["tools"][1]["functionDeclarations"][0]["parameters"]["type"] == "OBJECT"


def test_embeddings_name_the_targets_model(client: genai.Client, provider: Script) -> None:
    provider.answer = lambda asked: Answer({"embeddings": [{"values": [0.5, 1]} for _ in asked.body["requests"]]})
    answer = client.models.embed_content(
        model="warm",
        contents=["a", "b"],
        config=types.EmbedContentConfig(task_type="RETRIEVAL_QUERY", output_dimensionality=2),
    )
    assert [each.values for each in answer.embeddings or ()] == [[0.5, 1.0], [0.5, 1.0]]
    assert provider.last.path == "/v1beta/models/real-1:batchEmbedContents"
    first = provider.last.body["requests"][0]
    assert (first["model"], first["taskType"], first["outputDimensionality"]) == (
        "models/real-1",
        "RETRIEVAL_QUERY",
        2,
    )


def test_counting_asks_the_provider(client: genai.Client, provider: Script) -> None:
    provider.answer = lambda asked: Answer({"totalTokens": 42})
    assert client.models.count_tokens(model="gem/real-1", contents="hi").total_tokens == 42
    assert provider.last.path == "/v1beta/models/real-1:countTokens"
