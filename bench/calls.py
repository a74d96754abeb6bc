"""Where one request's time goes inside Parley: calls and microseconds per request, under cProfile.

.venv/bin/python bench/calls.py [openai|anthropic] [--seconds N] [--rows N]     after scripts/bench has compiled

The profiler makes every call dearer than it is: read the counts and the order, not the sums.
"""

import argparse
import dataclasses
import os
import pstats
import signal
import tempfile
from pathlib import Path

import workload
from gateways import PARLEY, ROOT
from measure import Bench, Plan, check_answer, running
from run import upstream

DIALECTS = {dialect.name: dialect for dialect in (workload.OPENAI, workload.ANTHROPIC)}


def recorded(bench: Bench, dialect: workload.Dialect, seconds: int) -> tuple[pstats.Stats, float]:
    """The profile of a run, and how many requests it answered."""
    output = bench.folder / "profile"
    command = (f"{ROOT}/.venv/bin/python", "-m", "cProfile", "-o", str(output), "-m", "parley", *PARLEY.command[1:])
    with running(bench, dataclasses.replace(PARLEY, command=command), None) as (process, port, _):
        check_answer(port, dialect)
        file = bench.file("request.json", workload.body(dialect, workload.SMALL))
        seen = workload.load(dialect, port, file, 16, seconds)
        os.kill(process.pid, signal.SIGTERM)
        process.wait(30)
    return pstats.Stats(str(output)), seen["requests"]


def table(stats: pstats.Stats, requests: float, rows: int) -> str:
    """Functions by their own time; what ran less than once in two requests is start-up."""
    found = [
        (own / requests * 1e6, calls / requests, place)
        for place, (calls, _, own, _, _) in stats.stats.items()  # type: ignore[attr-defined]
        if calls > requests / 2
    ]
    found.sort(reverse=True)
    lines = [f"{sum(calls for _, calls, _ in found):.0f} calls per request, {requests:.0f} requests"]
    for own, calls, (file, line, name) in found[:rows]:
        lines.append(f"{own:7.2f} us {calls:6.1f} x  {'/'.join(Path(file).parts[-2:])}:{line} {name}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dialect", nargs="?", choices=DIALECTS, default="openai")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rows", type=int, default=60)
    asked = parser.parse_args()
    os.sched_setaffinity(0, {workload.LOAD_CORE})
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as scratch:
        folder, plan, programs = Path(scratch), Plan(), ROOT / ".cache" / "bench"
        with upstream(programs, folder, plan) as port:
            stats, requests = recorded(Bench(programs, folder, port, plan), DIALECTS[asked.dialect], asked.seconds)
    print(table(stats, requests, asked.rows))


if __name__ == "__main__":
    main()
