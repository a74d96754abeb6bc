"""``parley publish`` and ``parley consume``: trying a stream by hand."""

import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import click

from parley.cli.exits import Code, stop
from parley.cli.options import Source, source_options

if TYPE_CHECKING:
    from parley.streams.port import Received

T = TypeVar("T")


@click.command()
@click.argument("url")
@click.argument("messages", nargs=-1)
@click.option("--attribute", "attributes", multiple=True, metavar="NAME=VALUE", help="An attribute of each message.")
@source_options
def publish(source: Source, url: str, messages: tuple[str, ...], attributes: tuple[str, ...]) -> None:
    """Send MESSAGES to the topic URL; without any, each line of standard input is one.

    URL is as in the configuration's responses: what a stream's requests are read from, as a place to send to. Ends
    with 0 once the broker has confirmed all of them.
    """
    from parley.streams.address import label_of

    pairs = dict(_pair(text) for text in attributes)
    lines = messages or tuple(line.rstrip("\r\n") for line in sys.stdin if line.strip())
    count = _run(_publish(url, lines, pairs, _connections(source)))
    click.echo(f"{label_of(url)}: {count} message{'s' * (count != 1)} sent", err=True)


@click.command()
@click.argument("url")
@click.option("--count", "-n", default=0, metavar="N", help="End after N messages; without it, when interrupted.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: id, attributes, body.")
@source_options
def consume(source: Source, url: str, count: int, as_json: bool) -> None:
    """Print the messages of the queue or subscription URL, one a line, and take them from it.

    URL is as in the configuration's requests.
    """
    from parley.serve.streams import taken

    def show(message: "Received") -> None:
        click.echo(_line(message) if as_json else message.body.decode("utf-8", "replace"))
        sys.stdout.flush()

    _run(taken(url, _connections(source), count, show))


def _line(message: "Received") -> str:
    from msgspec import DecodeError, json

    try:
        body = json.decode(message.body)
    except (DecodeError, UnicodeError):
        body = message.body.decode("utf-8", "replace")
    told = {"id": message.id, "attributes": dict(message.attributes), "body": body}
    return json.encode(told).decode()


async def _publish(url: str, lines: tuple[str, ...], attributes: dict[str, str], connections: Any) -> int:
    from parley.serve.streams import opened_topic

    topic = await opened_topic(url, "responses", connections)
    try:
        for line in lines:
            await topic.send(line.encode(), attributes)
    finally:
        await topic.close()
    return len(lines)


def _connections(source: Source) -> Any:
    """Broker addresses by name, where there is a configuration."""
    from parley.cli.source import find, usable

    return usable(find(source._replace(discover=False))).settings.connections


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise click.UsageError(f"--attribute {text}: expected NAME=VALUE.")
    return name, value


def _run(doing: Coroutine[Any, Any, T]) -> T:
    import asyncio

    from parley.streams.address import UnfitAddressError
    from parley.streams.port import BrokerError

    try:
        return asyncio.run(doing)
    except UnfitAddressError as error:
        stop(Code.USAGE, f"{error}.", f"{error.hint}." if error.hint else "")
    except BrokerError as error:
        denied = Code.AUTHENTICATION if error.denied else Code.UNREACHABLE
        stop(Code.USAGE if error.fatal else denied, f"{error}.")
