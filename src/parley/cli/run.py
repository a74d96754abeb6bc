"""``parley run``: one answer of one model."""

import json
import sys
from typing import TYPE_CHECKING

import click

from parley.cli.exits import Code, stop
from parley.cli.options import Source, source_options

if TYPE_CHECKING:
    from parley.settings import Settings

PATH = "/v1/chat/completions"
HERE = (None, "-")


@click.command()
@click.argument("model")
@click.argument("prompt", required=False)
@click.option("--system", metavar="TEXT", help="Instructions that go before the prompt.")
@click.option("--url", metavar="URL", help="Ask the gateway running there instead of answering in this process.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer object, once it is complete.")
@source_options
def run(model: str, prompt: str | None, system: str | None, url: str | None, as_json: bool, source: Source) -> None:
    """Ask MODEL once and print its answer as it comes.

    PROMPT is read from stdin where it is missing or "-". MODEL is a name that the configuration gives,
    PROVIDER/MODEL, or a GGUF file to run on this machine; "echo" is always there. PARLEY_API_KEY is sent as the key
    to the gateway at --url.
    """
    body = request(model, prompt if prompt not in HERE else _stdin(), system, stream=not as_json)
    if url is not None:
        _remote(url, body, as_json)
    else:
        _in_process(source, model, body, as_json)


def request(model: str, prompt: str | None, system: str | None, *, stream: bool) -> bytes:
    """The request's JSON: one user message, after the system message where one is given."""
    messages = [{"role": "system", "content": system}] if system is not None else []
    messages.append({"role": "user", "content": prompt or ""})
    text = json.dumps({"model": model, "messages": messages, "stream": stream}, ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        stop(Code.USAGE, "model, prompt and --system must be UTF-8 text.")


def _remote(url: str, body: bytes, as_json: bool) -> None:
    from parley.cli.answer import listener
    from parley.cli.remote import ask

    reply = ask(url, PATH.removeprefix("/v1"), body)
    answer = listener(reply.status, reply.content_type, as_json)
    for data in reply:
        answer.feed(data)
    answer.close()


def _in_process(source: Source, model: str, body: bytes, as_json: bool) -> None:
    import asyncio

    from parley.cli.source import settings_for
    from parley.cli.weights import is_weights, settings_of

    settings = settings_of(model) if is_weights(model) else settings_for(source, model)
    asyncio.run(_ask(settings, body, as_json))


async def _ask(settings: "Settings", body: bytes, as_json: bool) -> None:
    from parley.cli.answer import listener
    from parley.cli.weights import tell
    from parley.serve.inprocess import ask

    reply = await ask(settings, PATH.encode(), body, tell)
    kind = next((value for name, value in reply.headers if name.lower() == b"content-type"), b"")
    answer = listener(reply.status, kind.decode("latin-1"), as_json)
    async for data in reply.chunks:
        answer.feed(data)
    answer.close()


def _stdin() -> str:
    if sys.stdin is None or sys.stdin.closed:
        stop(Code.USAGE, "there is no prompt and no stdin to read one from.")
    if sys.stdin.isatty():
        click.echo("Type the prompt and end it with Ctrl-D.", err=True)
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        stop(Code.USAGE, "the prompt on stdin is not UTF-8 text.")
    if not text:
        stop(Code.USAGE, "there is no prompt.", 'Give one: parley run MODEL "PROMPT", or on stdin.')
    # The line end that echo and editors put there is not part of the prompt.
    return text.removesuffix("\n").removesuffix("\r")
