"""``parley import``: configurations of other programs, as one of ours."""

import json
from pathlib import Path

import click

from parley.cli.exits import Code
from parley.cli.options import FILE


@click.command(name="import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, which is YAML as well.")
def import_(files: tuple[Path, ...], as_json: bool) -> None:
    """Print a configuration made of LocalAI model files, Dapr component files or LiteLLM's config.yaml.

    What could not be carried over is told on stderr. Paths in the output are as seen from the current folder: save it
    here. Ends with 2 where a file could not be read.
    """
    from parley.cli.source import render
    from parley.config.imported import imported, written
    from parley.config.pieces import read_text
    from parley.config.problem import Problem

    texts = [(str(path), read_text(path, str(path))) for path in files]
    made = imported((name, text) for name, text in texts if isinstance(text, str))
    problems = [*(text for _, text in texts if isinstance(text, Problem)), *made.problems]
    for problem in problems:
        click.echo(render(problem, err=True), err=True)
    for note in made.notes:
        click.echo(f"{note.where}: {note.text}", err=True)
    if made.config["models"] or not problems:
        text = json.dumps(made.config, ensure_ascii=False, indent=2, default=str) + "\n"
        click.echo(text if as_json else _head(files) + written(made.config), nl=False)
    raise click.exceptions.Exit(Code.USAGE if problems else Code.OK)


def _head(files: tuple[Path, ...]) -> str:
    names = ", ".join(path.name for path in files)
    return f"# Made by parley import of {names}\n".encode("ascii", "backslashreplace").decode()
