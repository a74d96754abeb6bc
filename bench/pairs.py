"""make bench BENCH=pairs: every dialect to every wire of a provider, beside nginx forwarding the same bytes.

A streamed chat of 2 KB is answered in few words and in many: the slope is what a chunk costs, the intercept what a
request does. Method: bench/README.md.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import answers
import callers
import workload
from answers import ANSWERS, Answer
from callers import CALLERS, Caller
from gateways import NGINX, PARLEY, ROOT
from measure import Bench, Plan, ask, running
from pairs_report import Cost, Costs, over, section
from process import ran_seconds
from run import upstream
from sections import put
from workload import LOAD_CORE

RESPONSES = "openai_responses"


@dataclass(frozen=True)
class Extent:
    """How much of it: ``seconds`` is one load, ``streams`` how many at once, ``few`` and ``many`` words."""

    rounds: int = 2
    seconds: float = 2.0
    streams: int = 100
    few: int = 8
    many: int = 264

    @property
    def lengths(self) -> tuple[int, int]:
        return self.few, self.many


@dataclass(frozen=True)
class Server:
    """One running gateway: nginx, which forwards ``as_is``, or Parley."""

    bench: Bench
    extent: Extent
    pid: int
    port: int
    as_is: bool = False

    def stream_us(self, caller: Caller, answer: Answer, words: int, mark: str) -> float:
        """The gateway's microseconds for each stream. Raises RuntimeError where one was not complete."""
        file = self.bench.file("request", self._request(caller, answer, words))
        turns = self._turns(answer, words)
        if words == self.extent.few:
            workload.read_streams(self.bench.programs, self.port, self.extent.streams, file, 30, (1, mark))
        before = ran_seconds(self.pid)
        seen = workload.read_streams(self.bench.programs, self.port, self.extent.streams, file, 120, (turns, mark))
        spent = ran_seconds(self.pid) - before
        if seen["complete"] != self.extent.streams * turns:
            raise RuntimeError(f"{seen['complete']} of {seen['streams']} streams were complete")
        return spent / seen["complete"] * 1e6

    def check(self, caller: Caller, answer: Answer, words: int, mark: str) -> None:
        """One request must be answered rightly before anything is measured."""
        model = answers.name(answer.wire, words)
        dialect = caller.dialect(model)
        path = self._prefix(answer, words) + dialect.path
        status, said = ask(self.port, "POST", path, caller.body(model), dialect.headers)
        word = answers.WORD.strip().encode()
        if status != 200 or said.count(word) < words or mark.encode() not in said:
            raise RuntimeError(f"answered {status}: {said[:500]!r}")

    def cost(self, caller: Caller, answer: Answer, mark: str) -> Cost:
        """Microseconds of a request and of a chunk, from the two lengths."""
        few, many = self.extent.lengths
        few_us, many_us = (self.stream_us(caller, answer, words, mark) for words in (few, many))
        return line(few, few_us, many, many_us)

    def _turns(self, answer: Answer, words: int) -> int:
        """How often each connection asks, so that a load takes about as long as it should."""
        stream_ms = len(answers.writes(answer, words)) * self.bench.plan.interval_ms
        return max(1, round(self.extent.seconds * 1000 / stream_ms))

    def _request(self, caller: Caller, answer: Answer, words: int) -> bytes:
        request = caller.request(self.port, answers.name(answer.wire, words))
        return request.replace(b"POST /", f"POST {self._prefix(answer, words)}/".encode(), 1)

    def _prefix(self, answer: Answer, words: int) -> str:
        """The first step of the path, which Parley adds itself."""
        return f"/{answers.name(answer.wire, words)}" if self.as_is else ""


def line(few: int, few_us: float, many: int, many_us: float) -> Cost:
    """The line through two lengths: its intercept and its slope."""
    chunk = (many_us - few_us) / (many - few)
    return Cost(few_us - few * chunk, chunk)


def config(upstream_port: int, lengths: tuple[int, ...]) -> str:
    """Parley's configuration: a provider and a model for each wire and length."""
    providers, models = ["providers:"], ["models:"]
    for answer in ANSWERS:
        for words in lengths:
            name = answers.name(answer.wire, words)
            entry = answer.provider | {"base_url": f"http://127.0.0.1:{upstream_port}/{name}{answer.version}"}
            providers.append(f"  {name}: {{{', '.join(f'{key}: {text!r}' for key, text in entry.items())}}}")
            models.append(f"  - {{model: {name}, targets: [{name}/model-a]}}")
    return "\n".join([*providers, *models]) + "\n"


def reachable(caller: Caller, answer: Answer) -> bool:
    """Whether there is such a road: a provider that offers responses is reached by their callers alone, unread."""
    return answer.wire != RESPONSES or caller.wire == RESPONSES


def chosen(only: list[str]) -> list[tuple[Answer, list[Caller]]]:
    """The pairs asked for as CALLER:WIRE, either empty; all for none."""
    wanted = [text.partition(":")[::2] for text in only] or [("", "")]
    found = []
    for answer in ANSWERS:
        asking = [
            caller
            for caller in CALLERS
            if reachable(caller, answer)
            and any(name in ("", caller.wire) and wire in ("", answer.wire) for name, wire in wanted)
        ]
        found += [(answer, asking)] if asking else []
    return found


# What is measured, in its order: the row, who answers it, who asks, what answers, and the mark of a good answer.
Road = tuple[str, Server, Caller, Answer, str]


def roads(nginx: Server, parley: Server, pairs: list[tuple[Answer, list[Caller]]]) -> list[Road]:
    """Every pair, those of one wire right after nginx with the same answer."""
    found: list[Road] = []
    for answer, asking in pairs:
        found.append((NGINX.name, nginx, callers.OPENAI, answer, answer.mark))
        found += [(caller.name, parley, caller, answer, caller.mark) for caller in asking]
    return found


def checked(found: list[Road], lengths: tuple[int, ...]) -> list[Road]:
    """Those that answer rightly; what fails is reported and left out."""

    def right(road: Road) -> bool:
        row, server, caller, answer, mark = road
        try:
            for words in lengths:
                server.check(caller, answer, words, mark)
        except RuntimeError as error:
            print(f"{row} to {answer.wire} left out: {error}", file=sys.stderr)
            return False
        return True

    # A long answer takes seconds of waiting.
    with ThreadPoolExecutor(16) as pool:
        return [road for road, good in zip(found, pool.map(right, found), strict=True) if good]


def one_round(found: list[Road]) -> Costs:
    """Every one once. What fails is reported and left out."""
    costs: Costs = {}
    for row, server, caller, answer, mark in found:
        try:
            cost = costs[row, answer.wire] = server.cost(caller, answer, mark)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            print(f"{row} to {answer.wire} left out: {error}", file=sys.stderr)
            continue
        print(f"{row} to {answer.wire}: {cost.request:.1f} us, {cost.chunk:.2f} us a chunk", file=sys.stderr)
    return costs


def medians(rounds: list[Costs]) -> Costs:
    found: Costs = {}
    for key in dict.fromkeys(key for costs in rounds for key in costs):
        seen = [costs[key] for costs in rounds if key in costs]
        found[key] = Cost(statistics.median(cost.request for cost in seen), statistics.median(c.chunk for c in seen))
    return found


def measured(extent: Extent, pairs: list[tuple[Answer, list[Caller]]]) -> Costs:
    """Medians over the rounds, with everything started and stopped."""
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as scratch, ExitStack() as open_:
        folder, plan, programs = Path(scratch), Plan(), ROOT / ".cache" / "bench"
        canned = answers.save(folder / "answers", extent.lengths)
        port = open_.enter_context(upstream(programs, folder, plan, canned))
        bench = Bench(programs, folder, port, plan)

        def started() -> Iterator[Server]:
            # Keys that somebody made on this machine are not asked for.
            parley = replace(PARLEY, env={**PARLEY.env, "HOME": scratch})
            for gateway, text in ((NGINX, None), (parley, config(port, extent.lengths))):
                process, at, _ = open_.enter_context(running(bench, gateway, text))
                # nginx is what everything is divided by.
                longer = replace(extent, seconds=2 * extent.seconds) if gateway is NGINX else extent
                yield Server(bench, longer, process.pid, at, as_is=gateway is NGINX)

        nginx, parley = started()
        found = checked(roads(nginx, parley, pairs), extent.lengths)
        return medians([one_round(found) for _ in range(extent.rounds)])


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Extent()
    parser.add_argument("--only", action="append", default=[], metavar="CALLER:WIRE", help="these pairs only")
    parser.add_argument("--rounds", type=int, default=default.rounds)
    parser.add_argument("--seconds", type=float, default=default.seconds, help="length of one load")
    parser.add_argument("--streams", type=int, default=default.streams, help="how many at once")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the section into FILE")
    return parser.parse_args()


def main() -> None:
    asked = options()
    if (os.cpu_count() or 1) < 2:
        sys.exit("The benchmark needs two cores: one for the gateway, one for the load.")
    os.sched_setaffinity(0, {LOAD_CORE})
    # Ended from outside, the gateways are stopped all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    extent, pairs = Extent(asked.rounds, asked.seconds, asked.streams), chosen(asked.only)
    costs = measured(extent, pairs)
    how = f"{extent.streams} streams at once, {asked.seconds:g} s a load, medians of {extent.rounds} round(s)"
    lengths = f"answers of {extent.few} and {extent.many} words"
    text = section(costs, f"{how}, {lengths}")
    print(text)
    if asked.write:
        asked.write.write_text(put(asked.write.read_text() if asked.write.exists() else "", text))
    missing = [
        f"{caller.name} to {answer.wire}"
        for answer, asking in pairs
        for caller in asking
        if over(costs, caller.name, answer.wire) is None
    ]
    if missing:
        sys.exit("Gave no numbers: " + ", ".join(missing))


if __name__ == "__main__":
    main()
