"""What a node says of itself and of the models that it offers."""

from typing import Final

from msgspec import Struct

# The numbers by which registrations tell models apart, and the operation that each is called by.
OPERATIONS: Final = ("chat", "image_generation", "image_edit")
TEXT: Final = 0


class Offer(Struct, frozen=True, kw_only=True):
    """One model at one node. ``kind`` is an index into OPERATIONS, ``cid`` the label of one of several places of the
    model; ``in_flight`` requests are at work there, ``latency`` is a moving average of seconds to its first byte (None:
    not measured), ``ok``: it is in rotation."""

    project: str
    model: str
    kind: int = TEXT
    cid: str = ""
    in_flight: int = 0
    latency: float | None = None
    ok: bool = True


class Facts(Struct, frozen=True, kw_only=True):
    """One node. ``since`` is when it began, in seconds since 1970; ``addresses`` are URLs at which it serves; ``key``
    is its public key as text, "" for none."""

    node: str
    version: str = ""
    since: float = 0.0
    addresses: tuple[str, ...] = ()
    offers: tuple[Offer, ...] = ()
    key: str = ""


def operation_of(kind: int) -> str:
    """The operation of a kind; one that is not known is text."""
    return OPERATIONS[kind] if 0 <= kind < len(OPERATIONS) else OPERATIONS[TEXT]
