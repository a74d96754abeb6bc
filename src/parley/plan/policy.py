"""The numbers routing works by, in one value. Times are monotonic seconds."""

from math import isnan

from msgspec import Struct


class Policy(Struct, frozen=True, kw_only=True):
    """How patient the gateway is; the defaults are what docs/routing.md states.

    ``opens_after`` failures in a row open a breaker for ``open_for``; when nothing else is left an open one
    may be probed ``probe_pause`` after its last failure. A refused key rests ``key_park``, a 429 at most
    ``longest_park``. Backoff doubles from ``backoff`` to ``longest_backoff``, under full jitter. Retries in
    flight stay within ``retry_share`` of the active requests plus ``retry_floor``. ``total`` caps every deadline.
    """

    opens_after: int = 5
    open_for: float = 30.0
    probe_pause: float = 1.0
    key_park: float = 60.0
    longest_park: float = 60.0
    backoff: float = 0.1
    longest_backoff: float = 5.0
    retry_share: float = 0.2
    retry_floor: int = 3
    total: float | None = None

    def delay(self, attempt: int, jitter: float) -> float:
        """Seconds to wait after try number ``attempt`` (from 1); ``jitter`` in [0, 1) spreads over the whole span."""
        return jitter * min(self.longest_backoff, self.backoff * 2.0 ** min(attempt - 1, 32))

    def park(self, retry_after: float, delay: float) -> float:
        """How long a rate-limited lane rests: as asked, within [0, ``longest_park``]; for NaN ``delay``."""
        return delay if isnan(retry_after) else min(max(retry_after, 0.0), self.longest_park)
