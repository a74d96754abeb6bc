"""make bench BENCH=caila: what Caila's envelopes cost beside the same calls without one.

One Parley, one upstream: a call of OpenAI's dialect, whole and streamed, then the same in each envelope, and as it is
for requests that pass untouched. Rounds are interleaved, and every row is divided by the plain call of its own round.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import workload
from gateways import PARLEY, ROOT, compiled
from measure import Bench, Plan, ask, running
from process import ran_seconds
from run import upstream
from workload import LOAD_CORE, OPENAI, OPENAI_HEADERS, SMALL, Dialect, raw_request

SERVICE = "/api/mlpgate/account/acme/model/bench"
DIRECT = "https://caila.io/specs/mlp-data-gpt.yml#/ChatCompletionDirectProxy"
PREDICT, PROXY = 1.5, 1.2


@dataclass(frozen=True)
class Row:
    """One way to ask. ``most`` is the limit of its cost beside the plain call, 0 for the plain call itself."""

    name: str
    dialect: Dialect
    body: bytes
    most: float = 0.0
    streams: bool = False


def face(path: str) -> Dialect:
    return Dialect("caila", path, OPENAI_HEADERS, OPENAI.answer)


def rows(streams: bool) -> list[Row]:
    """The plain call first. All say the same."""
    plain = workload.body(OPENAI, SMALL, streams).rstrip(b" ")
    asked = json.loads(plain)
    data = {name: asked[name] for name in ("messages",)}
    config = {name: value for name, value in asked.items() if name not in ("messages", "model", "stream")}

    def text(value: object) -> str:
        return json.dumps(value, separators=(",", ":"))

    direct = face(f"{SERVICE}/predict?dataType={quote(DIRECT, safe='')}")
    # What passes as it is names the provider's own model.
    named = plain.replace(b'"model":"bench"', b'"model":"model-a"')
    texts = text({"data": text(data), "config": text(config)}).encode()
    adapter = face("/api/adapters/openai/chat/completions")
    if streams:
        return [
            Row("OpenAI, streamed", OPENAI, plain, streams=True),
            Row(
                "predict-with-config-v2-stream", face(f"{SERVICE}/predict-with-config-v2-stream"), texts, PREDICT, True
            ),
            Row("adapter, streamed", adapter, plain, PREDICT, True),
            Row("as it is, streamed", direct, named, PROXY, True),
        ]
    both = text({"data": data, "config": config}).encode()
    return [
        Row("OpenAI", OPENAI, plain),
        Row("predict", face(f"{SERVICE}/predict"), text({**data, **config}).encode(), PREDICT),
        Row("predict-with-config", face(f"{SERVICE}/predict-with-config"), both, PREDICT),
        Row("predict-with-config-v2", face(f"{SERVICE}/predict-with-config-v2"), texts, PREDICT),
        Row("adapter", adapter, plain, PREDICT),
        Row("as it is", direct, named, PROXY),
    ]


def config(port: int) -> str:
    return f"""
providers:
  up: {{type: openai, base_url: 'http://127.0.0.1:{port}/v1', api_key: bench}}
models:
  - {{model: bench, targets: [up/model-a]}}
  - {{model: acme/bench, targets: [up/model-a]}}
"""


@dataclass(frozen=True)
class Server:
    """The running gateway."""

    bench: Bench
    pid: int
    port: int
    seconds: int
    streams: int

    def cost(self, row: Row) -> float:
        """Microseconds of processor time for one request, or for one event of a stream."""
        status, said = ask(self.port, "POST", row.dialect.path, row.body, row.dialect.headers)
        if status != 200 or not (row.streams or row.dialect.answer in said):
            raise SystemExit(f"{row.name}: answered {status}: {said[:500]!r}")
        if row.streams:
            file = self.bench.file("request", raw_request(row.dialect, self.port, row.body))
            before = ran_seconds(self.pid)
            seen = workload.read_streams(self.bench.programs, self.port, self.streams, file, 120)
            done, wanted = seen["complete"] * self.bench.plan.events, self.streams * self.bench.plan.events
        else:
            file = self.bench.file("body", row.body)
            before = ran_seconds(self.pid)
            seen = workload.load(row.dialect, self.port, file, 16, self.seconds)
            done = wanted = seen["requests"] - seen["failed"]
            if seen["failed"]:
                raise SystemExit(f"{row.name}: {seen['failed']} of {seen['requests']} failed")
        if not done or done != wanted:
            raise SystemExit(f"{row.name}: not all streams were complete: {seen}")
        return (ran_seconds(self.pid) - before) / done * 1e6


def measured(rounds: int, seconds: int, streams: int) -> list[tuple[Row, float, float]]:
    """Each row with its microseconds and its part of the plain call's, medians over the rounds."""
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as scratch:
        folder, plan = Path(scratch), Plan(streams=streams)
        programs = ROOT / ".cache" / "bench"
        with upstream(programs, folder, plan) as port:
            bench = Bench(programs, folder, port, plan)
            # Keys that somebody made on this machine are not asked for.
            parley = replace(PARLEY, env={**PARLEY.env, "HOME": scratch})
            with running(bench, parley, config(port)) as (process, at, _):
                server = Server(bench, process.pid, at, seconds, streams)
                found = []
                for group in (rows(False), rows(True)):
                    server.cost(group[0])
                    costs = [[server.cost(row) for row in group] for _ in range(rounds)]
                    for number, row in enumerate(group):
                        parts = [cost[number] / cost[0] for cost in costs]
                        spent = [cost[number] for cost in costs]
                        found.append((row, statistics.median(spent), statistics.median(parts)))
                return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="length of one load")
    parser.add_argument("--streams", type=int, default=100, help="how many at once")
    asked = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    # Ended from outside, the gateway is stopped all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    found = measured(asked.rounds, asked.seconds, asked.streams)
    built = "compiled" if compiled() else "in plain Python"
    print(f"Parley {built}; processor time, medians of {asked.rounds} rounds\n")
    print("| call | us a request (streams: an event) | beside the plain call | at most |\n| --- | --- | --- | --- |")
    for row, spent, part in found:
        print(f"| {row.name} | {spent:.1f} | {part:.2f} | {row.most or ''} |")
    late = [row.name for row, _, part in found if row.most and part > row.most]
    if late:
        sys.exit("Too slow: " + ", ".join(late))


if __name__ == "__main__":
    main()
