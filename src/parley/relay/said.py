"""What a conversation says and an answer calls, as keys: for callers and providers that have no ids of their own."""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any, Final

from msgspec import DecodeError, json

from parley.ir import Block, Media, Message, Refusal, Text, ToolCall, ToolResult

_decode: Final = json.Decoder().decode
_sorted: Final = json.Encoder(order="sorted").encode


class Said:
    """What a conversation says, as a digest that grows with it: the texts, pictures, calls and results, but no ids and
    no thoughts, which callers lose."""

    __slots__ = ("_count", "_hash", "_owner")

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._hash = blake2b(digest_size=16)
        self._count = 0

    def hear(self, messages: tuple[Message, ...]) -> None:
        """Take in those messages that were not heard before."""
        for message in messages[self._count :]:
            self._word(message.role, *_words(message.content))
        self._count = max(self._count, len(messages))

    def key(self, calls: list[ToolCall]) -> bytes:
        """The key of an answer that calls these."""
        called = [word for call in calls for word in (call.name, _plain(call.arguments))]
        return digest(("said", self._owner, self._hash.hexdigest(), *called))

    def _word(self, *words: str) -> None:
        self._hash.update(digest(words))


def _words(content: tuple[Block, ...]) -> Iterator[str]:
    for block in content:
        match block:
            case Text(text) | Refusal(text):
                yield from ("text", text) if text else ()
            case Media():
                yield from ("media", block.data or block.url or block.file_id or "")
            case ToolCall():
                yield from ("call", block.name, _plain(block.arguments))
            case ToolResult():
                yield from ("result", *_words(block.content), "end")


def digest(words: Iterable[str]) -> bytes:
    """16 bytes that only these words give, in this order."""
    made = blake2b(digest_size=16)
    for word in words:
        text = word.encode("utf-8", "surrogatepass")
        made.update(b"%d:" % len(text))
        made.update(text)
    return made.digest()


def _plain(arguments: str) -> str:
    """Arguments however they are spelled; what is no JSON stays as it is."""
    try:
        return _sorted(_number(_decode(arguments or "{}"))).decode()
    except (DecodeError, ValueError, RecursionError):
        return arguments


def _number(value: Any) -> Any:
    """The value with whole numbers as such: several languages have but one kind."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, list):
        return [_number(item) for item in value]
    return {name: _number(item) for name, item in value.items()} if isinstance(value, dict) else value
