"""``parley serve``: find the settings, refuse what would be unsafe, and hand over to the server."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parley.cli.exits import Code, stop
from parley.cli.listen import Address, refuse_public
from parley.cli.options import Source, components_option, source_argument, source_options, store_option

if TYPE_CHECKING:
    from parley.cli.again import Again
    from parley.cli.source import Found
    from parley.settings import Settings

MOST_WORKERS = 256


@click.command()
@source_argument
@click.option("--listen", multiple=True, type=Address(), help="Where to serve; repeatable. Default: 127.0.0.1:4242.")
@click.option("--public", is_flag=True, help="Allow addresses that other machines can reach.")
@click.option("--workers", type=click.IntRange(1, MOST_WORKERS), default=1, help="Processes that serve. Default: 1.")
@store_option
@click.option("--recover", is_flag=True, help="Save what can be read of a damaged store file, then serve.")
@click.option("--grpc", type=Address(), help="Where to serve gRPC. Default: 127.0.0.1:50001 for Dapr components.")
@components_option
@source_options
def serve(  # noqa: PLR0913 - its options
    *,
    source: Source,
    listen: tuple[str, ...],
    grpc: str | None,
    components: tuple[Path, ...],
    public: bool,
    workers: int,
    store: str | None,
    recover: bool,
) -> None:
    """Serve until stopped.

    CONFIG is ./parley.yaml if there is one. Without any, the provider keys of the environment, the model
    servers on this machine and the built-in model "echo" are served.
    """
    from functools import partial

    from parley.cli import banner
    from parley.cli.keystore import sound
    from parley.cli.source import find, usable

    _as_worker()
    if grpc is not None:
        _need_grpc()
    source = source._replace(components=components)
    env, begun = dict(os.environ), time.time()
    found = usable(find(source))
    settled = partial(_settled, listen=listen, grpc=grpc, public=public, store=store)
    settings = settled(found.settings)
    sound(settings.store, recover=recover)
    if _unasked(settings):
        refuse_public((*settings.listen, *((settings.grpc,) if settings.grpc else ())))
    if workers > 1:
        _refuse_engines(settings)
    _say(banner.before(found))
    from parley.cli.again import Again

    again = Again(source, found, env, partial(_still, settled=settled, running=settings), begun)
    raise click.exceptions.Exit(_until_stopped(found, settings, again, workers))


def _as_worker() -> None:
    """Serve and end, where this process was started as one of several: all it must know comes from the first."""
    from parley.serve.worker import VARIABLE, work

    given = os.environ.pop(VARIABLE, None)
    if given is None:
        return
    from parley.nodes.joining import DuplicateError

    try:
        code = work(given)
    except DuplicateError as error:
        # The first one ends with us: see parley.serve.workers.
        stop(Code.USAGE, f"{error}.")
    raise click.exceptions.Exit(code)


def _need_grpc() -> None:
    from parley.config.edge import INSTALL_GRPC, NO_GRPC, grpc_installed

    if not grpc_installed():
        stop(Code.USAGE, f"{NO_GRPC}.", f"{INSTALL_GRPC} brings them.")


def _refuse_engines(settings: "Settings") -> None:
    from parley.serve.workers import unshared

    problem = unshared(settings)
    if problem is not None:
        stop(Code.USAGE, f"{problem.message}.", f"{problem.hint[0].upper()}{problem.hint[1:]}.")


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


def _settled(
    settings: "Settings", listen: tuple[str, ...], grpc: str | None, public: bool, store: str | None
) -> "Settings":
    """What the options say stands above the file."""
    from msgspec.structs import replace

    addresses = tuple(dict.fromkeys(listen)) or settings.listen
    store = store or settings.store
    grpc = grpc or settings.grpc
    return replace(settings, listen=addresses, grpc=grpc, public=public or settings.public, store=store)


def _until_stopped(found: "Found", settings: "Settings", again: "Again", workers: int) -> int:
    from parley.cli import banner
    from parley.nodes.joining import DuplicateError

    def ready() -> None:
        _say(banner.after(found, settings.listen, settings.grpc))

    try:
        if workers > 1:
            from parley.serve.workers import supervise

            return supervise(settings, workers, ready=ready, again=again)
        from parley.serve.server import serve

        return serve(settings, ready=ready, again=again)
    except DuplicateError as error:
        stop(Code.USAGE, f"{error}.")
    except OSError as error:
        calls = bool(settings.grpc) and error.filename == settings.grpc
        where, option = (f"{settings.grpc} for gRPC", "--grpc") if calls else (", ".join(settings.listen), "--listen")
        stop(Code.FAILED, f"cannot listen on {where}: {error.strerror or error}.", f"{option} HOST:PORT takes another.")


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line, err=True)
