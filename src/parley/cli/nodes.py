"""``parley nodes``: the network: nodes, their models, load, health."""

import json
import time
from pathlib import Path
from typing import Any

import click

from parley.cli.exits import Code, stop
from parley.cli.options import FILE, store_option

URL = "http://127.0.0.1:4242"
HEAD = ("NODE", "PROJECT", "MODEL", "TYPE", "IN FLIGHT", "LATENCY", "HEALTH", "SINCE")


@click.command()
@click.option("--url", help=f"The running gateway; default: {URL}, with --config the first address it listens on.")
@click.option("--stored", is_flag=True, help="What is registered, from the store: no gateway is asked.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@store_option
@click.option("--config", type=FILE, metavar="FILE", help="Where addresses and the store are named.")
def nodes(url: str | None, stored: bool, as_json: bool, store: str | None, config: Path | None) -> None:
    """List nodes and their models, with load and health, as a running gateway knows them."""
    found = _stored(store, config) if stored or store is not None else _asked(url or _url_of(config))
    if as_json:
        click.echo(json.dumps({"nodes": found}, indent=2))
        return
    rows = [row for node in found for row in _rows(node)]
    if not any(node["models"] for node in found):
        click.echo("no model is registered at any node.", err=True)
    widths = [max(len(row[place]) for row in (HEAD, *rows)) for place in range(len(HEAD))]
    for row in (HEAD, *rows):
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _rows(node: dict[str, Any]) -> list[tuple[str, ...]]:
    """A line for each model; one for a node that has none."""
    name = node["node"] + (" (this one)" if node.get("self") else "")
    if not node["models"]:
        return [(name, "-", "-", "-", "-", _milliseconds(node.get("latency")), "-", _day(node.get("since")))]
    made: list[tuple[str, ...]] = []
    for model in node["models"]:
        label = model["model"] + (f" ({model['cid']})" if model["cid"] else "")
        health = {True: "ok", False: "away", None: "unknown"}[model["ok"]]
        load = "-" if model["in_flight"] is None else str(model["in_flight"])
        since = _day(model.get("since", node.get("since")))
        pace = _milliseconds(model["latency"])
        made.append((name, model["project"], label, model["operation"], load, pace, health, since))
    return made


def _asked(url: str) -> list[dict[str, Any]]:
    from parley.cli.remote import ask

    reply = ask(url, "/admin/api/nodes", top=True)
    body = reply.read()
    if reply.status in (401, 403):
        stop(Code.AUTHENTICATION, "the gateway wants an admin key.", "Put one into PARLEY_API_KEY.")
    try:
        found: list[dict[str, Any]] = json.loads(body)["nodes"]
    except (ValueError, KeyError, TypeError):
        stop(Code.UPSTREAM, f"{url} answered with status {reply.status}, and not with nodes.")
    return found


def _url_of(config: Path | None) -> str:
    if config is None:
        return URL
    from parley.cli.options import Source
    from parley.cli.source import find, usable

    address = usable(find(Source(config, None, discover=False))).settings.listen[0]
    host, _, port = address.rpartition(":")
    return f"http://{'127.0.0.1' if host in ('', '0.0.0.0') else '[::1]' if host == '[::]' else host}:{port}"


def _stored(store: str | None, config: Path | None) -> list[dict[str, Any]]:
    from parley.cli.keystore import linked, place_of, there, url_of
    from parley.nodes.facts import operation_of
    from parley.store import nodes as kept

    place = place_of(url_of(store, config))
    if not there(place):
        stop(Code.FAILED, f"there is no store at {place}, so nothing is registered.")
    with linked(place, writes=False) as link:
        every = kept.every(link)
    unknown = {"in_flight": None, "latency": None, "ok": None}
    return [
        {
            "node": node,
            "models": [
                {
                    "project": entry.project,
                    "model": entry.model,
                    "cid": entry.cid,
                    "type": entry.kind,
                    "operation": operation_of(entry.kind),
                    "api": entry.api,
                    "since": entry.since,
                    **unknown,
                }
                for entry in entries
            ],
        }
        for node, entries in every.items()
    ]


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms"


def _day(since: float | None) -> str:
    return "-" if not since else time.strftime("%Y-%m-%d %H:%M", time.localtime(since))
