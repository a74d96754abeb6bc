"""Stored configs as the gateway asks for them: what was read a moment ago is not read again.

A default that was changed by another process holds here within a second. A store that is away leaves what was known of
defaults; a call that names a config is refused then.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from parley.failure import Failure
from parley.ports import Layers
from parley.store import Store
from parley.store import predict_configs as kept
from parley.store.predict_configs import Service
from parley.wire.caila.envelope import config_members

FRESH_SECONDS: Final = 1.0
REMEMBERED: Final = 4096
_UNKNOWN: Final = Failure("invalid_request", "no configs are stored for this service", param="configId")


class Configured:
    """See parley.ports.Configs. ``now`` gives monotonic seconds."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._known: dict[tuple[Service, int | None], tuple[float, Layers]] = {}

    def find(
        self, owner: str, service: tuple[str, str], id: int | None, then: Callable[[Layers | Failure], None]
    ) -> None:
        """See parley.ports.Configs."""
        key = (Service(owner, *service), id)
        known = self._known.get(key)
        if known is not None and self._now() - known[0] < FRESH_SECONDS:
            then(known[1])
        elif self._there():
            self._store.ask_then(lambda link: kept.layers(link, *key), lambda found: self._heard(key, found, then))
        elif id is not None:
            then(_UNKNOWN)
        else:
            self._remember(key, ())
            then(())

    def forget(self, service: Service) -> None:
        """Something was written for that service."""
        for key in [key for key in self._known if key[0] == service]:
            del self._known[key]

    def _there(self) -> bool:
        try:
            return self._store.exists
        except OSError:
            return True

    def _heard(
        self,
        key: tuple[Service, int | None],
        found: Sequence[str] | Failure,
        then: Callable[[Layers | Failure], None],
    ) -> None:
        known = self._known.get(key)
        if isinstance(found, Failure):
            away = found.kind != "invalid_request" and key[1] is None
            then((known[1] if known is not None else ()) if away else found)
            return
        made: Layers = tuple(config_members(text) for text in found)
        self._remember(key, made)
        then(made)

    def _remember(self, key: tuple[Service, int | None], layers: Layers) -> None:
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[key] = (self._now(), layers)


def shown(service: Service, config: kept.Config) -> dict[str, Any]:
    """A config as it is told."""
    named = {"accountId": service.account, "modelId": service.service, "configId": config.id}
    return {"id": named, "name": config.name, "isDefault": config.default, "config": config.config}
