"""One stream as configured. What its members mean to users: docs/messaging.md."""

from typing import Literal, TypeAlias

from msgspec import Struct

Streamed: TypeAlias = Literal["collect", "refuse"]


class Stream(Struct, frozen=True, kw_only=True):
    """A pair of request subscription and response topic. Times are seconds.

    ``name`` is what logs and metrics call it. ``key`` is the name of the key that its messages are asked with, "" for
    the one that a message carries, or for the operator. ``attempts`` are made of each message in hand, ``redeliveries``
    more by giving it back to the broker; ``deliveries`` is how often it may be delivered at all. ``identity`` and
    ``order`` are names of metadata members: one tells messages apart, the other keeps those with the same value in
    order. ``window`` is how long answers are remembered, ``remember`` where: memory, store, or the URL of a Redis.
    ``first_pause`` and ``longest_pause``: what is given back is delivered again no sooner.
    ``older``: paths that are not known are 400, as they were.
    """

    name: str
    requests: str
    responses: str
    dead_letter: str = ""
    max_handlers: int = 1
    key: str = ""
    timeout: float = 600.0
    attempts: int = 3
    redeliveries: int = 0
    deliveries: int = 5
    first_pause: float = 1.0
    longest_pause: float = 300.0
    window: float = 600.0
    remember: str = "memory"
    identity: str = ""
    order: str = ""
    stream: Streamed = "collect"
    error_max_backoff: float = 30.0
    older: bool = False
