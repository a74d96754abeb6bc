"""``parley check``: every problem of a configuration, and on request whether its providers are there."""

import json
from typing import TYPE_CHECKING, Any

import click

from parley.cli.exits import Code
from parley.cli.options import Source, source_argument, source_options, store_option

if TYPE_CHECKING:
    from parley.cli.probe import Probe
    from parley.cli.source import Found


@click.command()
@source_argument
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the file, for editors, and do nothing else.")
@click.option("--live", is_flag=True, help="Also ask every target's provider whether it is there.")
@store_option
@source_options
def check(source: Source, as_json: bool, schema: bool, live: bool, store: str | None) -> None:
    """Check CONFIG without serving it.

    Every problem is printed with file, line and column, the line itself, and the way out: those that stop the start,
    those for which an included file is left out, and files that a model needs and that are not there.
    Ends with 2 where there is any; with --live, 6 where a provider cannot be reached, 4 where it refuses the key.
    """
    from parley.cli.source import find

    if schema:
        _schema()
        return
    found = find(source._replace(store=store))
    probes = _probe(found) if live and not found.told else []
    if as_json:
        click.echo(json.dumps(report(found, probes), ensure_ascii=False, indent=2))
    else:
        _say(found, probes)
    raise click.exceptions.Exit(_code(found, probes))


def report(found: "Found", probes: list["Probe"]) -> dict[str, Any]:
    """Everything that was found, as plain data. Source lines are left out: file, line and column lead to them."""
    return {
        "file": str(found.path) if found.path else None,
        "ok": _code(found, probes) == Code.OK,
        "problems": [_problem(one) for one in found.problems],
        "rejected": [_problem(one) for one in found.rejected],
        "absent": [_problem(one) for one in found.absent],
        "warned": [_problem(one) for one in found.warned],
        "providers": [_answer(one) for one in probes],
    }


def _schema() -> None:
    from parley.config import schema

    click.echo(json.dumps(schema(), ensure_ascii=False, indent=2))


def _probe(found: "Found") -> list["Probe"]:
    from parley.cli.probe import probe

    settings = found.settings
    used = {target.provider for one in settings.registrations.values() for target in one.targets}
    asked = used if found.path else set(settings.providers)
    here = ("echo", "local")
    return probe(one for name, one in settings.providers.items() if name in asked and one.transport not in here)


def _code(found: "Found", probes: list["Probe"]) -> Code:
    from parley.cli.probe import worst

    return Code.USAGE if found.told else worst(probes)


def _say(found: "Found", probes: list["Probe"]) -> None:
    from parley.cli.probe import words
    from parley.cli.source import render

    for problem in (*found.told, *found.warned):
        click.echo(render(problem) + "\n")
    for one in probes:
        click.echo(f"{one.provider}  {one.endpoint}  {words(one)}")
    name = found.path or "no configuration file"
    count = len(found.told)
    if count:
        click.echo(f"{name}: {count} problem{'s' if count > 1 else ''}", err=True)
    else:
        click.echo(f"{name}: no problems, {_counts(found)}", err=True)


def _counts(found: "Found") -> str:
    providers = sum(one.transport != "local" for one in found.settings.providers.values())
    models = len(found.settings.registrations)
    return f"{providers} provider{'s' * (providers != 1)}, {models} registration{'s' * (models != 1)}"


def _problem(problem: Any) -> dict[str, Any]:
    from msgspec import to_builtins

    data: dict[str, Any] = to_builtins(problem)
    return data


def _answer(one: "Probe") -> dict[str, Any]:
    return {**_problem(one), "reachable": one.status is not None}
