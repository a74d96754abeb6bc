"""Configs that callers keep for a service, beside their requests. Functions over an open link.

Each owner sees its own. Of a service's configs at most one is the default. Source: predict contract section 2.
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from parley.failure import Failure, ParleyError
from parley.store.port import Link

MOST: Final = 1000
_ALL: Final = (
    "SELECT id, name, usual, config FROM predict_configs "
    "WHERE owner = :owner AND account = :account AND service = :service ORDER BY id"
)
_ONE: Final = (
    "SELECT id, name, usual, config FROM predict_configs "
    "WHERE owner = :owner AND account = :account AND service = :service AND id = :id"
)
_USUAL: Final = (
    "SELECT config FROM predict_configs WHERE owner = :owner AND account = :account AND service = :service AND usual"
)
_COUNT: Final = (
    "SELECT count(*) AS n FROM predict_configs WHERE owner = :owner AND account = :account AND service = :service"
)
_NEW: Final = (
    "INSERT INTO predict_configs (id, owner, account, service, name, usual, config) "
    "VALUES (:id, :owner, :account, :service, :name, :usual, :config)"
)
_CHANGE: Final = (
    "UPDATE predict_configs SET name = :name, usual = :usual, config = :config "
    "WHERE owner = :owner AND account = :account AND service = :service AND id = :id"
)
_UNSET: Final = (
    "UPDATE predict_configs SET usual = :usual WHERE owner = :owner AND account = :account AND service = :service"
)
_REMOVE: Final = (
    "DELETE FROM predict_configs WHERE owner = :owner AND account = :account AND service = :service AND id = :id"
)


class Service(Struct, frozen=True):
    """Whose configs, and for which service."""

    owner: str
    account: str
    service: str


class Written(Struct, frozen=True):
    """A config as it is written; ``default`` None leaves that as it is. ``config`` is JSON text."""

    config: str
    name: str | None = None
    default: bool | None = None


class Config(Struct, frozen=True):
    """A config as it is kept."""

    id: int
    name: str | None
    default: bool
    config: str


def create(link: Link, service: Service, written: Written) -> Config:
    """A new one. Refused where there are too many."""
    number = _turn(link) + 1
    count = link.one(_COUNT, **_named(service)).n
    if count >= MOST:
        raise _fault(f"a service has at most {MOST} configs", 400)
    link.run("UPDATE predict_config_count SET number = :number", number=number)
    default = bool(written.default)
    if default:
        _unset(link, service)
    link.run(
        _NEW,
        id=number,
        name=written.name,
        usual=default,
        config=written.config,
        **_named(service),
    )
    return Config(number, written.name, default, written.config)


def change(link: Link, service: Service, id: int, written: Written) -> Config:
    """Another text under the same id; what is not said stays as it was."""
    _turn(link)
    before = fetch(link, service, id)
    name = before.name if written.name is None else written.name
    default = before.default if written.default is None else written.default
    if default and not before.default:
        _unset(link, service)
    link.run(
        _CHANGE,
        id=id,
        name=name,
        usual=default,
        config=written.config,
        **_named(service),
    )
    return Config(id, name, default, written.config)


def fetch(link: Link, service: Service, id: int) -> Config:
    """One of them."""
    row = link.one(_ONE, id=id, **_named(service))
    if row is None:
        raise _fault(f"there is no config {id} of this service", 404)
    return _config(row)


def listed(link: Link, service: Service) -> list[Config]:
    """All of a service, the oldest first."""
    return [_config(row) for row in link.rows(_ALL, **_named(service))]


def remove(link: Link, service: Service, id: int) -> None:
    """One less."""
    if not link.run(_REMOVE, id=id, **_named(service)):
        raise _fault(f"there is no config {id} of this service", 404)


def layers(link: Link, service: Service, id: int | None) -> Sequence[str]:
    """The texts that a call builds on: the default, then the one it names. Refused where there is no such one."""
    usual = link.one(_USUAL, **_named(service))
    found = [] if usual is None else [usual.config]
    if id is not None:
        row = link.one(_ONE, id=id, **_named(service))
        if row is None:
            raise _fault(f"there is no config {id} of this service", 400)
        found.append(row.config)
    return found


def _turn(link: Link) -> int:
    """The number of configs ever made. Nobody else writes until this is done."""
    link.run("UPDATE predict_config_count SET number = number")
    return int(link.one("SELECT number FROM predict_config_count").number)


def _unset(link: Link, service: Service) -> None:
    link.run(_UNSET, usual=False, **_named(service))


def _named(service: Service) -> dict[str, Any]:
    return {"owner": service.owner, "account": service.account, "service": service.service}


def _config(row: Any) -> Config:
    return Config(int(row.id), row.name, bool(row.usual), row.config)


def _fault(message: str, status: int) -> ParleyError:
    return ParleyError(Failure("invalid_request", message, status=status, param="configId"))
