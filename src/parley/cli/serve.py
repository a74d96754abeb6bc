"""``parley serve``: find the settings, refuse what would be unsafe, and hand over to the server."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from parley.cli.exits import Code, stop
from parley.cli.listen import Address, refuse_public
from parley.cli.options import Source, one_worker, refused, source_argument, source_options

if TYPE_CHECKING:
    from parley.cli.source import Found
    from parley.settings import Settings


@click.command()
@source_argument
@click.option("--listen", multiple=True, type=Address(), help="Where to serve; repeatable. Default: 127.0.0.1:4242.")
@click.option("--public", is_flag=True, help="Allow addresses that other machines can reach.")
@click.option("--workers", type=int, default=1, hidden=True, expose_value=False, callback=one_worker)
@refused("--grpc", "--components", "--store")
@source_options
def serve(source: Source, listen: tuple[str, ...], public: bool) -> None:
    """Serve until stopped.

    CONFIG is ./parley.yaml if there is one. Without any, the provider keys of the environment, the model
    servers on this machine and the built-in model "echo" are served.
    """
    from msgspec.structs import replace

    from parley.cli import banner
    from parley.cli.source import find, usable

    found = usable(find(source))
    addresses = tuple(dict.fromkeys(listen)) or found.settings.listen
    settings = replace(found.settings, listen=addresses, public=public or found.settings.public)
    if not settings.public:
        refuse_public(settings.listen)
    _say(banner.before(found))
    raise click.exceptions.Exit(_until_stopped(found, settings))


def _until_stopped(found: "Found", settings: "Settings") -> int:
    from parley.cli import banner
    from parley.serve.server import serve

    try:
        return serve(settings, ready=lambda: _say(banner.after(found, settings.listen)))
    except OSError as error:
        where = ", ".join(settings.listen)
        stop(Code.FAILED, f"cannot listen on {where}: {error.strerror or error}.", "--listen HOST:PORT takes another.")


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line, err=True)
