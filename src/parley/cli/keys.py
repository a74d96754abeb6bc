"""``parley keys``: who may call. A key is shown once, when it is made; the store keeps its digest."""

import functools
import json
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from parley.cli.exits import Code, stop
from parley.cli.keylimits import limited
from parley.cli.options import FILE, store_option

if TYPE_CHECKING:
    from parley.store.keys import Key
    from parley.store.place import Place

KINDS = ("caller", "admin", "node")
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
    made: dict[str, str] = {}
    for text in value:
        name, sign, said = text.partition("=")
        if not (name and sign):
            raise click.BadParameter(f"{text!r}: write it as K=V.", ctx, param)
        if made.setdefault(name, said) != said:
            raise click.BadParameter(f"{name!r} is given twice; a key has each tag once.", ctx, param)
    return made


def _where(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--config``, ``--store`` and ``--json``; the command gets the store's ``place``."""

    @functools.wraps(command)
    def placed(*, store: str | None, config: Path | None, **rest: Any) -> Any:
        from parley.cli.keystore import place_of, url_of

        return command(place=place_of(url_of(store, config)), **rest)

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
@limited(Span())
@_where
def create(place: "Place", as_json: bool, name: str, kind: str, expires: float | None, **policy: Any) -> None:
    """Make a key and print it, this once."""
    from parley.cli.keystore import linked
    from parley.keys import Holder, digest_of, key_text
    from parley.store import keys as stored

    now = time.time()
    until = None if expires is None else now + expires
    identity = f"key_{secrets.token_hex(8)}"
    holder = Holder(id=identity, name=_named(name), kind=cast(Any, kind), expires=until, **policy)
    key, text = stored.Key(holder=holder, created=now), key_text(holder.kind, secrets.token_bytes(32))
    with linked(place) as link:
        stored.create(link, key, digest_of(text.encode()))
    click.echo(f"Keep it: it is not shown again. {SEEN}", err=True)
    click.echo(json.dumps(_shown(key, text), ensure_ascii=False) if as_json else text)


@keys.command("list")
@_where
def list_(place: "Place", as_json: bool) -> None:
    """List all keys, without their texts."""
    from parley.cli.keystore import linked, there
    from parley.cli.models import table
    from parley.store import counters as spending
    from parley.store import keys as stored

    found: list[Key] = []
    spent: Mapping[str, int] = {}
    if there(place):
        with linked(place, writes=False) as link:
            found = stored.listed(link)
            spent = spending.spent(link, [key.holder for key in found], time.time())
    if as_json:
        click.echo(
            json.dumps([_shown(key, spent=spent.get(key.holder.id, 0)) for key in found], ensure_ascii=False, indent=2)
        )
    elif found:
        table([("NAME", "ID", "KIND", "MODELS", "STATE", "EXPIRES", "LAST USED", "TAGS"), *map(_row, found)])


@keys.command()
@click.argument("name")
@_where
def revoke(place: "Place", as_json: bool, name: str) -> None:
    """Take a key back for good. NAME may be its id, or the key itself."""
    from parley.cli.keystore import linked
    from parley.store import keys as stored

    _there(place, name)
    with linked(place) as link:
        key = stored.revoke(link, _meant(link, name), time.time())
        spent = _spent(link, key)
    click.echo(f"Revoked {key.holder.name}. {SEEN}", err=True)
    if as_json:
        click.echo(json.dumps(_shown(key, spent=spent), ensure_ascii=False))


@keys.command()
@click.argument("name")
@click.option("--grace", type=Span(), default=0.0, help="How long the old one still holds; default: not at all.")
@_where
def rotate(place: "Place", as_json: bool, name: str, grace: float) -> None:
    """Print another key in place of one. What it may do, and what it owns, stay. NAME as for revoke."""
    from parley.cli.keystore import linked
    from parley.keys import digest_of, key_text
    from parley.store import keys as stored

    _there(place, name)
    with linked(place) as link:
        found = _meant(link, name)
        text = key_text(stored.kind_of(link, found), secrets.token_bytes(32))
        now = time.time()
        key = stored.rotate(link, found, digest_of(text.encode()), now, grace)
        spent = _spent(link, key)
    old = f"The old one holds until {_time(now + grace)}." if grace else "The old one does not hold any more."
    click.echo(f"{old} Keep the new one: it is not shown again. {SEEN}", err=True)
    click.echo(json.dumps(_shown(key, text, spent), ensure_ascii=False) if as_json else text)


def _named(name: str) -> str:
    """A name that is one."""
    from parley.keys import is_key
    from parley.store.keytold import NAME_RULE, is_name

    if is_key(name):
        stop(Code.USAGE, "that is a key and not a name: it is now in the history of your shell. Revoke it.")
    if not is_name(name):
        stop(Code.USAGE, f"{NAME_RULE}.")
    return name


def _there(place: "Place", name: str) -> None:
    """A store that is not there is not made in order to find nothing in it."""
    from parley.cli.keystore import there
    from parley.keys import is_key

    if not there(place):
        said = "that key" if is_key(name) else f"a key named {name!r}"
        stop(Code.FAILED, f"there is no store at {place}, so {said} is not there.")


def _meant(link: Any, name: str) -> str:
    """A key that leaked is all that one may have of it."""
    from parley.keys import digest_of, is_key
    from parley.store import keys as stored

    return stored.holder_of(link, digest_of(name.encode())) if is_key(name) else name


def _spent(link: Any, key: "Key") -> int:
    """In picodollars."""
    from parley.store import counters

    return counters.spent(link, [key.holder], time.time()).get(key.holder.id, 0)


def _shown(key: "Key", text: str | None = None, spent: int = 0) -> dict[str, Any]:
    """For programs; ``spent`` in picodollars."""
    from parley.store.keytold import told

    return told(key, text, spent)


def _row(key: "Key") -> tuple[str, ...]:
    holder, now = key.holder, time.time()
    state = "revoked" if key.revoked is not None else "in use" if holder.lives(now) else "expired"
    tags = ",".join(f"{name}={said}" for name, said in holder.tags.items())
    models = ",".join(holder.models) or "*"
    times = tuple(_time(at) or "-" for at in (holder.expires, key.used))
    return holder.name, holder.id, holder.kind, models, state, *times, tags


def _time(seconds: float | None) -> str | None:
    from parley.store.keytold import moment

    return moment(seconds)
