"""Medians -> the Markdown page: tables side by side, ratios to nginx, the numbers to reach."""

import math
import os
import platform
from collections.abc import Callable
from pathlib import Path

from gateways import GUARDED, NGINX, PARLEY, Gateway, compiled
from measure import MANY_MODELS, Plan, Values

BASE = NGINX.rows[0][0]
VERBATIM, TRANSLATED = (row for row, _ in PARLEY.rows)
GUARDED_ROW = GUARDED.rows[0][0]
ROUTER_ROWS = ("vllm-router", "sglang-router")

# A column: its title and the text of one row's cell.
Column = tuple[str, Callable[[str], str]]


def table(rows: list[str], columns: list[Column]) -> str:
    lines = ["| gateway | " + " | ".join(title for title, _ in columns) + " |", "| --- |" + " ---: |" * len(columns)]
    lines += [f"| {row} | " + " | ".join(cell(row) for _, cell in columns) + " |" for row in rows]
    return "\n".join(lines)


def number(value: float | None, digits: int = 0) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{value:,.{digits}f}"


class Page:
    """Cells of the tables, read from the medians."""

    def __init__(self, values: Values) -> None:
        self.values = values

    def plain(self, title: str, key: str, digits: int = 0, scale: float = 1.0) -> Column:
        def cell(row: str) -> str:
            value = self.values.get((row, key))
            return number(None if value is None else value * scale, digits)

        return title, cell

    def ratio(self, key: str) -> Column:
        return "x nginx", lambda row: number(self.over(row, BASE, key), 2)

    def added(self, title: str, key: str, digits: int = 0, scale: float = 1.0) -> Column:
        """The value less that of the same load without a gateway."""

        def cell(row: str) -> str:
            with_it, without = self.values.get((row, key)), self.values.get(("direct", key))
            return number(None if with_it is None or without is None else (with_it - without) * scale, digits)

        return title, cell

    def failures(self) -> Column:
        def cell(row: str) -> str:
            return number(sum(value for (name, key), value in self.values.items() if name == row and "failed" in key))

        return "failed", cell

    def over(self, row: str, base: str, key: str) -> float | None:
        above, below = self.values.get((row, key)), self.values.get((base, key))
        return above / below if above is not None and below else None


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({cpu_model()}), {memory:.0f} GiB, Linux {platform.release()}, "
        f"CPython {platform.python_version()}"
    )


def goals(page: Page) -> str:
    """The numbers to reach, what was measured, and whether it is enough."""
    value = page.values.get
    per_request, per_chunk = "c64.cpu_us", "stream.cpu_us"
    measured: list[tuple[str, str, float | None, float]] = [
        ("CPU per forwarded request, x nginx", "<=", page.over(VERBATIM, BASE, per_request), 2.5),
        *((f"... x {router}", "<=", page.over(VERBATIM, router, per_request), 1.0) for router in ROUTER_ROWS),
        ("CPU per streamed chunk, x nginx", "<=", page.over(VERBATIM, BASE, per_chunk), 1.6),
        ("CPU per translated request, x nginx", "<=", page.over(TRANSLATED, BASE, per_request), 8.0),
        ("... with keys, limits, ledger and log, x nginx", "<=", page.over(GUARDED_ROW, BASE, per_request), 4.0),
        ("CPU per LiteLLM request, x Parley", ">=", page.over("LiteLLM proxy", VERBATIM, per_request), 100.0),
        (f"start with {MANY_MODELS} models, seconds", "<=", value((VERBATIM, "start_many_s")), 1.0),
        ("idle memory, MB", "<=", value((VERBATIM, "idle_mb")), 80.0),
        ("1.5 MB image: share in a second mode, %", "<=", _percent(value((VERBATIM, "image.slow_share"))), 0.1),
        ("one connection: share in a 40 ms mode, %", "<=", _percent(value((VERBATIM, "c1.slow_share"))), 0.1),
    ]
    lines = ["| number | wanted | measured | |", "| --- | ---: | ---: | --- |"]
    for title, sign, seen, wanted in measured:
        lines.append(f"| {title} | {sign} {wanted:g} | {number(seen, 2)} | {verdict(sign, seen, wanted)} |")
    return "\n".join(lines)


def _percent(share: float | None) -> float | None:
    return None if share is None else share * 100


def verdict(sign: str, seen: float | None, wanted: float) -> str:
    if seen is None or math.isnan(seen):
        return "not measured"
    return "reached" if (seen <= wanted if sign == "<=" else seen >= wanted) else "missed"


def requests_table(page: Page, rows: list[str], plan: Plan) -> str:
    return table(
        rows,
        [
            page.plain("CPU us/request", "c64.cpu_us", 1),
            page.ratio("c64.cpu_us"),
            page.plain("at 16", "c16.cpu_us", 1),
            page.plain("at 1", "c1.cpu_us", 1),
            *(page.plain(f"requests/s at {count}", f"c{count}.rps") for count in plan.connections),
            page.added("added p50 us", "c1.p50_us"),
            page.added("added p99 us", "c1.p99_us"),
            page.plain("40 ms mode %", "c1.slow_share", 2, 100),
            page.failures(),
        ],
    )


def large_table(page: Page, rows: list[str]) -> str:
    return table(
        rows,
        [
            page.plain("100 KB: CPU us", "prompt.cpu_us"),
            page.ratio("prompt.cpu_us"),
            page.plain("1.5 MB: CPU us", "image.cpu_us"),
            page.ratio("image.cpu_us"),
            page.added("added p50 ms", "image.p50_us", 2, 1e-3),
            page.added("added p99 ms", "image.p99_us", 2, 1e-3),
            page.plain("second mode %", "image.slow_share", 2, 100),
        ],
    )


def streams_table(page: Page, rows: list[str]) -> str:
    return table(
        rows,
        [
            page.plain("CPU us/chunk", "stream.cpu_us", 1),
            page.ratio("stream.cpu_us"),
            page.plain("first event p50 ms", "stream.first_p50_ms", 1),
            page.plain("gap p99 ms", "stream.gap_p99_ms"),
            page.plain("seconds", "stream.seconds", 1),
        ],
    )


def memory_table(page: Page, rows: list[str]) -> str:
    return table(
        rows,
        [
            page.plain("idle MB", "idle_mb"),
            page.plain("after load MB", "loaded_mb"),
            page.plain("cold start s", "start_s", 2),
            page.plain(f"start with {MANY_MODELS} models s", "start_many_s", 2),
        ],
    )


def report(values: Values, gateways: list[Gateway], plan: Plan) -> str:
    """The whole page. ``values`` are medians over the rounds."""
    page = Page(values)
    asked = [row for gateway in gateways for row, _ in gateway.rows]
    rows = [row for row in asked if (row, "c64.cpu_us") in values]
    parts = [
        "# Benchmarks",
        "Written by `make bench WRITE=1`. Method: [bench/README.md](../bench/README.md). Trust the ratios of one run; "
        "absolute numbers belong to the machine.",
        f"Machine: {machine()}. Medians of {plan.rounds} round(s), {plan.seconds} s a load, one core for the gateway. "
        f"Parley's data path: {'compiled' if compiled() else 'plain Python'}.",
        "## Numbers to reach",
        goals(page),
        "## Requests: 2 KB in, 1 KB out, keep-alive",
        "CPU columns: 64, 16 and 1 connections. Latency: one connection, less the same load without a gateway.",
        requests_table(page, rows, plan),
        "## Large requests",
        "100 KB prompts on 16 connections; an image of 1.5 MB on one.",
        large_table(page, rows),
        f"## Streams: {plan.streams} at once, {plan.events} events of 181 bytes each, {plan.interval_ms} ms apart",
        streams_table(page, rows),
        "## Memory and start",
        memory_table(page, rows),
    ]
    if left_out := [row for row in asked if row not in rows]:
        parts.append("Gave no numbers in this run: " + ", ".join(left_out) + ".")
    return "\n\n".join(parts)
