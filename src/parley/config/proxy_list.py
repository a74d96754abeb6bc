"""The ``config.yaml`` of a proxy with a ``model_list``, written as a configuration of ours, for ``parley import``.

What is not carried over is told: nothing is left out in silence.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from parley import vendors

Note = tuple[str, str]
_STRATEGIES: Final = {
    "simple-shuffle": "weighted",
    "least-busy": "least_busy",
    "latency-based-routing": "fastest",
}
_REQUEST: Final = (
    "temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop", "presence_penalty",
    "frequency_penalty", "reasoning_effort",
)  # fmt: skip
_KNOWN: Final = frozenset(
    {"model", "api_key", "api_base", "base_url", "timeout", "weight", "max_retries", "organization", "extra_headers",
     "max_parallel_requests", *_REQUEST}
)  # fmt: skip


_ROUTER: Final = frozenset({"routing_strategy", "num_retries", "timeout", "fallbacks", "model_group_alias"})
_SETTINGS: Final = frozenset(
    {"drop_params", "num_retries", "request_timeout", "timeout", "fallbacks", "cache", "cache_params"}
)


@cache
def words() -> Mapping[str, Mapping[str, str]]:
    """The tables of proxy_list.toml."""
    return tomllib.loads(Path(__file__).with_name("proxy_list.toml").read_text(encoding="utf-8"))


class Config:
    """One file. ``notes`` are where and why something could not be carried over."""

    def __init__(self, name: str, value: Mapping[str, Any]) -> None:
        self.file = name
        self.notes: list[Note] = []
        self.providers: dict[str, dict[str, Any]] = {}
        self.entries: list[dict[str, Any]] = []
        self.rest: dict[str, Any] = {}
        self._router = _mapping(value.get("router_settings"))
        self._settings = _mapping(value.get(_name("settings")))
        self._general = _mapping(value.get("general_settings"))
        self._groups(value.get("model_list"))
        self._routing()
        self._whole(value)

    def _groups(self, listed: Any) -> None:
        """Entries of one name are targets of one model."""
        models: dict[str, list[Mapping[str, Any]]] = {}
        for place, one in enumerate(listed if isinstance(listed, list) else ()):
            name = one.get("model_name") if isinstance(one, dict) else None
            if not isinstance(name, str) or not isinstance(one.get(_name("params")), dict):
                self._note(f"model_list[{place}]", f"left out: it has no model_name or no {_name('params')}")
            elif "*" in name:
                self._note(name, "left out: patterns; provider/model can be asked for as it is")
            else:
                models.setdefault(name, []).append(one)
        for name, several in models.items():
            self._entry(name, several)

    def _entry(self, name: str, several: list[Mapping[str, Any]]) -> None:
        targets = [made for one in several if (made := self._weighed(name, one[_name("params")])) is not None]
        if not targets:
            return
        entry: dict[str, Any] = {"model": name, "targets": targets}
        if len(targets) > 1:
            entry["strategy"] = self._strategy(name)
        defaults: dict[str, Any] = {}
        for one in several:
            params = one[_name("params")]
            defaults |= {key: params[key] for key in _REQUEST if params.get(key) is not None}
        if defaults:
            entry["defaults"] = defaults
        tries = several[0][_name("params")].get("max_retries", self._first("num_retries"))
        if _is_number(tries):
            entry["retries"] = {"attempts": int(tries) + 1}
        self.entries.append(entry)

    def _weighed(self, name: str, params: Mapping[str, Any]) -> Any:
        target = self._target(name, params)
        if target is None:
            return None
        signed = set(words()["aws"]) if "aws" in self.providers[target.partition("/")[0]] else set()
        for key in sorted(set(params) - _KNOWN - signed):
            self._note(name, f"{_name('params')}.{key} is not carried over")
        weight = params.get("weight")
        return {"to": target, "weight": weight} if isinstance(weight, int) and weight > 0 else target

    def _strategy(self, name: str) -> str:
        strategy = str(self._router.get("routing_strategy", "simple-shuffle"))
        if strategy not in _STRATEGIES:
            self._note(name, f"routing_strategy {strategy} is round_robin here")
        return _STRATEGIES.get(strategy, "round_robin")

    def _first(self, name: str) -> Any:
        return self._router.get(name, self._settings.get(name))

    def _target(self, name: str, params: Mapping[str, Any]) -> str | None:
        model = params.get("model")
        if not isinstance(model, str) or not model:
            self._note(name, "left out: it names no model")
            return None
        prefix, slash, rest = model.partition("/")
        vendor = words()["prefixes"].get(prefix, prefix) if slash else ""
        if vendor not in vendors.vendors():
            if slash and "api_base" not in params and "base_url" not in params:
                self._note(name, f"left out: the provider {prefix} is not known")
                return None
            rest = model
            vendor = next(kind for start, kind in words()["beginnings"].items() if model.startswith(start))
        return f"{self._provider(vendor, params)}/{rest}"

    def _provider(self, vendor: str, params: Mapping[str, Any]) -> str:
        made = self._described(vendor, params)
        for name, known in self.providers.items():
            if known == made:
                return name
        name, count = vendor, 1
        while name in self.providers:
            count += 1
            name = f"{vendor}-{count}"
        self.providers[name] = made
        return name

    def _described(self, vendor: str, params: Mapping[str, Any]) -> dict[str, Any]:
        headers = dict(_mapping(params.get("extra_headers")))
        headers |= {header: params[name] for name, header in words()["headers"].items() if params.get(name)}
        seconds = params.get("timeout", self._first("timeout") or self._settings.get("request_timeout"))
        base = params.get("api_base") or params.get("base_url")
        made = {
            "type": vendor,
            "api_key": params.get("api_key"),
            "base_url": str(base).rstrip("/") if base else None,
            "headers": headers,
            "timeouts": {"total": seconds} if _is_number(seconds) and seconds > 0 else None,
            "max_concurrency": params.get("max_parallel_requests"),
            "aws": self._signed(vendor, params),
        }
        return {name: value for name, value in made.items() if value}

    def _signed(self, vendor: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """What calls are signed with, where they are."""
        wires = vendors.vendors()[vendor].wires.values()
        if all("{AWS_REGION}" not in wire.base for wire in wires):
            return {}
        return {ours: str(params[theirs]) for theirs, ours in words()["aws"].items() if params.get(theirs)}

    def _routing(self) -> None:
        """Fallbacks and other names."""
        by_name = {entry["model"]: entry for entry in self.entries}
        listed = self._first("fallbacks")
        for one in listed if isinstance(listed, list) else ():
            for name, others in _mapping(one).items():
                self._fall_back(by_name, str(name), others if isinstance(others, list) else [])
        for name, given in _mapping(self._router.get("model_group_alias")).items():
            meant = given.get("model") if isinstance(given, dict) else given
            if meant in by_name and name not in by_name:
                self.entries.append({"model": str(name), "alias": meant})
            else:
                self._note(str(name), f"left out: an alias of {meant}")

    def _fall_back(self, by_name: Mapping[str, dict[str, Any]], name: str, others: list[Any]) -> None:
        entry = by_name.get(name)
        known = [by_name[one]["targets"] for one in others if one in by_name]
        if entry is None or len(known) != len(others):
            self._note(name, f"fallbacks to {', '.join(map(str, others))}: a model of them is not in model_list")
        if entry is None:
            return
        if entry.pop("strategy", "fallback") != "fallback":
            self._note(name, "its targets are tried in order now, that the fallbacks come last")
        plain = [one["to"] if isinstance(one, dict) else one for one in entry["targets"]]
        more = [one["to"] if isinstance(one, dict) else one for targets in known for one in targets]
        entry["targets"] = list(dict.fromkeys([*plain, *more]))

    def _whole(self, value: Mapping[str, Any]) -> None:
        """What is for everything."""
        for entry in self.entries if self._settings.get("drop_params") else ():
            if "alias" not in entry:
                entry["unknown_fields"] = "drop"
        if self._general.get("master_key"):
            self.rest["auth"] = {"required": True, "admin_key": self._general["master_key"]}
        if self._settings.get("cache") is True:
            self._cache()
        read = {"router_settings": _ROUTER, _name("settings"): _SETTINGS, "general_settings": frozenset({"master_key"})}
        for section, names in read.items():
            for name in sorted(set(_mapping(value.get(section))) - names):
                self._note(section, f"{name} is not carried over")
        for name in sorted(set(value) - {*read, "model_list"}):
            self._note(name, "is not carried over")

    def _cache(self) -> None:
        params = _mapping(self._settings.get("cache_params"))
        ttl = params.get("ttl")
        self.rest["cache"] = {"responses": "memory", **({"ttl": ttl} if isinstance(ttl, (int, float)) else {})}
        if params.get("type", "local") != "local":
            self._note("cache_params", f"{params['type']}: kept in memory; cache.responses takes redis://HOST:PORT/0")

    def _note(self, where: str, text: str) -> None:
        found = (f"{self.file}: {where}", text)
        if found not in self.notes:
            self.notes.append(found)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _name(what: str) -> str:
    return words()["names"][what]
