"""Where the time of one request has gone so far, for callers who ask with ``x-parley-timing: 1``."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from parley.gateway.delivery import Delivery

ASKED: Final = (b"x-parley-timing", b"1")


def timed(job: "Delivery") -> bytes:
    """The line ``server-timing``, in milliseconds: ``wait`` before the last try, ``provider`` since then, of which
    ``first-byte`` until the provider's first byte; ``total``."""
    now = job.gateway.now()
    parts = [("wait", job.tried_at - job.started), ("provider", now - job.tried_at)]
    if job.first_byte is not None:
        parts.append(("first-byte", job.first_byte))
    parts.append(("total", now - job.started))
    shown = ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in parts)
    return f"server-timing: {shown}\r\n".encode()
