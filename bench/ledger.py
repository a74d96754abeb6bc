"""Fills a store with the rows of many requests and tells how long it takes to ask it and to go on writing.

Usage: python -m bench.ledger [ROWS] [STORE]     (5,000,000 rows in a temporary SQLite file, some minutes)
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from parley.store import ledger, usage
from parley.store.ledger import DAY, HOUR, Row, Span
from parley.store.link import linked
from parley.store.place import place_of
from parley.store.port import Link
from parley.store.usage import Requests, Sums

DAYS = 90
KEYS = 50
MODELS = 8
PIECE = 500
TIMES = 9
LIMIT_MS = 200.0


def rows(count: int, now: float) -> Iterator[Row]:
    """Requests of 50 keys for 8 models each, evenly over 90 days, the oldest first; one in a hundred failed."""
    rng = random.Random(1)
    begin = now - DAYS * DAY
    for number in range(count):
        key, model = rng.randrange(KEYS), rng.randrange(MODELS)
        failed = rng.random() < 0.01
        yield Row(
            at=begin + DAYS * DAY * number / count, request_id=f"req_{number:012x}", key=f"key_{key:04x}",
            key_name=f"team {key}", tags={"team": f"t{key % 10}"}, dialect="openai", operation="chat",
            model=f"model-{model}", provider=f"provider-{model % 3}", target=f"provider-{model % 3}/model-{model}",
            status=502 if failed else 200, outcome="error" if failed else "ok", kind="upstream_error" if failed else "",
            attempts=1, ms=rng.random() * 3000, ttfb_ms=120.0, stream=True, bytes_out=4000, estimated=False,
            replayed=False, cost=rng.randrange(10**10), input=rng.randrange(4000), output=rng.randrange(1000),
            cached=rng.randrange(1000), cache_write=None, reasoning=None, audio_input=None, audio_output=None,
            images=None, seconds=None,
        )  # fmt: skip


def fill(link: Link, made: Iterator[Row], journal: str) -> list[float]:
    """Seconds of each transaction."""
    took: list[float] = []
    place, number = 0, 0
    while True:
        piece = []
        for row in made:
            number += 1
            piece.append((int(row.at * 1000).to_bytes(6) + number.to_bytes(10), row))
            if len(piece) == PIECE:
                break
        if not piece:
            return took
        begun = time.perf_counter()
        with link.transaction(writes=True):
            ledger.write(link, Span(journal, place, place + 1), piece)
        took.append(time.perf_counter() - begun)
        place += 1


def questions(now: float) -> dict[str, Callable[[Link], Any]]:
    """What a page or a person asks."""
    month, year = now - 30 * DAY, now - 365 * DAY

    def sums(*by: str, since: float = month, **only: str) -> Callable[[Link], Any]:
        asked = Sums(since=since, until=now, by=by, only=only)
        return lambda link: usage.sums(link, asked)

    def requests(**what: Any) -> Callable[[Link], Any]:
        asked = Requests(**{"limit": 100, **what})
        return lambda link: usage.requests(link, asked)

    return {
        "usage, 30 days": sums(),
        "usage by key": sums("key"),
        "usage by model": sums("model"),
        "usage by tag": sums("tag:team"),
        "usage by day": sums("day"),
        "usage by day and key": sums("day", "key"),
        "usage by hour, 2 days": sums("hour", since=now - 2 * DAY),
        "usage by hour, 7 days": sums("hour", since=now - 7 * DAY),
        "usage by hour of one key, 31 days": sums("hour", since=now - 31 * DAY, key="key_0001"),
        "usage from one hour to another": sums("key", since=month + 5 * HOUR),
        "usage by key, everything": sums("key", since=year),
        "usage by day and model, everything": sums("day", "model", since=year),
        "requests, newest": requests(),
        "requests of one key": requests(only={"key": "key_0001"}),
        "requests of one key and model": requests(only={"key": "key_0001", "model": "model-1"}),
        "requests of one provider": requests(only={"provider": "provider-1"}),
        "requests that failed": requests(failed=True),
        "requests that failed, of one key": requests(failed=True, only={"key": "key_0002"}),
        "one request": requests(request_id="req_0000000003e8"),
        "a page in the middle": requests(until=now - 45 * DAY),
    }


def ask(link: Link, question: Callable[[Link], Any]) -> float:
    """Milliseconds, the median of some."""
    took = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        with link.transaction(writes=False):
            question(link)
        took.append((time.perf_counter() - begun) * 1000)
    return statistics.median(took)


def main(count: int, url: str) -> int:
    now = time.time()
    link = linked(place_of(url), 30.0)
    begun = time.perf_counter()
    took = fill(link, rows(count, now), "bench")
    seconds = time.perf_counter() - begun
    first, last = took[: len(took) // 20 or 1], took[-(len(took) // 20 or 1) :]
    print(f"{count} rows in {seconds:.0f} s")
    print(f"{statistics.median(first) / PIECE * 1e6:.1f} us a row at the beginning")
    print(f"{statistics.median(last) / PIECE * 1e6:.1f} us a row at the end")
    slow = 0
    for name, question in questions(now).items():
        ms = ask(link, question)
        slow += ms > LIMIT_MS
        print(f"{ms:8.1f} ms  {name}")
    with link.transaction(writes=False):
        print({table: link.one(f"SELECT count(*) FROM {table}")[0] for table in ("ledger_sums", "ledger_courses")})
    link.close()
    return 1 if slow else 0


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(main(wanted, sys.argv[2] if len(sys.argv) > 2 else f"sqlite:///{folder}/ledger.db"))
