"""How a command ends: the exit codes, and which failure of a request has which."""

from enum import IntEnum
from typing import NoReturn

import click


class Code(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    AUTHENTICATION = 4
    UPSTREAM = 5
    UNREACHABLE = 6
    INTERRUPTED = 130


_CODES = {
    "unauthorized": Code.AUTHENTICATION,
    "forbidden": Code.AUTHENTICATION,
    "upstream_auth": Code.AUTHENTICATION,
    "model_not_found": Code.USAGE,
    "upstream_unreachable": Code.UNREACHABLE,
    "upstream_connect_timeout": Code.UNREACHABLE,
    "upstream_tls": Code.UNREACHABLE,
    "no_upstream": Code.UPSTREAM,
    "overloaded": Code.UPSTREAM,
    "model_loading": Code.UPSTREAM,
}


def code_of(failure: str, status: int = 0) -> Code:
    """The exit code for an error's ``code``, else for its HTTP status (a provider's own error, passed on)."""
    from parley.failure import KINDS

    if failure in _CODES:
        return _CODES[failure]
    if failure in KINDS:
        return Code.UPSTREAM if KINDS[failure].blame == "upstream" or failure == "upstream_rejected" else Code.FAILED
    return Code.AUTHENTICATION if status in (401, 403) else Code.UPSTREAM


def stop(code: Code, message: str, fix: str = "") -> NoReturn:
    """Say on stderr what went wrong and what to do about it, and end with ``code``."""
    click.echo(click.style("Error: ", fg="red") + message, err=True)
    if fix:
        click.echo(fix, err=True)
    raise click.exceptions.Exit(code)
