"""``parley keys``: who may call. A key is shown once, when it is made; the store keeps its digest."""

import functools
import json
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from parley.cli.exits import Code, stop
from parley.cli.options import FILE, store_option

if TYPE_CHECKING:
    from parley.store.keys import Key

MAX_NAME = 128
KINDS = ("caller", "admin", "node")
# What the store has a place for and nothing watches over yet.
UNENFORCED = ("rpm", "tpm", "parallel", "budget", "budget_period")
SEEN = "Gateways that serve with this store know within two seconds."


class Listed(click.ParamType[tuple[str, ...]]):
    """A,B,...; each part is looked at by ``check``, which raises ValueError."""

    name = "A,B,..."

    def __init__(self, check: Callable[[str], Any] = lambda part: None) -> None:
        self._check = check

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """The parts, without spaces around them."""
        if isinstance(value, tuple):
            return value
        parts = tuple(part.strip() for part in value.split(","))
        if not all(parts):
            self.fail(f"{value!r}: an empty part; write A,B without a comma at an end.", param, ctx)
        for part in parts:
            try:
                self._check(part)
            except ValueError as error:
                self.fail(f"{error}.", param, ctx)
        return parts


class Span(click.ParamType[float]):
    """A duration such as 90d."""

    name = "DURATION"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        from parley.config.amounts import duration

        if value in (0.0, "0"):
            return 0.0
        try:
            return duration(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}.", param, ctx)


def _network(part: str) -> None:
    from ipaddress import ip_network

    ip_network(part)


def _dialect(part: str) -> None:
    from parley.wire.inlets import DIALECTS

    if part not in DIALECTS:
        raise ValueError(f"there is no dialect {part!r}; there is: {', '.join(DIALECTS)}")


def _tags(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in value]
    if wrong := [name for name, sign, _ in pairs if not (name and sign)]:
        raise click.BadParameter(f"{wrong[0]!r}: write it as K=V.", ctx, param)
    return {name: said for name, _, said in pairs}


def _unenforced(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """A limit that nobody watches over is worse than none."""
    if value is not None:
        stop(Code.USAGE, f"{param.opts[0]} is not enforced yet: no key was made. Leave it out.")


def _limits(command: Callable[..., Any]) -> Callable[..., Any]:
    kinds: dict[str, Any] = {"budget": float, "budget_period": str}
    for name in reversed(UNENFORCED):
        option = f"--{name.replace('_', '-')}"
        words = "Not enforced yet: refused."
        add = click.option(option, type=kinds.get(name, int), expose_value=False, callback=_unenforced, help=words)
        command = add(command)
    return command


def _where(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--config``, ``--store`` and ``--json``; the command gets the store's ``path`` and whether its ``folder`` may
    be made."""

    @functools.wraps(command)
    def placed(*, store: str | None, config: Path | None, **rest: Any) -> Any:
        from parley.cli.keystore import path_of, url_of

        url = url_of(store, config)
        return command(path=path_of(url), folder=url is None, **rest)

    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        store_option,
        click.option("--config", type=FILE, metavar="FILE", help="Where the store is named; default: ./parley.yaml."),
    ):
        placed = option(placed)
    return placed


@click.group()
def keys() -> None:
    """Keys of callers, admins and nodes.

    As soon as there is one, every request needs one. A key is printed when it is made, and never again.
    """


@keys.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="caller", help="What it is for; default: caller.")
@click.option("--models", type=Listed(), default=(), help="Patterns of models it may ask for; default: every model.")
@click.option("--dialects", type=Listed(_dialect), default=(), help="Dialects it may speak; default: all.")
@click.option("--sources", type=Listed(_network), default=(), help="Networks it may come from; default: anywhere.")
@click.option("--expires", type=Span(), help="How long it holds, such as 90d; default: until it is revoked.")
@click.option("--tag", "tags", multiple=True, metavar="K=V", callback=_tags, help="A word about it; repeatable.")
@_limits
@_where
def create(path: Path, folder: bool, as_json: bool, name: str, kind: str, expires: float | None, **policy: Any) -> None:
    """Make a key and print it, this once."""
    from parley.cli.keystore import linked
    from parley.keys import Holder, digest_of, key_text
    from parley.store import keys as stored

    now = time.time()
    until = None if expires is None else now + expires
    identity = f"key_{secrets.token_hex(8)}"
    holder = Holder(id=identity, name=_named(name), kind=cast(Any, kind), expires=until, **policy)
    key, text = stored.Key(holder=holder, created=now), key_text(holder.kind, secrets.token_bytes(32))
    with linked(path, folder=folder) as link:
        stored.create(link, key, digest_of(text.encode()))
    click.echo(f"Keep it: it is not shown again. {SEEN}", err=True)
    click.echo(json.dumps(_shown(key, text), ensure_ascii=False) if as_json else text)


@keys.command("list")
@_where
def list_(path: Path, folder: bool, as_json: bool) -> None:
    """List all keys, without their texts."""
    from parley.cli.keystore import linked
    from parley.cli.models import table
    from parley.store import keys as stored

    found: list[Key] = []
    if path.exists():
        with linked(path, folder=folder, writes=False) as link:
            found = stored.listed(link)
    if as_json:
        click.echo(json.dumps([_shown(key) for key in found], ensure_ascii=False, indent=2))
    elif found:
        table([("NAME", "ID", "KIND", "MODELS", "STATE", "EXPIRES", "LAST USED", "TAGS"), *map(_row, found)])


@keys.command()
@click.argument("name")
@_where
def revoke(path: Path, folder: bool, as_json: bool, name: str) -> None:
    """Take a key back for good. NAME may be its id, or the key itself."""
    from parley.cli.keystore import linked
    from parley.store import keys as stored

    _there(path, name)
    with linked(path, folder=folder) as link:
        key = stored.revoke(link, _meant(link, name), time.time())
    click.echo(f"Revoked {key.holder.name}. {SEEN}", err=True)
    if as_json:
        click.echo(json.dumps(_shown(key), ensure_ascii=False))


@keys.command()
@click.argument("name")
@click.option("--grace", type=Span(), default=0.0, help="How long the old one still holds; default: not at all.")
@_where
def rotate(path: Path, folder: bool, as_json: bool, name: str, grace: float) -> None:
    """Print another key in place of one. What it may do, and what it owns, stay. NAME as for revoke."""
    from parley.cli.keystore import linked
    from parley.keys import digest_of, key_text
    from parley.store import keys as stored

    _there(path, name)
    with linked(path, folder=folder) as link:
        found = _meant(link, name)
        text = key_text(stored.kind_of(link, found), secrets.token_bytes(32))
        now = time.time()
        key = stored.rotate(link, found, digest_of(text.encode()), now, grace)
    old = f"The old one holds until {_time(now + grace)}." if grace else "The old one does not hold any more."
    click.echo(f"{old} Keep the new one: it is not shown again. {SEEN}", err=True)
    click.echo(json.dumps(_shown(key, text), ensure_ascii=False) if as_json else text)


def _named(name: str) -> str:
    """A name that is one."""
    from parley.keys import is_key

    if is_key(name):
        stop(Code.USAGE, "that is a key and not a name: it is now in the history of your shell. Revoke it.")
    if not (0 < len(name) <= MAX_NAME and name.isprintable() and name == name.strip()):
        stop(Code.USAGE, f"a name has 1 to {MAX_NAME} visible characters and no space around them.")
    return name


def _there(path: Path, name: str) -> None:
    """A store that is not there is not made in order to find nothing in it."""
    from parley.keys import is_key

    if not path.exists():
        said = "that key" if is_key(name) else f"a key named {name!r}"
        stop(Code.FAILED, f"there is no store at {path}, so {said} is not there.")


def _meant(link: Any, name: str) -> str:
    """A key that leaked is all that one may have of it."""
    from parley.keys import digest_of, is_key
    from parley.store import keys as stored

    return stored.holder_of(link, digest_of(name.encode())) if is_key(name) else name


def _shown(key: "Key", text: str | None = None) -> dict[str, Any]:
    """For programs. Times are ISO 8601, null where there is none; ``spent`` in USD."""
    holder = key.holder
    made: dict[str, Any] = {"id": holder.id, "name": holder.name, "kind": holder.kind}
    if text is not None:
        made["key"] = text
    return {
        **made,
        "models": list(holder.models),
        "dialects": list(holder.dialects),
        "sources": list(holder.sources),
        "tags": dict(holder.tags),
        **{name: key.limits.get(name) for name in UNENFORCED},
        "spent": 0.0,
        "created": _time(key.created),
        "expires": _time(holder.expires),
        "revoked": _time(key.revoked),
        "last_used": _time(key.used),
    }


def _row(key: "Key") -> tuple[str, ...]:
    holder, now = key.holder, time.time()
    state = "revoked" if key.revoked is not None else "in use" if holder.lives(now) else "expired"
    tags = ",".join(f"{name}={said}" for name, said in holder.tags.items())
    models = ",".join(holder.models) or "*"
    times = tuple(_time(at) or "-" for at in (holder.expires, key.used))
    return holder.name, holder.id, holder.kind, models, state, *times, tags


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
