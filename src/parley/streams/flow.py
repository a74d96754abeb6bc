"""How many messages are worked on at a time, and when to wait before the next. Pure: time is given.

Errors slow the whole stream down (messaging contract section 4). Where upstreams or our own limits say that there is no
room, half as many are worked on, and one more again with each round of good answers: what people wait for goes first.
"""

from typing import Final

_LIMITED: Final = (429, 503, 529)
_OK: Final = 300
# How long a pause is where nobody says.
_PAUSE: Final = 1.0


class Flow:
    """Of one stream. ``most`` in work at a time; ``error_most`` is the longest wait after errors, in seconds."""

    def __init__(self, most: int, error_most: float = 30.0) -> None:
        self.most = most
        self._error_most = error_most
        self._width = float(most)
        self.errors = 0
        self.ready_at = 0.0
        self._halved_at = float("-inf")

    @property
    def width(self) -> int:
        """How many may be in work now."""
        return max(1, int(self._width))

    def room(self, in_work: int, now: float) -> int:
        """How many more may be begun now."""
        return 0 if now < self.ready_at else max(0, self.width - in_work)

    def wait(self, now: float) -> float:
        """Seconds until more may be begun, whatever is in work."""
        return max(0.0, self.ready_at - now)

    def received(self, now: float) -> None:
        """A message came: after errors the next one waits."""
        if self.errors:
            self.ready_at = max(self.ready_at, now + min(float(self.errors), self._error_most))

    def answered(self, status: int, now: float, pause: float | None = None, *, ours: bool = False) -> None:
        """One try ended so. ``ours``: the answer is an error of the gateway's own; ``pause`` is what it asks for."""
        if status < _OK:
            self.errors = 0
            self._width = min(float(self.most), self._width + 1.0 / max(1.0, self._width))
        elif status in _LIMITED:
            self._limited(now, _PAUSE if pause is None else min(pause, self._error_most))
        if ours and status >= _OK:
            self.errors += 1

    def failed(self) -> None:
        """Something on our own side did not work, such as sending an answer."""
        self.errors += 1

    def _limited(self, now: float, pause: float) -> None:
        """Those that were begun before do not count again."""
        if now >= self._halved_at + pause:
            self._halved_at = now
            self._width = max(1.0, self._width / 2)
        self.ready_at = max(self.ready_at, now + pause)
