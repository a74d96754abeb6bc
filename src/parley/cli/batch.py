"""``parley batch``: a file of requests answered line by line, and how far batches are."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parley.cli.exits import Code, stop
from parley.cli.options import FILE, Source, source_options, store_option

if TYPE_CHECKING:
    from parley.store.batches import Batch

SHOWN = 20
HEAD = ("BATCH", "STATUS", "DONE", "FAILED", "TOTAL", "ENDPOINT")
WIDTHS = (40, 12, 10, 10, 10)


@click.group()
def batch() -> None:
    """Many requests from a file, each a line: {"custom_id", "method": "POST", "url", "body"}."""


@batch.command()
@click.argument("input_file", metavar="IN.jsonl", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("output_file", metavar="OUT.jsonl", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--url", metavar="URL", help="Ask the gateway running there instead of answering in this process.")
@click.option("--parallel", type=click.IntRange(1, 10_000), help="Lines asked at a time; default: the configuration's.")
@click.option("--attempts", type=click.IntRange(1, 1000), help="Tries of a line in all; default: the configuration's.")
@click.option("--retry-failed", is_flag=True, help="Ask again what an earlier run gave up.")
@click.option("--json", "as_json", is_flag=True, hidden=True, help="The summary is JSON in any case.")
@store_option
@source_options
def run(
    input_file: Path,
    output_file: Path,
    source: Source,
    as_json: bool,
    store: str | None,
    **wishes: Any,
) -> None:
    """Answer every line of IN.jsonl into OUT.jsonl, and print a summary.

    Lines that fail for good go to OUT.failed.jsonl. Run it again after an interruption: what is answered already is not
    asked again. PARLEY_API_KEY is sent as the key to the gateway at --url.
    """
    from parley.cli.batch_run import Wishes, execute

    execute(input_file, output_file, source._replace(store=store), Wishes(**wishes))


@batch.command()
@click.argument("which", metavar="[BATCH_ID | OUT.jsonl]", required=False)
@click.option("--url", metavar="URL", help="Ask the gateway running there instead of the store.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@store_option
@click.option("--config", type=FILE, metavar="FILE", help="Where the store is named; default: ./parley.yaml.")
def status(which: str | None, url: str | None, as_json: bool, store: str | None, config: Path | None) -> None:
    """How far batches of the API are, or what OUT.jsonl holds of a run so far."""
    if which is not None and not which.startswith("batch_"):
        _of_file(Path(which), as_json)
        return
    found = _remote(url, which) if url is not None else _stored(which, store, config)
    _show(found, as_json, one=which is not None)


def _of_file(path: Path, as_json: bool) -> None:
    import json

    from parley.batches.journal import ForeignError, Journal, failed_path
    from parley.batches.seen import Seen

    done, failed, seen = Journal(path), Journal(failed_path(path)), Seen()
    if not path.exists() and not failed.path.exists():
        stop(Code.USAGE, f"there is no {path}, and no batch of that name: ids begin with batch_.")
    try:
        done.read(seen, mend=False)
        failed.read(seen, mend=False)
    except (ForeignError, OSError) as error:
        stop(Code.FAILED, f"{error}.")
    if as_json:
        spent = {"input_tokens": done.spent.input, "output_tokens": done.spent.output}
        click.echo(json.dumps({"completed": done.count, "failed": failed.count, **spent}))
    else:
        click.echo(f"{path}: {done.count} done, {failed.count} failed")


def _stored(which: str | None, store: str | None, config: Path | None) -> list[dict[str, Any]]:
    import msgspec

    from parley.cli.keystore import linked, place_of, there, url_of
    from parley.store import batches

    place = place_of(url_of(store, config))
    if not there(place):
        stop(Code.FAILED, f"there is no store at {place}, so no batch was made.")
    with linked(place, writes=False) as link:
        found: list[Batch] = batches.newest(link, SHOWN) if which is None else [batches.any_owner(link, which)]
    return [msgspec.json.decode(msgspec.json.encode(one.told())) for one in found]


def _remote(url: str, which: str | None) -> list[dict[str, Any]]:
    import json
    from urllib.parse import quote

    from parley.cli.answer import refuse
    from parley.cli.remote import ask

    reply = ask(url, f"/batches?limit={SHOWN}" if which is None else f"/batches/{quote(which, safe='')}")
    body = reply.read()
    try:
        found = json.loads(body)
    except ValueError:
        found = {}
    if reply.status != 200:
        refuse(found if isinstance(found, dict) else {}, reply.status, body)
    data = found.get("data") if which is None else [found]
    return data if isinstance(data, list) else []


def _show(found: list[dict[str, Any]], as_json: bool, *, one: bool) -> None:
    import json

    from parley.cli.answer import safe

    if as_json:
        click.echo(json.dumps(found[0] if one else found))
        return
    if not found:
        click.echo("There is no batch.", err=True)
        return
    _line(HEAD)
    for each in found:
        counts = each.get("request_counts") or {}
        numbers = (str(counts.get(name, 0)) for name in ("completed", "failed", "total"))
        _line(tuple(map(safe, (each["id"], each["status"], *numbers, each["endpoint"]))))
        for fault in ((each.get("errors") or {}).get("data") or ()) if one else ():
            where = f"line {fault['line']}: " if fault.get("line") else ""
            click.echo(safe(f"  {where}{fault.get('message')} ({fault.get('code')})"))


def _line(cells: tuple[str, ...]) -> None:
    click.echo("  ".join(cell.ljust(width) for cell, width in zip(cells, (*WIDTHS, 0), strict=True)).rstrip())
