"""Providers that need no file: keys and addresses in the environment, and the built-in echo."""

from collections.abc import Container, Iterable, Mapping

from msgspec import Struct

from parley import vendors
from parley.config.address import base_url
from parley.config.problem import Problem
from parley.operations import OPERATIONS
from parley.settings import Provider, Quirks, Registration, Target
from parley.vendors import Vendor, VendorWire

ECHO = "echo"
# Not offered by echo, so that whoever tries them tries the way they go to any provider that only chats.
_TRANSLATED = ("completions", "responses")


class Discovered(Struct, frozen=True):
    """A model server found on this machine and the models it serves."""

    provider: Provider
    models: tuple[str, ...]


def echo() -> Provider:
    """The built-in provider that needs no account. Its address is never connected to."""
    return Provider(
        name=ECHO,
        type=ECHO,
        wire="openai_chat",
        endpoints=("http://echo.invalid/v1",),
        paths={name: operation.path for name, operation in OPERATIONS.items() if name not in _TRANSLATED}
        | {"models": "/models"},
        auth="none",
        transport="echo",
        quirks=Quirks(options={"count": "words"}),
    )


def echo_registration() -> Registration:
    """The model ``echo``, which always answers."""
    return Registration(model=ECHO, targets=(Target(ECHO, ECHO),))


def environment(env: Mapping[str, str]) -> tuple[Provider, ...]:
    """Providers whose key or base URL is in the environment, in the order of the vendor table."""
    return found(env)[0]


def found(env: Mapping[str, str], taken: Container[str] = ()) -> tuple[tuple[Provider, ...], list[Problem]]:
    """The same without the names ``taken`` by a file, and with what is wrong in the environment."""
    problems: list[Problem] = []
    rows = (_provider(row, env, problems) for row in vendors.vendors().values() if row.name not in taken)
    return tuple(provider for provider in rows if provider is not None), problems


def key_of(vendor: Vendor, env: Mapping[str, str]) -> str:
    """The first of the vendor's key variables that is set; "" for none."""
    return _first(vendor.keys, env)[1]


def base_of(vendor: Vendor, wire: VendorWire, env: Mapping[str, str]) -> str:
    """The vendor's address: its base-URL variable, else the row's own. Raises ValueError naming the variable."""
    name, url = _first(vendor.bases, env)
    if name:
        try:
            return base_url(url)
        except ValueError as error:
            raise ValueError(f"environment variable {name}: {error}") from None
    for variable in wire.variables:
        if not env.get(variable, "").strip():
            raise ValueError(f"{vendor.title} has no address: set base_url, {vendor.bases[0]} or {variable}")
    filled = wire.base
    for variable in wire.variables:
        filled = filled.replace(f"{{{variable}}}", env[variable].strip())
    try:
        return base_url(filled)
    except ValueError as error:
        raise ValueError(f"environment variable {', '.join(wire.variables)}: {error}") from None


def usable_key(key: str) -> bool:
    """Whether a key can stand in a header: visible ASCII only."""
    return bool(key) and all("!" <= letter <= "~" for letter in key)


def _provider(vendor: Vendor, env: Mapping[str, str], problems: list[Problem]) -> Provider | None:
    """The vendor's provider, if the environment says enough."""
    wire = vendor.choose()
    (variable, key), (base, _) = _first(vendor.keys, env), _first(vendor.bases, env)
    if wire is None or not (key or base):
        return None
    if not base and any(not env.get(name, "").strip() for name in wire.variables):
        return None
    if key and not usable_key(key):
        message = f"environment variable {variable} holds characters that cannot be sent in a header"
        problems.append(Problem("environment", 0, 0, message, "check for line breaks and quotes in it"))
        return None
    try:
        url = base_of(vendor, wire, env)
    except ValueError as error:
        problems.append(Problem("environment", 0, 0, str(error), "such as https://host/v1"))
        return None
    return vendors.provider_of(vendor, vendor.name, wire, endpoints=(url,), keys=(key,) if key else ())


def _first(names: Iterable[str], env: Mapping[str, str]) -> tuple[str, str]:
    """Name and value of the first variable that is set and not empty."""
    for name in names:
        value = env.get(name, "").strip()
        if value:
            return name, value
    return "", ""
