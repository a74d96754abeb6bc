"""Reasoning that a provider sealed: how it crosses wires and comes back byte for byte.

This wire seals reasoning in ``encrypted_content`` beside the item's id; other wires have a signature. What this
wire sealed travels to other wires' callers as the signature ``openai_responses:<id>:<encrypted_content>``; what
others signed or redacted travels to this wire's callers as ``encrypted_content`` with one of the marks below.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Raw

from parley.ir import Thinking
from parley.wire import Cleared
from parley.wire.cleared import without

NAME = "openai_responses"
_OWN = f"{NAME}:"
_SIGNED = "parley:signature:"
_REDACTED = "parley:redacted:"
_FOREIGN: Final = (_SIGNED, _REDACTED)
# How ids begin of reasoning items that this gateway made of another wire's thoughts.
OURS: Final = "rs_parley"


def foreign_thinking(text: str, encrypted: str) -> Thinking | None:
    """The block of another wire that ``encrypted`` carries; None where this wire's provider sealed it."""
    if encrypted.startswith(_SIGNED):
        return Thinking(text, encrypted[len(_SIGNED) :])
    if encrypted.startswith(_REDACTED):
        return Thinking(redacted=encrypted[len(_REDACTED) :])
    return None


def signature_of(item_id: str, encrypted: str) -> str:
    """The signature by which another wire's caller brings back what this wire's provider sealed."""
    return f"{_OWN}{item_id}:{encrypted}"


def own_seal(signature: str | None) -> tuple[str, str] | None:
    """Id and ``encrypted_content`` of a reasoning item, None where the signature is another provider's."""
    if signature is None or not signature.startswith(_OWN):
        return None
    item_id, _, encrypted = signature[len(_OWN) :].partition(":")
    return item_id, encrypted


def encrypted_of(signature: str | None, redacted: str | None) -> str | None:
    """``encrypted_content`` for another wire's block; None where that has nothing sealed."""
    if redacted is not None:
        return _REDACTED + redacted
    seal = own_seal(signature)
    if seal is not None:
        return seal[1]
    return None if signature is None else _SIGNED + signature


def words_of(item: dict[str, Any]) -> str:
    """The reasoning itself where the item has it, else its summary, a blank line between parts."""
    said = _texts(item.get("content"))
    return "".join(said) if said else "\n\n".join(_texts(item.get("summary")))


def _texts(parts: Any) -> list[str]:
    found = [part.get("text") for part in parts or () if type(part) is dict] if isinstance(parts, list) else []
    return [text for text in found if type(text) is str and text]


def cleared(body: bytes, members: dict[str, Raw], options: Mapping[str, Any]) -> Cleared | None:
    """``input`` without the reasoning that other wires' providers sealed, and, for a provider that knows its own items
    only, without that which they did not seal; see ``Wire.cleared``."""
    strict = options.get("reasoning_field", "") is None
    if body.find(b'"parley:') >= 0 or (strict and body.find(b'"rs_parley_') >= 0):
        return without(members, "input", "", _is_made if strict else _is_foreign)
    return None


def _is_foreign(item: Mapping[str, Any]) -> bool:
    return item.get("type") == "reasoning" and str(item.get("encrypted_content")).startswith(_FOREIGN)


def _is_made(item: Mapping[str, Any]) -> bool:
    return _is_foreign(item) or (item.get("type") == "reasoning" and str(item.get("id")).startswith(OURS))
