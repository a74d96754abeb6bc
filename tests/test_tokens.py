"""Token counts where no provider counts: the estimate, and the echo model's words."""

from typing import Any

import pytest

from parley.ir import ChatRequest, Media, Message, Opaque, Refusal, Text, Thinking, Tool, ToolCall, ToolResult
from parley.tokens import BYTES_PER_TOKEN, PER_MEDIA, PER_MESSAGE, estimate, words


def request(*contents: tuple[Any, ...], **members: Any) -> ChatRequest:
    messages = tuple(Message("user", content) for content in contents)
    return ChatRequest(wire="any", model="m", messages=messages, **members)


IMAGE = Media(kind="image", url="https://host/a.png")


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ((), PER_MESSAGE),
        ((Text(""),), PER_MESSAGE),
        ((Text("a"),), PER_MESSAGE + 1),
        ((Text("four"),), PER_MESSAGE + 1),
        ((Text("fours"),), PER_MESSAGE + 2),
        ((Text("\u00e9\u00e9"),), PER_MESSAGE + 1),
        ((Text("\U0001f600\U0001f600"),), PER_MESSAGE + 2),
        ((Text("four"), Text("four")), PER_MESSAGE + 2),
        ((Refusal("four"), Thinking("four")), PER_MESSAGE + 2),
        ((ToolCall("id", "look", '{"a":1}'),), PER_MESSAGE + 3),
        ((ToolResult("id", (Text("four"), Text("fou"))),), PER_MESSAGE + 2),
        ((IMAGE,), PER_MESSAGE + PER_MEDIA),
        ((IMAGE, Text("four"), IMAGE), PER_MESSAGE + 2 * PER_MEDIA + 1),
        ((Opaque("any", {"x": "y" * 100}),), PER_MESSAGE),
    ],
)
def test_an_estimate(content: tuple[Any, ...], tokens: int) -> None:
    assert estimate(request(content)) == tokens


def test_an_estimate_is_at_least_one_and_grows_with_every_message() -> None:
    assert estimate(request()) == 1
    assert estimate(request((Text("four"),), (Text("four"),))) == 2 * (PER_MESSAGE + 1)


def test_tools_count() -> None:
    text = "x" * 400
    bare, tooled = request((Text("a"),)), request((Text("a"),), tools=(Tool("f", text, {"type": "object"}),))
    assert estimate(tooled) > estimate(bare) + len(text) // BYTES_PER_TOKEN


@pytest.mark.parametrize(
    ("content", "count"),
    [
        ((), 0),
        ((Text(""),), 0),
        ((Text(" one  two\n\tthree "),), 3),
        ((Text("one"), Text("two")), 2),
        ((ToolCall("id", "look", '{"a": 1}'),), 3),
        ((ToolResult("id", (Text("one two"), Text("three"))),), 3),
        ((IMAGE,), 0),
    ],
)
def test_words(content: tuple[Any, ...], count: int) -> None:
    assert words(request(content)) == count
    assert words(request(content, (Text("and more"),))) == count + 2
