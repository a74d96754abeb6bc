"""``parley serve``: find the settings, refuse what would be unsafe, and hand over to the server."""

import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from parley.cli.exits import Code, stop
from parley.cli.listen import Address, refuse_public
from parley.cli.options import Source, one_worker, refused, source_argument, source_options, store_option

if TYPE_CHECKING:
    from parley.cli.again import Again
    from parley.cli.source import Found
    from parley.settings import Settings


@click.command()
@source_argument
@click.option("--listen", multiple=True, type=Address(), help="Where to serve; repeatable. Default: 127.0.0.1:4242.")
@click.option("--public", is_flag=True, help="Allow addresses that other machines can reach.")
@click.option("--workers", type=int, default=1, hidden=True, expose_value=False, callback=one_worker)
@store_option
@refused("--grpc", "--components")
@source_options
def serve(source: Source, listen: tuple[str, ...], public: bool, store: str | None) -> None:
    """Serve until stopped.

    CONFIG is ./parley.yaml if there is one. Without any, the provider keys of the environment, the model
    servers on this machine and the built-in model "echo" are served.
    """
    from functools import partial

    from parley.cli import banner
    from parley.cli.source import find, usable

    env, begun = dict(os.environ), time.time()
    found = usable(find(source))
    settled = partial(_settled, listen=listen, public=public, store=store)
    settings = settled(found.settings)
    if _unasked(settings):
        refuse_public(settings.listen)
    _say(banner.before(found))
    from parley.cli.again import Again

    again = Again(source, found, env, partial(_still, settled=settled, running=settings), begun)
    raise click.exceptions.Exit(_until_stopped(found, settings, again))


def _still(settings: "Settings", settled: "Callable[[Settings], Settings]", running: "Settings") -> "Settings":
    """The same for settings that were read later. Raises UnfitError where ``running`` would be refused with them."""
    from msgspec.structs import replace

    from parley.cli.envfile import UnfitError
    from parley.config import Problem

    made = settled(settings)
    if _unasked(replace(made, listen=running.listen, store=running.store)):
        message = f"nobody would have to show a key at {', '.join(running.listen)} any more"
        raise UnfitError(Problem("", 0, 0, message, "keep the key, or start with --public"))
    return made


def _unasked(settings: "Settings") -> bool:
    """Whether other machines could use it without a key, and nobody said that they may."""
    return not (settings.public or settings.private() or _keys_wanted(settings))


def _keys_wanted(settings: "Settings") -> bool:
    """Whether whoever comes from outside can be asked for a key that there is."""
    from parley.cli.keystore import any_key

    return settings.auth_required or bool(settings.admin_key) or any_key(settings.store)


def _settled(settings: "Settings", listen: tuple[str, ...], public: bool, store: str | None) -> "Settings":
    """What the options say stands above the file."""
    from msgspec.structs import replace

    addresses = tuple(dict.fromkeys(listen)) or settings.listen
    store = store or settings.store
    return replace(settings, listen=addresses, public=public or settings.public, store=store)


def _until_stopped(found: "Found", settings: "Settings", again: "Again") -> int:
    from parley.cli import banner
    from parley.serve.server import serve

    try:
        return serve(settings, ready=lambda: _say(banner.after(found, settings.listen)), again=again)
    except OSError as error:
        where = ", ".join(settings.listen)
        stop(Code.FAILED, f"cannot listen on {where}: {error.strerror or error}.", "--listen HOST:PORT takes another.")


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line, err=True)
