"""What the pairs cost -> a section of Markdown: ratios to nginx, the numbers to reach."""

import statistics
from typing import NamedTuple

from answers import ANSWERS
from callers import CALLERS
from gateways import NGINX, compiled
from report import machine, number, verdict

REQUEST_GOAL, CHUNK_GOAL = 10.0, 3.0


class Cost(NamedTuple):
    """Microseconds of the gateway's CPU: of a request apart from its chunks, and of each chunk."""

    request: float
    chunk: float


# (caller's name or nginx, provider's wire) -> cost.
Costs = dict[tuple[str, str], Cost]


def base(costs: Costs) -> Cost | None:
    """What nginx costs: medians over the wires, whose chunks are of nearly one size to it; None without any."""
    seen = [cost for (row, _), cost in costs.items() if row == NGINX.name]
    if not seen:
        return None
    return Cost(statistics.median(cost.request for cost in seen), statistics.median(cost.chunk for cost in seen))


def over(costs: Costs, caller: str, wire: str) -> Cost | None:
    """A pair's cost as multiples of nginx's; None where one of them is not there."""
    pair, nginx = costs.get((caller, wire)), base(costs)
    if pair is None or nginx is None or min(nginx) <= 0:
        return None
    return Cost(pair.request / nginx.request, pair.chunk / nginx.chunk)


def goals(costs: Costs) -> str:
    """The dearest pair of each kind, and whether it is cheap enough."""
    found = {
        f"{caller.name} -> {answer.wire}": ratio
        for answer in ANSWERS
        for caller in CALLERS
        if (ratio := over(costs, caller.name, answer.wire)) is not None
    }
    lines = ["| number | wanted | worst pair | measured | within | |", "| --- | ---: | --- | ---: | ---: | --- |"]
    for title, index, wanted in (("request", 0, REQUEST_GOAL), ("chunk", 1, CHUNK_GOAL)):
        worst = max(found, key=lambda pair: found[pair][index], default=None)
        seen = None if worst is None else found[worst][index]
        within = sum(ratio[index] <= wanted for ratio in found.values())
        cells = (f"CPU per {title}, x nginx", f"<= {wanted:g}", worst or "-", number(seen, 2))
        lines.append(f"| {' | '.join(cells)} | {within} of {len(found)} | {verdict('<=', seen, wanted)} |")
    return "\n".join(lines)


def table(costs: Costs, index: int) -> str:
    """One row for each provider's wire: nginx with its answers in microseconds, each caller as a multiple of nginx's
    median."""
    titles = ["to", "nginx us", *(caller.name for caller in CALLERS)]
    lines = [f"| {' | '.join(titles)} |", "| --- |" + " ---: |" * (len(titles) - 1)]
    for answer in ANSWERS:
        nginx = costs.get((NGINX.name, answer.wire))
        if nginx is None:
            continue
        ratios = (over(costs, caller.name, answer.wire) for caller in CALLERS)
        cells = [number(None if ratio is None else ratio[index], 2) for ratio in ratios]
        unread = [caller.wire == answer.wire for caller in CALLERS]
        cells = [f"*{cell}*" if as_is and cell != "-" else cell for cell, as_is in zip(cells, unread, strict=True)]
        lines.append(f"| {answer.wire} | {number(nginx[index], 1)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def section(costs: Costs, how: str) -> str:
    """The whole section. ``costs`` are medians over the rounds, ``how`` says how they were measured."""
    parts = [
        "## Every pair of dialect and provider",
        "Written by `make bench BENCH=pairs WRITE=1`. A streamed chat of 2 KB; nginx forwards the same answers, and "
        "ratios are to its median over all rows. Rows: the provider's wire. Columns: the caller's dialect. Between "
        "asterisks: passed on as it is. No number: no such road (a provider that offers Responses is reached by it "
        "from callers of Responses alone).",
        f"Machine: {machine()}. {how[:1].upper()}{how[1:]}. "
        f"Parley's data path: {'compiled' if compiled() else 'plain Python'}.",
        goals(costs),
        "### CPU per request, x nginx",
        table(costs, 0),
        "### CPU per chunk, x nginx",
        table(costs, 1),
    ]
    return "\n\n".join(parts)
