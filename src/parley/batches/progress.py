"""What is told of a run while it lasts, and in the end. Pure: time is given."""

from collections import deque
from typing import Any, Final

from parley.batches.told import Spent

# How far back speeds look, in seconds.
WINDOW: Final = 30.0
PICO: Final = 1e12


class Progress:
    """Counts of a run. ``before`` were done by earlier runs, of whose cost nothing is known; ``cost`` in picodollars,
    None once a price is missing."""

    def __init__(self, total: int, before: tuple[int, int], now: float) -> None:
        self.total = total
        self.done, self.failed = before
        self._before = before[0]
        self.began = now
        self.retries = 0
        self.spent = Spent()
        self.cost: int | None = 0
        self._recent: deque[tuple[float, int]] = deque()
        self._tokens = self._lines = 0

    def settled(self, ok: bool, spent: Spent, now: float) -> None:
        """A line has its last answer."""
        if ok:
            self.done += 1
        else:
            self.failed += 1
        self.spent = self.spent.plus(spent)
        tokens = spent.input + spent.output
        self._recent.append((now, tokens))
        self._tokens += tokens
        while self._recent and self._recent[0][0] < now - WINDOW:
            self._tokens -= self._recent.popleft()[1]

    def paid(self, cost: int | None) -> None:
        """A try was answered, and cost that much."""
        self.cost = None if cost is None or self.cost is None else self.cost + cost

    def speeds(self, now: float) -> tuple[float, float]:
        """Lines and tokens a second, of late."""
        span = max(1e-3, min(WINDOW, now - self.began))
        return len(self._recent) / span, self._tokens / span

    @property
    def left(self) -> int:
        """Lines without a last answer."""
        return self.total - self.done - self.failed

    def time_left(self, now: float) -> float | None:
        """Seconds, as far as can be told."""
        rate = self.speeds(now)[0]
        return self.left / rate if rate > 0 else None

    def words(self, retrying: int, now: float) -> str:
        """What stands beside the bar."""
        cost = "" if self.cost is None else f"  ${self.cost / PICO:.4f}"
        return f"failed {self.failed}  retrying {retrying}  {self.speeds(now)[1]:.0f} tokens/s{cost}"

    def _told(self) -> float | None:
        return None if self.cost is None else self.cost / PICO

    def summary(self, now: float) -> dict[str, Any]:
        """What is printed in the end."""
        return {
            "total": self.total,
            "completed": self.done,
            "failed": self.failed,
            "left": self.left,
            "retries": self.retries,
            "input_tokens": self.spent.input,
            "output_tokens": self.spent.output,
            "cost_usd": None if self._before else self._told(),
            "run_cost_usd": self._told(),
            "seconds": round(now - self.began, 3),
        }
