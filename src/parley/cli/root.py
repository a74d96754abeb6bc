"""The command ``parley`` itself: which commands there are, and how each of them ends."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from parley import __version__
from parley.cli.exits import Code
from parley.cli.stdout import UnwrittenError, discard, watch

COMMANDS = {
    "serve": "parley.cli.serve:serve",
    "run": "parley.cli.run:run",
    "models": "parley.cli.models:models",
    "check": "parley.cli.check:check",
    "keys": "parley.cli.keys:keys",
    "store": "parley.cli.store:store",
    "logs": "parley.cli.logs:logs",
    "batch": "parley.cli.batch:batch",
    "nodes": "parley.cli.nodes:nodes",
    "import": "parley.cli.import_:import_",
    "publish": "parley.cli.brokers:publish",
    "consume": "parley.cli.brokers:consume",
    "openapi": "parley.cli.openapi:openapi",
}
NOT_YET = frozenset(
    ("chat", "init", "top"),
)


class Commands(click.Group):
    """The commands of COMMANDS, in that order, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names that ``--help`` shows."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; a usage error says so where it is planned but not built."""
        if cmd_name in NOT_YET:
            there = ", ".join(COMMANDS)
            raise click.UsageError(f"parley {cmd_name} is not available yet. Available: {there}.", ctx)
        if cmd_name not in COMMANDS:
            there = ", ".join(COMMANDS)
            raise click.UsageError(f"there is no command {cmd_name!r}. Available: {there}.", ctx)
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", message="parley %(version)s")
def root() -> None:
    """One gateway through which any program talks to any model."""


def main(args: Sequence[str] | None = None) -> None:
    """Run one command line and leave the process with the exit code of parley.cli.exits.Code."""
    watch()
    sys.exit(outcome(args))


def outcome(args: Sequence[str] | None = None) -> int:
    """The exit code of one command line; its errors are told on stderr."""
    color = False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None
    try:
        code = root.main(args, prog_name="parley", standalone_mode=False, color=color)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return Code.INTERRUPTED
    except UnwrittenError as error:
        discard()
        click.echo(f"Error: cannot write to stdout: {error}.", err=True)
        return Code.FAILED
    except BrokenPipeError:
        # The reader of our output has left (`parley run ... | head -1`): nothing to say, and nowhere to say it.
        discard()
        return Code.FAILED
    return code if isinstance(code, int) else Code.OK
