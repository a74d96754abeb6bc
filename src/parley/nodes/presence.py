"""What a node says of itself to all others, as it is sent: packed, and signed by its key. Pure.

Whoever reads it trusts nothing in it: sizes are bounded before anything is unpacked.
"""

import zlib
from collections.abc import Callable
from math import isfinite
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from parley.nodes.facts import Facts, Offer

LARGEST: Final = 4 * 1024 * 1024
MOST_OFFERS: Final = 10_000
LONGEST: Final = 512
_SAFE: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


class Presence(Struct, frozen=True, array_like=True):
    """``run`` tells one start of the node from another, ``slot`` its processes; ``at`` is when it was said, in seconds
    since 1970 by its own clock; ``rtt`` its seconds to the network and back (None: not measured); ``leaves``: it says
    goodbye; ``sealed``: it takes no calls in the clear."""

    facts: Facts
    run: str
    slot: int = 0
    at: float = 0.0
    rtt: float | None = None
    leaves: bool = False
    sealed: bool = False


class Signed(Struct, frozen=True, array_like=True):
    """``data`` is a packed Presence, ``key`` the public key that signed it."""

    data: bytes
    key: str
    signature: bytes


class UnreadableError(ValueError):
    """What arrived is not what a node says."""


# What a decoder makes of what is none.
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_presence: Final = msgspec.msgpack.Decoder(Presence)
_signed: Final = msgspec.msgpack.Decoder(Signed)


def packed(presence: Presence, key: str, sign: Callable[[bytes], bytes]) -> bytes:
    """As it is sent."""
    data = zlib.compress(msgspec.msgpack.encode(presence), 1)
    return msgspec.msgpack.encode(Signed(data, key, sign(data)))


def read(message: bytes, verified: Callable[[str, bytes, bytes], bool]) -> tuple[Presence, str]:
    """What it says, and whose key signed it; ``verified`` is given key, data and signature. Raises UnreadableError."""
    try:
        signed = _signed.decode(message)
        if not verified(signed.key, signed.data, signed.signature):
            raise UnreadableError("the signature is not by the key that is named")
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(signed.data, LARGEST)
        if unpacker.unconsumed_tail:
            raise UnreadableError("too large")
        presence = _presence.decode(data)
    except (*UNREADABLE, zlib.error) as error:
        raise UnreadableError(str(error)) from None
    return _judged(presence, signed.key), signed.key


def _judged(presence: Presence, key: str) -> Presence:
    facts = presence.facts
    if not _fit(facts.node) or not facts.node or not _fit(presence.run) or len(facts.offers) > MOST_OFFERS:
        raise UnreadableError("out of bounds")
    if not isfinite(presence.at) or not isfinite(facts.since) or not (presence.rtt is None or presence.rtt >= 0):
        raise UnreadableError("times that are none")
    if not all(_sound(offer) for offer in facts.offers):
        raise UnreadableError("an offer that nobody could ask for")
    # The key is what signed it, whatever it says.
    return replace(presence, facts=replace(facts, key=key))


def _sound(offer: Offer) -> bool:
    named = offer.project and offer.model and _fit(offer.project) and _fit(offer.model) and _fit(offer.cid)
    return bool(named) and 0 <= offer.in_flight <= 2**31 and (offer.latency is None or offer.latency >= 0)


def _fit(text: str) -> bool:
    return len(text) <= LONGEST and text.isprintable()


def token_of(node: str) -> str:
    """An id as one part of a subject or key: letters, digits, - and _ stay, everything else is =XX."""
    return "".join(chr(one) if one in _SAFE else f"={one:02X}" for one in node.encode())
