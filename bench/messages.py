"""make bench BENCH=messages: what a message of NATS JetStream costs beside the same request over HTTP.

One gateway, one upstream that answers at once, one chat of 2 KB. Counted is the processor time of the gateway's process
alone: for HTTP by the requests that were answered with 200, for messages by the answers on the response topic that say
200. A message's whole way is in it: fetched, asked, its answer sent and confirmed, acked. NATS, the upstream and the
load are on the other core and not counted. Rounds are interleaved; each compares with the HTTP of its own.
"""

import argparse
import asyncio
import os
import shutil
import signal
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import workload
from gateways import PARLEY, ROOT, compiled
from measure import Bench, Plan, running
from process import free_port, ran_seconds, start, stop
from run import upstream
from workload import LOAD_CORE, OPENAI, SMALL

LEAST = 70.0
AT_ONCE = 64
GOOD = b'"status_code":200'
# What the publisher may be ahead of the answers: the server's own limits are not what is measured.
AHEAD = 5000


def config(up: int, nats: int) -> str:
    """A gateway that serves both ways."""
    return f"""
providers:
  up: {{type: openai, base_url: 'http://127.0.0.1:{up}/v1', api_key: bench}}
models:
  - {{model: bench, targets: [up/model-a]}}
connections: {{main: 'nats://127.0.0.1:{nats}'}}
streams:
  - requests: nats://ask?jetstream=ASK&create=true&connection=main
    responses: nats://told?jetstream=TOLD&create=true&connection=main
    max_handlers: {AT_ONCE}
"""


class Broker:
    """A connection to NATS: no more of its protocol than is needed to put messages in and to count answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.good = 0
        self._more = asyncio.Event()
        self._reading = asyncio.ensure_future(self._read())
        writer.write(b'CONNECT {"verbose":false,"pedantic":false}\r\nSUB told 1\r\nPING\r\n')

    async def _read(self) -> None:
        rest = b""
        while data := await self._reader.read(1 << 20):
            if b"PING\r\n" in data:
                self._writer.write(b"PONG\r\n")
            self.good += (rest + data).count(GOOD)
            rest = data[-len(GOOD) + 1 :]
            self._more.set()

    def forget(self) -> None:
        """What the streams hold is not needed any more."""
        for stream in ("ASK", "TOLD"):
            self._writer.write(b"PUB $JS.API.STREAM.PURGE.%b 0\r\n\r\n" % stream.encode())

    async def answered(self, message: bytes, count: int) -> None:
        """Until so many copies of it have their answers."""
        line, goal, sent = b"PUB ask %d\r\n%b\r\n" % (len(message), message), self.good + count, 0
        first = self.good
        async with asyncio.timeout(60 + count / 100):
            while self.good < goal:
                many = min(count - sent, first + AHEAD + self.good - first - sent, 200)
                if many > 0:
                    self._writer.write(line * many)
                    await self._writer.drain()
                    sent += many
                    continue
                self._more.clear()
                if self.good < goal:
                    await self._more.wait()

    async def close(self) -> None:
        """Leave."""
        self._reading.cancel()
        self._writer.close()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Broker]:
    """The harness's own connection."""
    broker = Broker(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 22))
    try:
        yield broker
    finally:
        await broker.close()


def message_of(body: bytes) -> bytes:
    """The same request as a message."""
    return b'{"path":"/v1/chat/completions","metadata":{"id":"job-4711","n":12},"body":%b}' % body


class Server:
    """The running gateway, asked in both ways."""

    def __init__(self, bench: Bench, pid: int, port: int, nats: int) -> None:
        self._bench, self._pid, self._port, self._nats = bench, pid, port, nats
        self._body = workload.body(OPENAI, SMALL).rstrip(b" ")

    def http(self, seconds: int) -> float:
        """Microseconds of processor time for one request."""
        file, before = self._bench.file("body", self._body), ran_seconds(self._pid)
        seen = workload.load(OPENAI, self._port, file, AT_ONCE, seconds)
        done = seen["requests"] - seen["failed"]
        if seen["failed"] or not done:
            raise SystemExit(f"{seen['failed']} of {seen['requests']} requests failed")
        return (ran_seconds(self._pid) - before) / done * 1e6

    async def messages(self, count: int) -> float:
        """Microseconds of processor time for one message."""
        async with connected(self._nats) as broker:
            broker.forget()
            before = ran_seconds(self._pid)
            await broker.answered(message_of(self._body), count)
            return (ran_seconds(self._pid) - before) / count * 1e6


def measured(rounds: int, seconds: int, count: int) -> list[tuple[float, float]]:
    """Microseconds for a request and for a message, round by round."""
    program = shutil.which("nats-server") or sys.exit("nats-server is not installed: scripts/system-packages bench")
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as scratch:
        folder, plan, nats = Path(scratch), Plan(), free_port()
        words = ["-a", "127.0.0.1", "-p", str(nats), "-js", "-sd", str(folder / "nats")]
        broker = start([program, *words], LOAD_CORE, folder / "nats.log")
        try:
            with upstream(ROOT / ".cache" / "bench", folder, plan) as up:
                bench = Bench(ROOT / ".cache" / "bench", folder, up, plan)
                # Keys that somebody made on this machine are not asked for.
                parley = replace(PARLEY, env={**PARLEY.env, "HOME": scratch})
                with running(bench, parley, config(up, nats)) as (process, at, _):
                    server = Server(bench, process.pid, at, nats)
                    # The first of both makes what later ones find made.
                    server.http(1)
                    asyncio.run(server.messages(2000))
                    return [(server.http(seconds), asyncio.run(server.messages(count))) for _ in range(rounds)]
        finally:
            stop(broker)


def main() -> None:
    """Measure, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="length of one load over HTTP")
    parser.add_argument("--messages", type=int, default=10_000, help="in one round")
    asked = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    # Ended from outside, everything is stopped all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    found = measured(asked.rounds, asked.seconds, asked.messages)
    built = "compiled" if compiled() else "in plain Python"
    print(f"Parley {built}; processor time of the gateway, {AT_ONCE} at once\n")
    print(
        "| round | us a request over HTTP | us a message | messages per core, % of HTTP's |\n| --- | --- | --- | --- |"
    )
    shares = [request / message * 100 for request, message in found]
    for number, ((request, message), share) in enumerate(zip(found, shares, strict=True), 1):
        print(f"| {number} | {request:.1f} | {message:.1f} | {share:.0f} |")
    median = statistics.median(shares)
    print(f"\nMedian: {median:.0f} % (at least {LEAST:.0f})")
    if median < LEAST:
        sys.exit(1)


if __name__ == "__main__":
    main()
