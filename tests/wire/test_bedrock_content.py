"""Media, sealed reasoning and cache points in requests to Bedrock."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from parley.fold import Fold
from parley.ir import (
    Block,
    Media,
    Text,
    Thinking,
    Tool,
)
from parley.wire.anthropic import WIRE as ANTHROPIC
from parley.wire.bedrock import WIRE, of_model
from parley.wire.openai_chat import WIRE as OPENAI
from wire.bedrock_parts import CALLED, answer, dropped, refused, request, said, sent, user

PNG, PDF = "iVBORw0KGgo=", "JVBERi0xLjc="
CLAUDE = "us.anthropic.claude-sonnet-4-20250514-v1:0"
WEATHER = Tool("weather", "Tells it.", {"type": "object", "properties": {"city": {"type": "string"}}})


def content(*blocks: Block | str, **fields: Any) -> list[dict[str, Any]]:
    """The blocks of the one user turn."""
    [turn] = sent(request(user(*blocks), **fields))["messages"]
    assert turn["role"] == "user"
    found: list[dict[str, Any]] = turn["content"]
    return found


# --- media -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media", "form"),
    [
        (Media(kind="image", data=PNG, media_type="image/jpg"), "jpeg"),
        (Media(kind="image", data=PNG), "png"),
        (Media(kind="image", data="/9j/AAAA"), "jpeg"),
        (Media(kind="image", url="data:image/webp;base64,AAAA"), "webp"),
        (Media(kind="document", data=PDF), "pdf"),
        (Media(kind="document", data="AAAA", media_type="text/plain; charset=utf-8"), "txt"),
        (Media(kind="document", data="AAAA", media_type="application/octet-stream", name="a.XLSX"), "xlsx"),
        (Media(kind="video", data="AAAA", media_type="video/3gpp"), "three_gp"),
        (Media(kind="audio", data="AAAA", media_type="audio/mpeg"), "mp3"),
    ],
)
def test_media_are_bytes_of_a_named_format(media: Media, form: str) -> None:
    [block] = content(media)
    assert list(block) == [media.kind]
    assert block[media.kind]["format"] == form
    data = (media.url or "").partition(",")[2] if media.url else media.data
    assert block[media.kind]["source"] == {"bytes": data}


def test_the_provider_s_own_store_is_no_foreign_address() -> None:
    [image, video] = content(
        Media(kind="image", url="s3://bucket/a.jpg"), Media(kind="video", url="s3://bucket/b", media_type="video/mp4")
    )
    assert image == {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/a.jpg"}}}}
    assert video["video"]["format"] == "mp4"


@pytest.mark.parametrize(
    "media",
    [
        Media(kind="image", url="https://example.com/a.png"),
        Media(kind="image", url="data:image/png,raw"),
        Media(kind="image", file_id="file-1"),
        Media(kind="image", data="AAAA", media_type="image/tiff"),
        Media(kind="image", data="AAAA"),
        Media(kind="document", data="AAAA", media_type="application/zip"),
        Media(kind="audio", data="AAAA"),
    ],
)
def test_media_that_cannot_go_are_refused_by_name(media: Media) -> None:
    assert refused(request(user("a", media))) == "messages[0].content[1]"


def test_names_of_documents_have_few_characters_and_are_never_the_same() -> None:
    names = ("../a_b.c  <x>.pdf", "../a_b.c  <x>.pdf", None, None, "ü" * 5, "n" * 300, "n" * 300)
    blocks = content(*(Media(kind="document", data=PDF, name=name) for name in names))
    found = [block["document"]["name"] for block in blocks]
    assert found[:5] == ["a b c x pdf", "a b c x pdf (2)", "document", "document (2)", "document (3)"]
    assert len(set(found)) == len(names)
    assert all(len(name) <= 200 for name in found)


def test_what_belongs_to_documents_goes_with_them() -> None:
    extra = {"context": "c", "citations": {"enabled": True, "more": 1}, "odd": 1}
    asked = request(
        user(Media(kind="document", data=PDF, extra=extra), Media(kind="image", data=PNG, name="n", detail="low"))
    )
    document = sent(asked)["messages"][0]["content"][0]["document"]
    assert (document["context"], document["citations"]) == ("c", {"enabled": True})
    assert dropped(asked) == (
        "messages[0].content[0].odd",
        "messages[0].content[1].name",
        "messages[0].content[1].detail",
    )


# --- reasoning across turns --------------------------------------------------------------------


def test_signed_and_redacted_reasoning_goes_back_byte_for_byte() -> None:
    thoughts = (Thinking("Hm\u2028.", "c2ln/+=="), Thinking(redacted="AAEC/w=="))
    asked = replace(request(user("a"), said(*thoughts, "b"), user("c")), model=CLAUDE)
    assert sent(asked)["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "Hm\u2028.", "signature": "c2ln/+=="}}},
        {"reasoningContent": {"redactedContent": "AAEC/w=="}},
        {"text": "b"},
    ]
    assert dropped(asked) == ()


@pytest.mark.parametrize("signature", [None, "", "openai_responses:rs_1:abc"])
def test_reasoning_without_a_seal_or_with_somebody_else_s_is_left_out(signature: str | None) -> None:
    asked = request(user("a"), said(Thinking("Hm.", signature), "b"), user("c"))
    assert sent(asked)["messages"][1]["content"] == [{"text": "b"}]
    assert dropped(asked) == ("messages[1].reasoning_content",)


def test_callers_bring_reasoning_back_in_their_own_way() -> None:
    turn = {"role": "assistant", "content": "b"}
    blocks = [
        {"type": "thinking", "thinking": "Hm", "signature": "c2ln/+=="},
        {"type": "redacted_thinking", "data": "AA=="},
    ]
    before, after = {"role": "user", "content": "a"}, {"role": "user", "content": "c"}
    asked = [
        OPENAI.decode_request({"model": "m", "messages": [before, {**turn, "thinking_blocks": blocks}, after]}),
        ANTHROPIC.decode_request(
            {
                "model": "m",
                "max_tokens": 9,
                "messages": [before, {**turn, "content": [*blocks, {"type": "text", "text": "b"}]}, after],
            }
        ),
    ]
    for each in asked:
        assert sent(each)["messages"][1]["content"] == [
            {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "c2ln/+=="}}},
            {"reasoningContent": {"redactedContent": "AA=="}},
            {"text": "b"},
        ]


# --- cache points ------------------------------------------------------------------------------


def test_cache_control_is_a_cache_point_behind_its_block() -> None:
    cached = {"cache_control": {"type": "ephemeral"}}
    body = {
        "model": "m",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a", **cached}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}, **cached}]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "b"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "t",
                        "content": [{"type": "text", "text": "c", **cached}],
                        **cached,
                    },
                ],
            },
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, **cached}],
        **cached,
    }
    asked = ANTHROPIC.decode_request(body)
    found, point = sent(asked), {"cachePoint": {"type": "default"}}
    assert found["system"] == [{"text": "s"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    assert found["messages"][0]["content"] == [{"text": "a"}, point]
    assert found["messages"][1]["content"][1] == point
    assert found["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "t", "content": [{"text": "c"}]}},
        point,
        {"text": "b"},
        point,
    ]
    assert found["toolConfig"]["tools"][1] == point
    # Inside a result there is no place for one.
    assert dropped(asked) == ("messages[2].content[1].cache_control",)


def test_a_cache_control_that_asks_for_something_else_is_told() -> None:
    asked = request(
        user(Text("a", {"cache_control": {"type": "new"}}), Text("", {"cache_control": {"type": "ephemeral"}}))
    )
    assert sent(asked)["messages"][0]["content"] == [{"text": "a"}]
    assert dropped(asked) == ("messages[0].content[0].cache_control", "messages[0].content[1].cache_control")
    assert dropped(request(user(Text("a", {"cache_control": None})))) == ()


OTHER = "us.amazon.nova-9-v1:0"


@pytest.mark.parametrize(
    ("signature", "model", "goes"),
    [
        ("c2ln/+==", CLAUDE, "c2ln/+=="),
        ("c2ln/+==", "arn:aws:bedrock:eu-west-1:1:application-inference-profile/x", "c2ln/+=="),
        ("c2ln/+==", OTHER, None),
        ("bedrock:c2ln", OTHER, "c2ln"),
        ("bedrock:c2ln", CLAUDE, None),
        ("gemini:c2ln", CLAUDE, None),
        ("mistral:c2ln", OTHER, None),
    ],
)
def test_a_signature_goes_only_to_a_model_that_could_have_given_it(signature: str, model: str, goes: Any) -> None:
    asked = replace(request(user("a"), said(Thinking("Hm", signature), "b"), user("c")), model=model)
    content = sent(asked)["messages"][1]["content"]
    thoughts = [block["reasoningContent"] for block in content if "reasoningContent" in block]
    signed = [thought["reasoningText"]["signature"] for thought in thoughts]
    assert signed == ([] if goes is None else [goes])
    assert dropped(asked) == (() if goes else ("messages[1].reasoning_content",))


def test_signatures_of_claude_bear_no_mark_and_all_others_do() -> None:
    assert of_model(CLAUDE) is of_model("arn:aws:bedrock:eu-west-1:1:application-inference-profile/x") is WIRE
    body = msgspec.json.encode(
        answer(
            {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "c2ln/+=="}}},
            {"reasoningContent": {"reasoningText": {"text": "bare"}}},
            {"text": "Hi."},
        )
    )
    other = of_model(OTHER)
    for wire, signature in ((WIRE, "c2ln/+=="), (other, "bedrock:c2ln/+==")):
        thoughts = (Thinking("Hm", signature), Thinking("bare"))
        assert wire.decode_response(body).choices[0].content == (*thoughts, Text("Hi."))


@pytest.mark.parametrize("size", [1, 5, 5000])
def test_so_it_is_in_streams(size: int) -> None:
    decoder, whole, data = of_model(OTHER).stream_decoder(), Fold("bedrock"), b"".join(CALLED)
    for at in range(0, len(data), size):
        for event in decoder.feed(data[at : at + size]):
            whole.feed(event)
    assert decoder.close() == []
    content = whole.response().choices[0].content
    assert content[:2] == (Thinking("Let me look.", "bedrock:c2ln/+=="), Thinking(redacted="AAECgP8="))
