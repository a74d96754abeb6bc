"""Callers of OpenAI's and Anthropic's wires before providers of Cohere's and Mistral's: what goes, what comes back."""

import base64
import struct
from typing import Any

import msgspec
import pytest

from gateway.parts import CHAT, EVENTS, JSON, MESSAGES, WALL, Ear, Stage, only, provider, registration
from parley.operations import OPERATIONS
from wire import cohere_parts, mistral_parts

EVERYTHING = {name: operation.path for name, operation in OPERATIONS.items()}
EMBEDDINGS, RERANK, IMAGES = b"/v1/embeddings", b"/v1/rerank", b"/v1/images/generations"
COHERE = {"chat": "/chat", "embeddings": "/embed", "rerank": "/rerank"}
MISTRAL = {"chat": "/chat/completions", "embeddings": "/embeddings"}
PICTURES = b'{"created":1,"data":[{"b64_json":"AA=="}],"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}'


def stage() -> Stage:
    return Stage(
        registration("co", "co/command"),
        registration("mi", "mi/large"),
        registration("strict", "co/command", unknown_fields="strict"),
        registration("set", "co/e", "full/e-2", endpoint="embeddings", defaults={"dimensions": 8, "odd": 1}),
        registration("all", "co/e", "full/e-2", defaults={"dimensions": 8, "temperature": 1, "odd": 1}),
        registration("pictures", "full/p", defaults={"quality": "low", "temperature": 1}),
        providers=(
            provider("co", "cohere", paths=COHERE),
            provider("mi", "mistral", paths=MISTRAL),
            provider("full", paths=EVERYTHING),
        ),
    )


def ask(on: Stage, path: bytes, **members: Any) -> tuple[Any, Ear]:
    _, ear = on.ask_raw(msgspec.json.encode(members), path)
    return on.sent[-1], ear


def said(ear: Ear) -> Any:
    return msgspec.json.decode(ear.text)


def vectors(*numbers: list[float]) -> bytes:
    meta = {"billed_units": {"input_tokens": 3.0}}
    return msgspec.json.encode({"id": "e-1", "embeddings": {"float": numbers}, "texts": [], "meta": meta})


def test_chat_with_cohere() -> None:
    on = stage()
    _, ear = on.ask("co", CHAT, top_p=1, user="me", max_completion_tokens=5)
    (sent,) = on.sent
    assert sent.call.to.path == b"/v1/chat"
    assert sent.body == {
        "model": "command",
        "messages": [{"role": "user", "content": "hi"}],
        "p": 0.99,
        "max_tokens": 5,
    }
    sent.whole(
        b'{"id":"c-1","finish_reason":"COMPLETE","message":{"role":"assistant","content":[{"type":"text",'
        b'"text":"Hello."}]},"usage":{"tokens":{"input_tokens":3.0,"output_tokens":2.0}}}'
    )
    assert said(ear) == {
        "id": "c-1",
        "object": "chat.completion",
        "created": WALL,
        "model": "command",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello.", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
    assert ear.lines[b"x-parley-dropped"] == b"user"
    assert (only(on)["in_tok"], only(on)["usage"]) == (3, "exact")
    on.quiet()


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_stream_of_coheres_thoughts_and_calls(path: bytes) -> None:
    on = stage()
    _, ear = on.ask("co", path, stream=True)
    stream = cohere_parts.START + cohere_parts.plan("I will ask.") + cohere_parts.call(0, "a", "f", '{"x"', ": 1}")
    on.sent[0].stream(stream, cohere_parts.end("TOOL_CALL"))
    assert ear.heard[-1] == ("finish", False)
    text = ear.text.decode()
    for piece in ("I will ask.", '{\\"x\\"', ": 1}", "tool_calls" if path == CHAT else "tool_use"):
        assert piece in text
    assert (only(on)["in_tok"], only(on)["out_tok"]) == (11, 4)
    on.quiet()


def test_a_stream_that_cohere_ends_in_an_error() -> None:
    on = stage()
    _, ear = on.ask("co", CHAT, stream=True)
    on.sent[0].stream(cohere_parts.START + cohere_parts.words(0, "Hel"), cohere_parts.end("ERROR", error="it broke"))
    assert ear.heard[-1] == ("finish", True)
    assert b"it broke" in ear.text
    assert b"[DONE]" not in ear.text
    assert only(on)["outcome"] == "error"


def test_a_token_that_cohere_finds_invalid_is_the_gateways_affair() -> None:
    on = stage()
    _, ear = on.ask("co", CHAT)
    on.sent[0].whole(b'{"message":"invalid token k-secret"}', status=498)
    assert (ear.status, ear.error["code"]) == (502, "upstream_auth")
    assert b"secret" not in ear.text


def test_errors_of_cohere_in_the_callers_own_shape() -> None:
    on = stage()
    for path, words in ((CHAT, ear_words), (MESSAGES, ear_words)):
        _, ear = on.ask("co", path)
        on.sent[-1].whole(b'{"message":"unknown model"}', status=404)
        assert (ear.status, words(ear)) == (404, "unknown model")


def ear_words(ear: Ear) -> str:
    found: str = said(ear)["error"]["message"]
    return found


def test_what_cohere_cannot_take_is_refused_where_nothing_may_be_lost() -> None:
    on = stage()
    _, ear = on.ask("strict", CHAT, logit_bias={"1": 2})
    assert (ear.status, ear.error["param"], on.sent) == (400, "logit_bias", [])


def test_embeddings_of_cohere_come_as_floats_or_base64() -> None:
    on = stage()
    sent, ear = ask(on, EMBEDDINGS, model="co", input=["a", "b"])
    assert sent.call.to.path == b"/v1/embed"
    assert sent.body == {
        "model": "command",
        "texts": ["a", "b"],
        "input_type": "search_document",
        "embedding_types": ["float"],
    }
    sent.whole(vectors([0.5, -1], [2, 0.25]))
    made = said(ear)
    assert [item["embedding"] for item in made["data"]] == [[0.5, -1.0], [2.0, 0.25]]
    assert (made["model"], made["usage"]) == ("command", {"prompt_tokens": 3, "total_tokens": 3})
    assert (only(on)["in_tok"], only(on)["usage"]) == (3, "exact")
    sent, ear = ask(on, EMBEDDINGS, model="co", input="a", encoding_format="base64", input_type="search_query")
    assert (sent.body["texts"], sent.body["input_type"]) == (["a"], "search_query")
    sent.whole(vectors([0.5, -1]))
    text = said(ear)["data"][0]["embedding"]
    assert struct.unpack("<2f", base64.b64decode(text)) == (0.5, -1.0)
    on.quiet()


def test_tokens_are_refused_by_name_and_a_missing_vector_is_an_error() -> None:
    on = stage()
    _, ear = on.ask_raw(b'{"model":"co","input":[1,2]}', EMBEDDINGS)
    assert (ear.status, ear.error["param"], on.sent) == (400, "input", [])
    _, ear = on.ask_raw(b'{"model":"co","input":["a","b"]}', EMBEDDINGS)
    for _ in range(3):
        on.sent[-1].whole(vectors([0.5]))
        on.clock.advance(5)
    assert (ear.status, ear.error["code"]) == (502, "upstream_bad_response")


def test_streams_of_vectors_are_neither_asked_for_nor_taken() -> None:
    on = stage()
    _, ear = on.ask_raw(b'{"model":"co","input":"a","stream":true}', EMBEDDINGS)
    assert (ear.status, ear.error["param"], on.sent) == (400, "stream", [])
    _, ear = on.ask_raw(b'{"model":"co","input":"a"}', EMBEDDINGS)
    for _ in range(3):
        on.sent[-1].stream(cohere_parts.START)
        on.clock.advance(5)
    assert (ear.status, ear.error["code"]) == (502, "upstream_bad_response")
    on.quiet()


def test_what_is_set_for_embeddings_reaches_both_kinds_of_provider() -> None:
    on = stage()
    sent, ear = ask(on, EMBEDDINGS, model="set", input="a")
    assert (sent.body["output_dimension"], "odd" in sent.body) == (8, False)
    sent.fail()
    on.clock.advance(5)
    assert on.sent[1].body == {"model": "e-2", "input": "a", "dimensions": 8, "odd": 1}
    on.sent[1].whole(b'{"data":[{"embedding":[1]}]}')
    assert ear.text == b'{"data":[{"embedding":[1]}]}'


def test_what_is_set_for_everything_is_sent_only_where_it_is_known() -> None:
    on = stage()
    sent, _ = ask(on, EMBEDDINGS, model="all", input="a")
    assert sent.body["output_dimension"] == 8
    assert "temperature" not in sent.body
    sent.fail()
    on.clock.advance(5)
    assert on.sent[1].body == {"model": "e-2", "input": "a", "dimensions": 8}


def test_documents_ranked_by_cohere() -> None:
    on = stage()
    documents = ["a", {"text": "b", "title": "t"}]
    sent, ear = ask(on, RERANK, model="co", query="q", documents=documents, return_documents=True, top_n=2)
    assert sent.call.to.path == b"/v1/rerank"
    assert sent.body == {"model": "command", "query": "q", "documents": ["a", '{"text":"b","title":"t"}'], "top_n": 2}
    ranked = [{"index": 1, "relevance_score": 0.5}, {"index": 0, "relevance_score": 0.25}]
    sent.whole(msgspec.json.encode({"id": "r-1", "results": ranked, "meta": {}}))
    assert said(ear) == {
        "id": "r-1",
        "model": "command",
        "results": [
            {"index": 1, "relevance_score": 0.5, "document": {"text": "b", "title": "t"}},
            {"index": 0, "relevance_score": 0.25, "document": {"text": "a"}},
        ],
    }
    assert only(on)["out_tok"] == 0


def test_chat_with_mistral() -> None:
    on = stage()
    history = [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    body = {"model": "mi", "messages": history, "seed": 1, "store": True, "stream_options": None}
    sent, ear = ask(on, CHAT, **body)
    assert sent.body["random_seed"] == 1
    assert sent.body.keys() == {"model", "messages", "random_seed"}
    assert sent.body["messages"][1]["tool_calls"][0]["id"] == sent.body["messages"][2]["tool_call_id"] != "call_1"
    sent.whole(
        mistral_parts.answer(
            {"content": [mistral_parts.thought("hm"), {"type": "text", "text": "Hello."}]}, "model_length"
        )
    )
    (choice,) = said(ear)["choices"]
    assert choice["message"]["content"] == "Hello."
    assert choice["message"]["reasoning_content"] == "hm"
    assert choice["finish_reason"] == "length"
    assert ear.lines[b"x-parley-dropped"] == b"store"


def test_a_stream_of_mistral() -> None:
    on = stage()
    _, ear = on.ask("mi", CHAT, stream=True, stream_options={"include_usage": True})
    assert "stream_options" not in on.sent[0].body
    assert on.sent[0].lines[b"accept"] == b"text/event-stream"
    call = {"id": "null", "index": 0, "function": {"name": "f", "arguments": {"x": 1}}}
    on.sent[0].stream(mistral_parts.chunk({"tool_calls": [call]}), mistral_parts.end("tool_calls"))
    chunks = [msgspec.json.decode(part[6:]) for part in ear.text.split(b"\n\n")[:-2]]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    found = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert [one["function"]["arguments"] for one in found] == ["", '{"x":1}']
    assert len(found[0]["id"]) == 9
    assert chunks[-1]["usage"] == {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
    assert ear.text.endswith(b"data: [DONE]\n\n")


def test_embeddings_of_mistral() -> None:
    on = stage()
    sent, ear = ask(on, EMBEDDINGS, model="mi", input=["a"], encoding_format="base64", dimensions=2)
    assert sent.body == {"model": "large", "input": ["a"], "output_dimension": 2}
    sent.whole(
        b'{"id":"e","object":"list","model":"m","data":[{"embedding":[0.5,1],"index":0}],"usage":{"prompt_tokens":2}}'
    )
    made = said(ear)
    assert struct.unpack("<2f", base64.b64decode(made["data"][0]["embedding"])) == (0.5, 1.0)
    assert (made["model"], made["usage"]["prompt_tokens"]) == ("m", 2)


def test_pictures_still_pass_as_they_are() -> None:
    on = stage()
    sent, ear = ask(on, IMAGES, model="pictures", prompt="a cat", odd=1)
    assert sent.body == {"model": "p", "prompt": "a cat", "odd": 1, "quality": "low"}
    sent.whole(PICTURES, headers=[*JSON, (b"x-extra", b"1")])
    assert (ear.text, ear.lines[b"x-extra"]) == (PICTURES, b"1")
    sent, ear = ask(on, IMAGES, model="pictures", prompt="a cat", stream=True)
    assert sent.body["stream"] is True
    last = b'data: {"type":"image_generation.completed","b64_json":"AA=="}\n\n'
    sent.begin(headers=EVENTS)
    sent.say(last)
    sent.done()
    assert (ear.text, ear.heard[-1]) == (last, ("finish", False))
    on.quiet()
