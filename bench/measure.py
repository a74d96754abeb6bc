"""One gateway, one round: start it, check one answer, put every load on it, stop it."""

import http.client
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import workload
from gateways import PARLEY, Gateway, parley_config
from process import cpu_seconds, free_port, resident_mb, start, stop
from workload import IMAGE, PROMPT, SMALL, Dialect

GATEWAY_CORE = 0
START_LIMIT = 90.0
MANY_MODELS = 200

# Values of one round: (row, measure) -> number.
Values = dict[tuple[str, str], float]


@dataclass(frozen=True)
class Plan:
    """How long and how much. ``seconds`` is one load at one number of connections."""

    rounds: int = 3
    seconds: int = 4
    connections: tuple[int, ...] = (1, 16, 64)
    streams: int = 100
    events: int = 400
    interval_ms: int = 10


@dataclass(frozen=True)
class Bench:
    """What all rounds share: compiled programs, a folder for files, the port of the upstream."""

    programs: Path
    folder: Path
    upstream: int
    plan: Plan

    def file(self, name: str, content: bytes | str) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


def ask(
    port: int, method: str, path: str, content: bytes | None = None, headers: tuple[str, ...] = ()
) -> tuple[int, bytes]:
    """One request on a connection of its own; status 0 when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        named = dict(header.split(":", 1) for header in headers)
        connection.request(method, path, content, named | {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def until(process: subprocess.Popen[bytes], log: Path, done: Callable[[], bool]) -> None:
    """Polls every few milliseconds: what is measured is a start."""
    limit = time.monotonic() + START_LIMIT
    while not done():
        if process.poll() is not None or time.monotonic() > limit:
            raise RuntimeError(f"{process.args} did not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.005)


@contextmanager
def running(bench: Bench, gateway: Gateway, config: str | None) -> Iterator[tuple[subprocess.Popen[bytes], int, float]]:
    """The started gateway, its port, and seconds from start to the first 200 of its ready path."""
    port = free_port()
    with tempfile.TemporaryDirectory(dir=bench.folder) as scratch:
        folder = Path(scratch)
        log, file = folder / "log", folder / "config.yaml"
        file.write_text(config or (gateway.config(port, bench.upstream, folder) if gateway.config else ""))
        begun = time.monotonic()
        process = start(gateway.argv(port, bench.upstream, file), GATEWAY_CORE, log, gateway.env)
        try:
            until(process, log, lambda: ask(port, "GET", gateway.ready)[0] == 200)
            yield process, port, time.monotonic() - begun
        finally:
            stop(process)


def check_answer(port: int, dialect: Dialect) -> None:
    """One request must be answered rightly before anything is measured."""
    content = workload.body(dialect, SMALL)
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        status, answer = ask(port, "POST", dialect.path, content, dialect.headers)
        if status == 200 and dialect.answer in answer:
            return
        time.sleep(0.2)
    raise RuntimeError(f"{dialect.path} on port {port} answered {status}: {answer[:500]!r}")


class Round:
    """All loads on one row of one running gateway; ``values`` collects what they showed."""

    def __init__(self, bench: Bench, process: subprocess.Popen[bytes] | None, port: int) -> None:
        self.bench = bench
        self.process = process
        self.port = port
        self.values: Values = {}

    def _cpu(self) -> float:
        return cpu_seconds(self.process.pid) if self.process else 0.0

    def _load(self, dialect: Dialect, size: int, connections: int, seconds: int) -> dict[str, float]:
        """wrk's result with ``cpu_us``, the gateway's microseconds for each request."""
        file = self.bench.file(f"{dialect.name}-{size}.json", workload.body(dialect, size))
        before = self._cpu()
        seen = workload.load(dialect, self.port, file, connections, seconds)
        spent = self._cpu() - before
        if not seen["requests"]:
            return seen | {"cpu_us": float("nan"), "rps": 0.0, "slow_share": float("nan")}
        return seen | {
            "cpu_us": spent / seen["requests"] * 1e6,
            "rps": seen["requests"] / seen["seconds"],
            "slow_share": seen["slow"] / seen["requests"],
        }

    def _keep(self, row: str, load: str, seen: dict[str, float], *names: str) -> None:
        for name in (*names, "failed"):
            self.values[row, f"{load}.{name}"] = seen[name]

    def requests(self, row: str, dialect: Dialect) -> None:
        """2 KB requests at every number of connections."""
        self._load(dialect, SMALL, 16, 1)
        for connections in self.bench.plan.connections:
            seen = self._load(dialect, SMALL, connections, self.bench.plan.seconds)
            self._keep(row, f"c{connections}", seen, "cpu_us", "rps", "p50_us", "p99_us", "slow_share")

    def large(self, row: str, dialect: Dialect) -> None:
        """Long prompts and an image."""
        seen = self._load(dialect, PROMPT, 16, self.bench.plan.seconds)
        self._keep(row, "prompt", seen, "cpu_us", "rps", "p50_us", "p99_us")
        seen = self._load(dialect, IMAGE, 1, self.bench.plan.seconds)
        self._keep(row, "image", seen, "cpu_us", "p50_us", "p99_us", "max_us", "slow_share")

    def streams(self, row: str, dialect: Dialect) -> None:
        """Many streams at once; cost for each event the upstream sent."""
        plan = self.bench.plan
        content = workload.raw_request(dialect, self.port, workload.body(dialect, SMALL, stream=True))
        file = self.bench.file("stream-request", content)
        before = self._cpu()
        seen = workload.read_streams(self.bench.programs, self.port, plan.streams, file, 120)
        events = plan.streams * (plan.events + 2)
        seen["cpu_us"] = (self._cpu() - before) / events * 1e6
        seen["failed"] = plan.streams - seen["complete"]
        self._keep(row, "stream", seen, "cpu_us", "seconds", "first_p50_ms", "gap_p99_ms")

    def all(self, row: str, dialect: Dialect) -> None:
        if self.process:
            check_answer(self.port, dialect)
        self.requests(row, dialect)
        self.streams(row, dialect)
        self.large(row, dialect)


def direct(bench: Bench) -> Values:
    """The same loads without a gateway: what is added is counted from here."""
    turn = Round(bench, None, bench.upstream)
    turn.all("direct", workload.OPENAI)
    return {key: value for key, value in turn.values.items() if not key[1].endswith("cpu_us")}


def measure(bench: Bench, gateway: Gateway) -> Values:
    """One round of one gateway, and Parley's start with many models."""
    values: Values = {}
    with running(bench, gateway, None) as (process, port, started):
        time.sleep(1.0)
        idle = resident_mb(process.pid)
        for row, dialect in gateway.rows:
            turn = Round(bench, process, port)
            try:
                turn.all(row, dialect)
            except RuntimeError as error:
                print(f"{row} left out: {error}", file=sys.stderr)
                continue
            values |= turn.values
            values |= {(row, "start_s"): started, (row, "idle_mb"): idle, (row, "loaded_mb"): resident_mb(process.pid)}
    if gateway is PARLEY:
        many = parley_config(0, bench.upstream, bench.folder, models=MANY_MODELS)
        with running(bench, gateway, many) as (_, _, started):
            values[gateway.rows[0][0], "start_many_s"] = started
    return values
