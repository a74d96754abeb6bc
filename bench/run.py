"""make bench: every gateway in turn on one core, rounds interleaved, medians as Markdown. Method: bench/README.md."""

import argparse
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateways import ALL, ROOT, SHORT, Gateway
from measure import Bench, Plan, Values, ask, direct, measure, until
from process import free_port, start, stop
from report import report
from sections import renewed
from workload import LOAD_CORE

SHORT_PLAN = Plan(rounds=1, seconds=1, connections=(1, 16, 64), streams=100, events=100)


@contextmanager
def upstream(programs: Path, folder: Path, plan: Plan, canned: Path | None = None) -> Iterator[int]:
    """The model server of the run, on the load's core; ``canned`` is the file of its canned streams (answers.py)."""
    port = free_port()
    command = [str(programs / "upstream"), str(port), str(plan.events), str(plan.interval_ms)]
    command += [str(canned)] if canned else []
    process = start(command, LOAD_CORE, folder / "upstream.log")
    try:
        until(process, folder / "upstream.log", lambda: ask(port, "GET", "/v1/models")[0] == 200)
        yield port
    finally:
        stop(process)


def rounds(bench: Bench, gateways: Iterable[Gateway]) -> list[Values]:
    """One dict a round. A gateway that fails in a round is reported and left out of it."""
    done: list[Values] = []
    for number in range(1, bench.plan.rounds + 1):
        print(f"round {number}: direct", file=sys.stderr)
        values = direct(bench)
        for gateway in gateways:
            print(f"round {number}: {gateway.name}", file=sys.stderr)
            try:
                values |= measure(bench, gateway)
            except (RuntimeError, OSError) as error:
                print(f"{gateway.name} left out of round {number}: {error}", file=sys.stderr)
        done.append(values)
    return done


def medians(done: list[Values]) -> Values:
    keys = dict.fromkeys(key for values in done for key in values)
    return {key: statistics.median(values[key] for values in done if key in values) for key in keys}


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="nginx and Parley only, one short round")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="these gateways only")
    parser.add_argument("--rounds", type=int, help="how many rounds (3)")
    parser.add_argument("--seconds", type=int, help="length of one load (4)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the report to FILE")
    return parser.parse_args()


def chosen(asked: argparse.Namespace) -> tuple[Plan, list[Gateway]]:
    plan = SHORT_PLAN if asked.short else Plan()
    plan = Plan(
        rounds=asked.rounds or plan.rounds,
        seconds=asked.seconds or plan.seconds,
        streams=plan.streams,
        events=plan.events,
    )
    gateways = [gateway for gateway in (SHORT if asked.short else ALL) if gateway.installed]
    return plan, [gateway for gateway in gateways if not asked.only or gateway.name in asked.only]


def main() -> None:
    asked = options()
    if (os.cpu_count() or 1) < 2:
        sys.exit("The benchmark needs two cores: one for the gateway, one for the load.")
    plan, gateways = chosen(asked)
    os.sched_setaffinity(0, {LOAD_CORE})
    # Ended from outside, the gateways are stopped all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    programs = ROOT / ".cache" / "bench"
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as scratch:
        folder = Path(scratch)
        with upstream(programs, folder, plan) as port:
            done = rounds(Bench(programs, folder, port, plan), gateways)
    text = report(medians(done), gateways, plan)
    print(text)
    if asked.write:
        asked.write.write_text(renewed(asked.write.read_text() if asked.write.exists() else "", text))
    if not any(key[0] == "Parley, verbatim" for values in done for key in values) and not asked.only:
        sys.exit("Parley gave no numbers.")


if __name__ == "__main__":
    main()
