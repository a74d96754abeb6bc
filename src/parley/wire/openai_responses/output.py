"""Responses output items, read from a provider: what the blocks of an answer are.

Words and calls keep their item in ``extra``: ``item`` its members, ``part`` those of a content part, for this wire.
Reasoning does not: what its block has beside the text travels to callers of other wires.
"""

from typing import Any

from parley.failure import ParleyError
from parley.ir import Block, Extra, Opaque, Refusal, Text, Thinking, ToolCall
from parley.wire.openai_error import bad_response
from parley.wire.openai_responses.sealed import NAME, foreign_thinking, signature_of, words_of

Json = dict[str, Any]
_WORDS = {"output_text": "text", "refusal": "refusal"}


def blocks_of(output: list[Any]) -> tuple[Block, ...]:
    """The blocks of all items, in order. Raises ``upstream_bad_response`` (bad_shape)."""
    return tuple(block for item in output for block in _item_blocks(item))


def _item_blocks(item: Any) -> list[Block]:
    kind = kind_of(item)
    if kind == "message":
        content = item.get("content")
        if type(content) is not list:
            raise bad_shape()
        head = head_of(item)
        found = [words_block(part, head) for part in content if type(part) is dict]
        return [block for block in found if block is not None]
    if kind == "function_call":
        return [call_block(item)]
    return [thinking_block(item)] if kind == "reasoning" else [Opaque(NAME, item)]


def kind_of(item: Any) -> str:
    """The type of an item. Raises ``upstream_bad_response`` (bad_shape) where it has none."""
    kind = item.get("type") if type(item) is dict else None
    if type(kind) is not str:
        raise bad_shape()
    return kind


def head_of(item: Json) -> Json:
    """A message without its words."""
    return {name: value for name, value in item.items() if name != "content"}


def words_block(part: Json, head: Json) -> Text | Refusal | None:
    """A content part of a message, None for one that is neither text nor refusal."""
    kind = part.get("type")
    member = _WORDS.get(kind) if type(kind) is str else None
    text = part.get(member or "")
    if member is None or type(text) is not str:
        return None
    extra: Extra = {"item": head, "part": {name: value for name, value in part.items() if name != member}}
    return Text(text, extra) if member == "text" else Refusal(text, extra)


def call_block(item: Json) -> ToolCall:
    """A function call. Raises ``upstream_bad_response`` (bad_shape)."""
    call_id, name, arguments = item.get("call_id"), item.get("name"), item.get("arguments")
    if type(call_id) is not str:
        call_id = item.get("id")
    if type(call_id) is not str or type(name) is not str:
        raise bad_shape()
    rest = {key: value for key, value in item.items() if key != "arguments"}
    return ToolCall(call_id, name, arguments if type(arguments) is str else "", {"item": rest})


def thinking_block(item: Json) -> Thinking:
    """Reasoning, with the signature by which it can come back."""
    text = words_of(item)
    encrypted, item_id = item.get("encrypted_content"), item.get("id")
    if type(encrypted) is not str or not encrypted:
        return Thinking(text)
    other = foreign_thinking(text, encrypted)
    if other is not None:
        return other
    return Thinking(text, signature_of(item_id if type(item_id) is str else "", encrypted))


def logprobs_of(output: list[Any]) -> Json | None:
    """The probabilities of all text, as the canonical form has them; None where there are none."""
    found: list[Any] = []
    for item in output:
        content = item.get("content") if type(item) is dict and item.get("type") == "message" else None
        for part in content if type(content) is list else ():
            tokens = part.get("logprobs") if type(part) is dict else None
            found += tokens if type(tokens) is list else ()
    return {"content": found, "refusal": None} if found else None


def bad_shape() -> ParleyError:
    """The error for an answer that is no response."""
    return bad_response("bad_shape", "the provider's answer is not a response")
