"""URLs of brokers: what they name, which options each kind has, and where its server is taken from. Pure.

Source: messaging contract sections 3 and 8.9.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

Role: TypeAlias = Literal["requests", "responses", "dead_letter"]
CONNECTION: Final = "connection"
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_PROJECT: Final = re.compile(r"(?:projects/)?([^/]+)/(?:(subscriptions|topics)/)?([^/]+)")
_UNPLAIN: Final = re.compile(r"[.*>\s/\\]")
_KIND_OF: Final = {"requests": "subscriptions"}


class BrokerKind(Struct, frozen=True, kw_only=True):
    """Brokers of one scheme. ``module`` is what speaks to them, ``needs`` the package that it imports, of ``extra``.

    ``variables`` name its server in the environment, the first that is set; ``usual`` is where it is looked for without
    any ("" where one of them is needed, but for what is ``optional``). ``requests`` and ``sent`` are the
    options of URLs to read from (None: there are none) and to send to, ``times`` those of them that are durations,
    ``counts`` those that are whole numbers from 1 on, ``plain`` names without dots and wildcards, ``choices`` one of
    these words. ``servers`` are the schemes that its server's address may have (none: it has no scheme).
    """

    scheme: str = ""
    title: str
    module: str
    needs: str = ""
    extra: str = ""
    variables: tuple[str, ...] = ()
    usual: str = ""
    optional: bool = False
    requests: tuple[str, ...] | None = None
    sent: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    choices: Mapping[str, tuple[str, ...]] = {}
    servers: tuple[str, ...] = ()
    example: str = ""

    def options(self, role: Role) -> tuple[str, ...] | None:
        """What a URL of that role may carry; None: there is no such role."""
        return self.requests if role == "requests" else self.sent


# The names of the table's rows, for whoever needs no more.
SCHEMES: Final = ("nats", "rabbit", "redis", "kafka", "awssqs", "awssns", "gcppubsub", "azuresb", "mem")


@cache
def kinds() -> dict[str, BrokerKind]:
    """Every kind of broker by its scheme."""
    text = (files("parley.streams") / "brokers.toml").read_bytes()
    rows = msgspec.toml.decode(text, type=dict[str, BrokerKind])
    return {scheme: replace(row, scheme=scheme) for scheme, row in rows.items()}


class Address(Struct, frozen=True, kw_only=True):
    """What a URL names. ``name`` is the queue, subject, topic or group; ``options`` are as written; ``server`` is the
    broker's own address, which may hold a password, "" for what its client takes from the environment."""

    scheme: str
    name: str
    options: Mapping[str, tuple[str, ...]] = {}
    server: str = ""
    role: Role = "requests"

    def option(self, name: str, usual: str = "") -> str:
        """The last value given."""
        return self.options.get(name, (usual,))[-1]

    def seconds(self, name: str, usual: float) -> float:
        """A duration."""
        given = self.option(name)
        return seconds(given) if given else usual

    def flag(self, name: str) -> bool:
        """Whether an option is there and does not say no."""
        return name in self.options and self.option(name).lower() not in ("false", "0", "no")

    @property
    def once(self) -> bool:
        """Whether what is lost on the way is lost for good: a subject without a stream behind it."""
        return self.scheme == "nats" and not self.option("jetstream")


class UnfitAddressError(ValueError):
    """A URL that cannot be used; ``hint`` is the way out."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def seconds(text: str) -> float:
    """A duration such as 30s or 500ms; a number alone is seconds. Raises ValueError."""
    found = _DURATION.fullmatch(text.strip())
    if found is None or float(found[1]) == 0:
        raise ValueError(f"{text!r} is no duration such as 30s or 500ms")
    return float(found[1]) * _SECONDS[found[2] or "s"]


def address_of(url: str, role: Role, connections: Mapping[str, str], env: Mapping[str, str]) -> Address:
    """What the URL means. Raises UnfitAddressError."""
    scheme, sign, _ = url.partition("://")
    kind = kinds().get(scheme)
    if not sign or kind is None:
        raise UnfitAddressError(_unknown(scheme if sign else ""), f"known: {', '.join(f'{one}://' for one in kinds())}")
    if kind.options(role) is None:
        raise UnfitAddressError(f"{kind.title} cannot be read from", "subscribe a queue to the topic, and read that")
    options = _given(url, kind, role)
    if scheme == "nats" and role == "requests" and not options.get("jetstream"):
        lost = sorted({"durable", "ack_wait", "create"} & set(options))
        if lost:
            raise UnfitAddressError(f"{lost[0]} means nothing without jetstream", "add jetstream=STREAM")
    named = options.pop(CONNECTION, ("",))[-1]
    server = _server(kind, named, connections, env)
    name = _name(url, kind, role, options)
    if scheme == "nats":
        _fit_subject(name, role)
    return Address(scheme=scheme, name=name, options=options, server=server, role=role)


def label_of(url: str) -> str:
    """The URL as it may be shown: without its options, and without anything that could be a password."""
    return url.partition("?")[0].rpartition("@")[2] if "@" in url else url.partition("?")[0]


def heard_by_all(url: str) -> bool:
    """Whether each of several who read there gets every message: a plain subject without a queue group."""
    if not url.startswith("nats://"):
        return False
    options = dict(parse_qsl(urlsplit(url).query))
    return not (options.get("jetstream") or options.get("queue"))


def _unknown(scheme: str) -> str:
    return f'unknown scheme "{scheme}"' if scheme else "expected the URL of a broker's queue or topic"


def _given(url: str, kind: BrokerKind, role: Role) -> dict[str, tuple[str, ...]]:
    options: dict[str, tuple[str, ...]] = {}
    for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        options[name] = (*options.get(name, ()), value)
    known = (*(kind.options(role) or ()), CONNECTION)
    for name in options:
        if name not in known:
            raise UnfitAddressError(f'{kind.title} has no option "{name}" here', f"known: {', '.join(known)}")
    for name, given in options.items():
        _fit(name, given[-1], kind)
    return options


def _fit(name: str, given: str, kind: BrokerKind) -> None:
    """Whether an option has a value that it can have."""
    if name in kind.times:
        try:
            seconds(given)
        except ValueError as error:
            raise UnfitAddressError(f"{name}: {error}", "write a duration such as 30s") from None
    if name in kind.counts and not (given.isascii() and given.isdigit() and int(given)):
        raise UnfitAddressError(f"{name}: {given!r} is no whole number from 1 on")
    if name in kind.choices and given not in kind.choices[name]:
        raise UnfitAddressError(f"{name}: there is no {given!r}", f"known: {', '.join(kind.choices[name])}")
    if name in kind.plain and (not given or _UNPLAIN.search(given)):
        raise UnfitAddressError(f"{name}: {given!r} is no name", "without dots, spaces, slashes and wildcards")


def _fit_subject(name: str, role: Role) -> None:
    words = name.split(".")
    if not all(words) or any(char.isspace() for char in name):
        raise UnfitAddressError(f"{name!r} is no subject", "words with dots between them, and no spaces")
    if role != "requests" and ("*" in words or ">" in words):
        raise UnfitAddressError(f"nothing can be sent to {name!r}", "name one subject, without wildcards")


def _reachable(server: str, named: str, kind: BrokerKind) -> None:
    """Whether the address of a server is one of this kind. It may hold a password: only its scheme is told."""
    for address in server.split(","):
        scheme, sign, rest = address.strip().partition("://")
        if not sign and kind.scheme == "nats":
            # Its client knows HOST:PORT.
            continue
        if kind.servers and (scheme not in kind.servers or not rest):
            wanted = " or ".join(f"{one}://" for one in kind.servers)
            found = f"{scheme}://" if sign else "no scheme"
            where = f'connection "{named}"' if named else "the server's address"
            message = f"{where} is no address of {kind.title}: it has {found}"
            raise UnfitAddressError(message, f"it begins with {wanted}")


def _server(kind: BrokerKind, named: str, connections: Mapping[str, str], env: Mapping[str, str]) -> str:
    if named:
        if named not in connections:
            known = ", ".join(connections) or "none"
            raise UnfitAddressError(f'there is no connection "{named}"', f"add it under connections: (there: {known})")
        _reachable(connections[named], named, kind)
        return connections[named]
    found = next((env[name] for name in kind.variables if env.get(name, "").strip()), "") or kind.usual
    if not found and kind.variables and not kind.optional:
        said = " or ".join(kind.variables)
        raise UnfitAddressError(
            f"{kind.title} needs to know its server: {said} is not set",
            f"set {kind.variables[0]}, or name it under connections: and add ?{CONNECTION}=NAME",
        )
    if found:
        _reachable(found, "", kind)
    return found


def _name(url: str, kind: BrokerKind, role: Role, options: Mapping[str, tuple[str, ...]]) -> str:
    rest = unquote(url.partition("://")[2].partition("?")[0])
    name = rest.strip("/") if kind.scheme in ("gcppubsub", "awssqs", "awssns") else rest.rstrip("/")
    if kind.scheme == "gcppubsub":
        return _of_project(name, kind, role)
    missing = not name and not (kind.scheme == "rabbit" and options.get("routing_key"))
    if missing or (kind.scheme == "awssqs" and name.count("/") < 2):
        raise UnfitAddressError("the URL names nothing", f"write {kind.example}")
    if role == "requests" and kind.scheme == "kafka" and not options.get("topic"):
        raise UnfitAddressError("the URL names a group, and no topic", f"write {kind.example}")
    if role == "requests" and kind.scheme == "azuresb" and not options.get("subscription"):
        raise UnfitAddressError("the URL names a topic, and no subscription", f"write {kind.example}")
    if kind.scheme == "awssns" and not name.startswith("arn:"):
        raise UnfitAddressError("expected the ARN of a topic behind three slashes", f"write {kind.example}")
    return name


def _of_project(name: str, kind: BrokerKind, role: Role) -> str:
    """The full name of a subscription or topic."""
    found = _PROJECT.fullmatch(name)
    wanted = _KIND_OF.get(role, "topics")
    if found is None or found[2] not in (None, wanted):
        raise UnfitAddressError(f"expected a project and one of its {wanted}", f"write {kind.example}")
    return f"projects/{found[1]}/{wanted}/{found[3]}"
