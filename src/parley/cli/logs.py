"""``parley logs``: the requests that were written down, read from the store itself."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parley.cli.exits import Code, stop
from parley.cli.options import FILE, store_option

if TYPE_CHECKING:
    from parley.store.place import Place
    from parley.store.usage import Requests

LOOK_SECONDS = 1.0
# Rows of other machines may come in later than newer ones of ours.
LATE_MS = 10_000
PAGE = 1000
WIDTHS = (24, 14, 28, 28, 6, 9, 8, 8, 12)
HEAD = ("TIME", "KEY", "MODEL", "ANSWERED BY", "STATUS", "MS", "INPUT", "OUTPUT", "COST USD", "ERROR")
FILTERS = ("key", "model", "provider", "target", "operation", "dialect")


def _filters(command: Any) -> Any:
    for name in reversed(FILTERS):
        word = "the id or the name of its key" if name == "key" else f"its {name}"
        command = click.option(f"--{name}", metavar=name.upper(), help=f"Only requests with {word}.")(command)
    return command


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with requests as they end.")
@click.option("-n", "--limit", type=click.IntRange(1), help="How many; default: 20, with --export all.")
@_filters
@click.option("--outcome", type=click.Choice(("ok", "error", "client_abort")), help="Only those that ended so.")
@click.option("--status", type=int, help="Only those answered with this status.")
@click.option("--request", "request_id", metavar="ID", help="Only those with this x-request-id.")
@click.option("--bodies", is_flag=True, help="With --request: what was said and answered, where it was kept; JSON.")
@click.option("--since", "from_", metavar="TIME", help="Only later ones: 2026-01-31, or 2h for two hours ago.")
@click.option("--until", "to", metavar="TIME", help="Only earlier ones.")
@click.option("--export", type=click.Choice(("csv", "json")), help="Everything that is known of each, oldest first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --follow one object per line.")
@store_option
@click.option("--config", type=FILE, metavar="FILE", help="Where the store is named; default: ./parley.yaml.")
def logs(  # noqa: PLR0913, PLR0917 - its options
    store: str | None,
    config: Path | None,
    follow: bool,
    limit: int | None,
    export: str | None,
    as_json: bool,
    bodies: bool,
    **words: Any,
) -> None:
    """List recent requests: who asked for what, what answered, tokens and cost. No prompts, no answers."""
    if bodies:
        if not words["request_id"]:
            raise click.UsageError("--bodies goes with --request ID.")
        _bodies(_place(store, config), words["request_id"])
        return
    if export and (follow or as_json):
        raise click.UsageError("--export goes with neither --follow nor --json.")
    place, asked = _place(store, config), _asked(words, limit or (PAGE if export else 20))
    if export:
        _export(place, asked, export, limit)
    elif follow:
        _follow(place, asked, as_json)
    else:
        _list(place, asked, as_json)


def _place(store: str | None, config: Path | None) -> "Place":
    from parley.cli.keystore import place_of, there, url_of

    place = place_of(url_of(store, config))
    if not there(place):
        message = f"there is no store at {place}, so no request was written down."
        stop(Code.FAILED, message, "A gateway makes one with `ledger: {requests: on}`.")
    return place


def _asked(words: dict[str, Any], limit: int) -> "Requests":
    from parley.ledger import asked

    names = {"from_": "from"}
    given = {names.get(name, name): str(value) for name, value in words.items() if value is not None}
    try:
        return asked.requests({**given, "limit": str(limit)}, time.time(), most=10**9)
    except (ValueError, OverflowError) as error:
        stop(Code.USAGE, f"{error}.")


def _found(place: "Place", asked: "Requests") -> list[tuple[bytes, Any]]:
    from parley.cli.keystore import linked
    from parley.store import usage

    with linked(place, writes=False) as link:
        return usage.requests(link, asked)


def _list(place: "Place", asked: "Requests", as_json: bool) -> None:
    from parley.ledger import told

    rows = [told.request(*pair) for pair in reversed(_found(place, asked))]
    if as_json:
        click.echo(told.json(rows))
        return
    if not rows:
        click.echo("No such request was written down.", err=True)
        return
    for line in (HEAD, *map(_line, rows)):
        _print(line)


def _follow(place: "Place", asked: "Requests", as_json: bool) -> None:
    from parley.ledger import told

    first = list(reversed(_found(place, asked)))
    if not as_json:
        _print(HEAD)
    _show(first, as_json, told)
    seen = {name for name, _ in first}
    newest = first[-1][0] if first else _at(time.time() * 1000)
    while True:
        time.sleep(LOOK_SECONDS)
        oldest = _at(int.from_bytes(newest[:6]) - LATE_MS)
        fresh = [pair for pair in _after(place, asked, max(oldest, _first(asked))) if pair[0] not in seen]
        _show(fresh, as_json, told)
        names = [name for name, _ in fresh]
        seen = {name for name in (*seen, *names) if name >= oldest}
        newest = max([newest, *names])


def _after(place: "Place", asked: "Requests", last: bytes) -> Iterator[tuple[bytes, Any]]:
    """All that came in behind an id."""
    from msgspec.structs import replace

    while True:
        page = _found(place, replace(asked, after=last, limit=PAGE))
        yield from page
        if len(page) < PAGE:
            return
        last = page[-1][0]


def _export(place: "Place", asked: "Requests", form: str, limit: int | None) -> None:
    """Page by page, the oldest first, so that no export is too large."""
    from parley.ledger import told

    begun, left = False, limit
    for pair in _after(place, asked, _first(asked)):
        row = told.request(*pair)
        if form == "csv":
            click.echo(told.table([row], head=not begun), nl=False)
        else:
            click.echo(("," if begun else "[") + "\n" + told.json(row).decode(), nl=False)
        begun = True
        left = None if left is None else left - 1
        if left == 0:
            break
    if form == "json":
        click.echo("\n]" if begun else "[]")


def _bodies(place: "Place", request_id: str) -> None:
    from parley.cli.keystore import linked
    from parley.ledger import told
    from parley.store import bodies

    with linked(place, writes=False) as link:
        found = bodies.fetch(link, request_id, time.time())
    click.echo(told.json([told.said(row) for row in found]))


def _show(found: list[tuple[bytes, Any]], as_json: bool, told: Any) -> None:
    for pair in found:
        row = told.request(*pair)
        if as_json:
            click.echo(told.json(row))
        else:
            _print(_line(row))


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    about = "~" if row["usage"] == "estimated" else ""
    cost = "?" if row["cost"] is None else f"{row['cost']:.6f}"
    return (
        row["time"],
        row["key_name"] or "-",
        row["model"],
        row["target"] or "-",
        str(row["status"]),
        f"{row['ms']:.1f}",
        f"{about}{row['input_tokens']}",
        f"{about}{row['output_tokens']}",
        cost,
        row["error"] or "",
    )


def _print(line: tuple[str, ...]) -> None:
    from parley.cli.answer import safe

    cells = map(safe, line)
    click.echo("  ".join(cell.ljust(width) for cell, width in zip(cells, (*WIDTHS, 0), strict=True)).rstrip())


def _first(asked: "Requests") -> bytes:
    return _at(0 if asked.since is None else asked.since * 1000)


def _at(ms: float) -> bytes:
    return max(0, int(ms)).to_bytes(6) + bytes(10)
