"""``parley models``: what can be asked for, per endpoint, and which target answers."""

import json
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from parley.cli.exits import Code, stop
from parley.cli.options import Source, source_options, store_option

if TYPE_CHECKING:
    from parley.cli.source import Found
    from parley.settings import Registration, Settings


class Row(NamedTuple):
    """One thing to ask for. ``model`` PROVIDER/* stands for every model that provider has; ``engine`` is the file of
    weights where a model of this machine answers; ``capabilities`` of each target are those that are known."""

    endpoint: str
    model: str
    strategy: str
    targets: tuple[str, ...]
    weights: tuple[int, ...]
    engine: str | None = None
    capabilities: tuple[dict[str, bool], ...] = ()


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.option("--url", metavar="URL", help="Ask the gateway running there instead of reading the configuration.")
@store_option
@source_options
def models(source: Source, as_json: bool, url: str | None, store: str | None) -> None:
    """List what can be asked for, and what answers it."""
    if url is not None:
        _remote(url, as_json)
        return
    from parley.cli.source import find, usable

    found = usable(find(source._replace(store=store)))
    listed = list(rows(found))
    if as_json:
        click.echo(json.dumps([row._asdict() for row in listed], ensure_ascii=False, indent=2))
        return
    table([("MODEL", "ANSWERED BY", "ENDPOINTS"), *_grouped(listed)])


def rows(found: "Found") -> Iterator[Row]:
    """Registrations first, in the order of the configuration; then what each provider offers by itself."""
    settings, configured = found.settings, found.models
    built_in = [one for one in settings.registrations.values() if one not in configured]
    for registration in (*configured, *built_in):
        names, weights = zip(*((target.name, target.weight) for target in registration.targets), strict=True)
        for endpoint in endpoints(settings, registration):
            yield Row(
                endpoint,
                registration.model,
                registration.strategy,
                names,
                weights,
                _engine(settings, registration),
                tuple(_known(settings, target.provider) for target in registration.targets),
            )
    for name, provider in settings.providers.items():
        if provider.transport not in ("echo", "local"):
            for endpoint, model in product(_served(provider.paths), found.offered.get(name, ("*",))):
                called = f"{name}/{model}"
                yield Row(endpoint, called, "fallback", (called,), (1,), None, (_known(settings, name),))


def _grouped(listed: Iterable[Row]) -> Iterator[tuple[str, str, str]]:
    """Lines for people: one for all endpoints of a model that the same targets answer."""
    from parley.operations import OPERATIONS

    lines: dict[tuple[str, str], list[str]] = {}
    for row in listed:
        lines.setdefault((row.model, _answers(row)), []).append(row.endpoint)
    for (model, answered), names in lines.items():
        yield model, answered, "all" if len(names) == len(OPERATIONS) else ", ".join(names)


def endpoints(settings: "Settings", registration: "Registration") -> tuple[str, ...]:
    """The endpoints of one registration: its own, else all that one of its targets can serve and that the model is
    not registered for by itself."""
    from parley.settings import EVERY

    if registration.endpoint != EVERY:
        return (registration.endpoint,)
    known = [settings.providers[one.provider] for one in registration.targets if one.provider in settings.providers]
    served = _served({path for provider in known for path in provider.paths})
    return tuple(one for one in served if (one, registration.model) not in settings.registrations)


def table(lines: Iterable[tuple[str, ...]]) -> None:
    """Columns as wide as their widest cell, on stdout."""
    from parley.cli.answer import safe

    cells = [tuple(map(safe, line)) for line in lines]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _served(paths: Iterable[str]) -> tuple[str, ...]:
    """The operations that can be answered, as they are or translated."""
    from parley.operations import OPERATIONS

    offered = set(paths)
    return tuple(name for name, operation in OPERATIONS.items() if not offered.isdisjoint(operation.carriers))


def _known(settings: "Settings", name: str) -> dict[str, bool]:
    """What a provider's models can, or cannot, as far as the vendor table says."""
    from parley.vendors import capabilities

    provider = settings.providers.get(name)
    return {} if provider is None else capabilities(provider)


def _engine(settings: "Settings", registration: "Registration") -> str | None:
    found = (settings.providers.get(target.provider) for target in registration.targets)
    return next((one.engine.model for one in found if one is not None and one.engine is not None), None)


def _answers(row: Row) -> str:
    if row.engine is not None:
        return f"{row.targets[0]} ({PurePath(row.engine).name})"
    if len(row.targets) == 1:
        return row.targets[0]
    if row.strategy == "weighted":
        shares = (f"{target} x{weight}" for target, weight in zip(row.targets, row.weights, strict=True))
        return f"{', '.join(shares)} (weighted)"
    between = ", then " if row.strategy == "fallback" else ", "
    return f"{between.join(row.targets)} ({row.strategy})"


def _remote(url: str, as_json: bool) -> None:
    from parley.cli.answer import refuse
    from parley.cli.remote import ask

    reply = ask(url, "/models")
    raw = reply.read()
    body = _object(raw)
    if reply.status != 200:
        refuse(body, reply.status, raw)
    listed = body.get("data")
    if not isinstance(listed, list):
        stop(Code.UPSTREAM, f"{url} answered with something that is no list of models.")
    if as_json:
        click.echo(json.dumps(listed, ensure_ascii=False, indent=2))
        return
    items = [item for item in listed if isinstance(item, dict)]
    table([("MODEL", "OWNED BY"), *((str(item.get("id")), str(item.get("owned_by") or "")) for item in items)])


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
