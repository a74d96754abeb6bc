"""Requests that ask nothing of a model: no messages, no prompt, no texts. Ollama loads or unloads the model for them.

A provider of another wire has nothing to load, so they are answered here. Source: provider contract 4.3.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Raw

from parley.wire import Reply
from parley.wire.ollama.answer import time_text
from parley.wire.ollama.errors import encode

_ABSENT: Final = Raw(b"null")
_NOTHING: Final = frozenset({b"null", b'""', b"[]"})
_NOW: Final = frozenset({b"0", b'"0"', b'"0s"', b"0.0"})
Members = Mapping[str, Raw]


def _empty(members: Members, name: str) -> bool:
    return bytes(members.get(name, _ABSENT)).replace(b" ", b"") in _NOTHING


def chat(members: Members, reply: Reply) -> bytes | None:
    """The answer to a chat without messages, None for any other."""
    return (
        _loaded(members, reply, {"message": {"role": "assistant", "content": ""}})
        if _empty(members, "messages")
        else None
    )


def generate(members: Members, reply: Reply) -> bytes | None:
    """The answer to a generate without prompt, None for any other."""
    asks = any(not _empty(members, name) for name in ("prompt", "images", "suffix"))
    return None if asks else _loaded(members, reply, {"response": ""})


def embed(members: Members, reply: Reply) -> bytes | None:
    """The answer to an embed without texts, None for any other."""
    return encode({"model": reply.model, "embeddings": []}) if bytes(members.get("input", _ABSENT)) == b"[]" else None


def embeddings(members: Members, reply: Reply) -> bytes | None:
    """The answer to the older one with an empty prompt, None for any other."""
    return encode({"embedding": []}) if bytes(members.get("prompt", _ABSENT)) == b'""' else None


def _loaded(members: Members, reply: Reply, said: dict[str, Any]) -> bytes:
    unloads = bytes(members.get("keep_alive", _ABSENT)) in _NOW
    reason = "unload" if unloads else "load"
    return encode(
        {"model": reply.model, "created_at": time_text(reply.created), **said, "done": True, "done_reason": reason}
    )
