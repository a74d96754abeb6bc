"""What carries an answer back, and what all that do share."""

from typing import Final

from msgspec.structs import replace

from parley.failure import Failure, ParleyError
from parley.ir import Usage

# Of what is reported once.
_PARTS: Final = tuple(name for name in Usage.__struct_fields__ if name not in ("input", "output", "estimated", "extra"))


class Relay:
    """Carries one 200 answer back.

    ``content`` turns true at the commit point, ``ended`` at the success terminator, ``trailing`` when more
    came after it. A ``failure`` ends it; what ``feed`` returned before still counts. ``pieces`` counts events with
    content, which most providers send one a token: the estimate where nobody reports usage.
    """

    __slots__ = ("content", "ended", "failure", "pieces", "trailing", "usage")

    def __init__(self) -> None:
        self.pieces = 0
        self.content = self.ended = self.trailing = False
        self.failure: Failure | None = None
        self.usage: Usage | None = None

    def feed(self, data: bytes) -> bytes:
        """Bytes for the caller, as far as known."""
        raise NotImplementedError

    def close(self) -> bytes:
        """The provider has sent everything: the remaining bytes, or a ``failure``."""
        raise NotImplementedError

    def fail(self, failure: Failure) -> bytes:
        """The error event that ends what was begun; b"" where any encoder can write it as well."""
        return b""


def bad_answer(detail: str, message: str) -> ParleyError:
    """An answer that is not what it should be."""
    return ParleyError(Failure("upstream_bad_response", message, detail=detail))


def incomplete() -> Failure:
    """The stream ended before its answer did."""
    return Failure("upstream_incomplete", "the provider's stream ended early", detail="missing_terminator")


def empty() -> Failure:
    """The stream ended before it began."""
    return Failure("upstream_bad_response", "the provider sent an empty answer", detail="empty_body")


def merged(before: Usage | None, now: Usage) -> Usage:
    """Usage reported in pieces: later figures win, earlier ones stay where the later report is silent."""
    if before is None:
        return now
    parts = {name: getattr(before, name) for name in _PARTS if getattr(now, name) is None}
    return replace(
        now,
        **parts,
        input=now.input or before.input,
        output=now.output or before.output,
    )
