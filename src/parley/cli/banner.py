"""What ``parley serve`` says when it starts: lines of plain text for stderr."""

import json
import shlex
from collections.abc import Iterator

from parley import __version__
from parley.cli import listen
from parley.cli.answer import safe
from parley.cli.models import endpoints
from parley.cli.source import Found, some
from parley.config.environment import ECHO

ASK = "Say hello."


def before(found: Found) -> Iterator[str]:
    """Version, where the configuration came from, and which providers and models were found."""
    yield f"parley {__version__}"
    yield f"configuration: {found.path or 'none (there is no parley.yaml in this folder)'}"
    yield "providers:"
    width = max(map(len, found.origins), default=0)
    for name, origin in found.origins.items():
        yield safe(f"  {name:<{width}}  {origin}")
    if found.models:
        yield safe(f"models: {some([one.model for one in found.models])}")


def after(found: Found, addresses: tuple[str, ...], grpc: str = "") -> Iterator[str]:
    """Addresses, and two lines to paste that get an answer."""
    for address in addresses:
        yield f"listening on {listen.url(address)}"
    if grpc:
        yield f"listening on {grpc} for gRPC"
    base = f"{listen.url(addresses[0])}/v1"
    yield "try it:"
    yield f"  {curl(base, asked(found))}"
    yield f"  {sdk(base, asked(found))}"


def asked(found: Found) -> str:
    """The model of the examples: the first of the configuration that chats, else the built-in one."""
    return next((one.model for one in found.models if "chat" in endpoints(found.settings, one)), ECHO)


def curl(base: str, model: str) -> str:
    """A shell command that asks ``model``."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": ASK}]}, ensure_ascii=False)
    return f"curl {base}/chat/completions -H 'content-type: application/json' -d {shlex.quote(body)}"


def sdk(base: str, model: str) -> str:
    """The same with a client library that most callers have."""
    text = json.dumps(model, ensure_ascii=False)
    code = (
        f'from openai import OpenAI; print(OpenAI(base_url="{base}", api_key="none").chat.completions.create('
        f'model={text}, messages=[{{"role": "user", "content": "{ASK}"}}]).choices[0].message.content)'
    )
    return f"python -c {shlex.quote(code)}"
