"""The extension object: parameters of model servers that OpenAI's API does not have, under one name.

FIELDS      every field with its kind, bounds and operations
taken       what a request and its registration ask for, checked strictly and merged
spread      what a provider understands goes into its request; the rest is named

Source: extension contract, part 3.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from parley import jsontext
from parley.extensions.fields import FIELDS, TEXT, fault_of, problem_of
from parley.failure import invalid
from parley.settings import EVERY, EXTENSIONS

__all__ = [
    "ALIAS",
    "FIELDS",
    "OWN",
    "WHOLE",
    "Taken",
    "fault_of",
    "gathered",
    "present",
    "problem_of",
    "spread",
    "taken",
]

ALIAS = "x-localai-extensions"
# What a provider on this machine offers: the whole object, as it is.
WHOLE: Mapping[str, str] = {EVERY: EXTENSIONS}
OWN: frozenset[str] = frozenset({"seed"})


class Taken(dict[str, Any]):
    """Extension values in effect by field. ``written`` tells how the caller wrote those that are the caller's."""

    written: Mapping[str, str]
    operation: str

    def __init__(self, values: Mapping[str, Any], written: Mapping[str, str], operation: str = EVERY) -> None:
        super().__init__(values)
        self.written = written
        self.operation = operation

    def without(self, names: Collection[str]) -> "Taken":
        """The values but these."""
        return Taken({name: value for name, value in self.items() if name not in names}, self.written, self.operation)


def present(members: Mapping[str, Any]) -> bool:
    """Whether a request holds an extension object. Names at top level alone do not count: they pass as they are."""
    return EXTENSIONS in members or ALIAS in members


def gathered(
    parameters: Mapping[str, Any], own: Collection[str] = OWN, operation: str = EVERY
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A registration's parameters as (extension values, all others): objects under either name and fields beside them,
    but those that the caller's dialect has itself (``own``). The object wins over a field beside it."""
    held: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for name, value in parameters.items():
        field = FIELDS.get(name)
        if name in (EXTENSIONS, ALIAS):
            continue
        is_ours = field is not None and field.top and field.fits(operation) and name not in own
        (held if is_ours else rest)[name] = value
    for alias in (ALIAS, EXTENSIONS):
        held = _over(held, parameters.get(alias) or {})
    return {name: value for name, value in held.items() if FIELDS[name].fits(operation)}, rest


def taken(
    body: dict[str, Any],
    defaults: Mapping[str, Any],
    overrides: Mapping[str, Any],
    *,
    operation: str = EVERY,
    own: Collection[str] = OWN,
) -> Taken:
    """Take the extensions out of a request, whose values may be ``Raw``, and merge them by presence.

    overrides > extension object > top level > ``defaults``; null drops a default. Fields that the dialect has
    itself (``own``) stay in the body, set to what is in effect; so call this before other defaults are filled in.
    Raises ``invalid_request`` naming the field as the caller wrote it.
    """
    given, written = _given(body, operation)
    beside = _beside(body, operation, own)
    for name, value in beside.items():
        if name in given and _differ(given[name], value):
            raise invalid(f"{written[name]} and {name} are both given, with different values", written[name])
        written.setdefault(name, name)
    values = _over(_over(_fitting(defaults, operation), beside), given)
    forced = _fitting(overrides, operation)
    values = _over(values, forced)
    for name in [name for name in values if name in own and FIELDS[name].top]:
        value = values.pop(name)
        if name in given or name in forced or (name not in body and value is not None):
            body[name] = value
    kept = {name: _present(value) for name, value in values.items() if value is not None}
    written = {name: place for name, place in written.items() if name in kept and name not in forced}
    return Taken(kept, written, operation)


def spread(
    extensions: Mapping[str, Any],
    body: dict[str, Any],
    offered: Mapping[str, str],
    *,
    carried: str | None = None,
    forward: bool = False,
) -> tuple[str, ...]:
    """Put what a provider understands into its request; ``offered`` maps a field to the provider's own member.

    ``carried`` is the operation that the request goes out as, where that is another than it came in as.
    Gives the caller's fields that it cannot take, as written. ``forward``: what stood at top level goes back there.
    """
    if EVERY in offered:
        if extensions:
            body[offered[EVERY]] = dict(extensions)
        return ()
    known = extensions if isinstance(extensions, Taken) else Taken(extensions, {})
    members = {name: _member(offered, name, carried or known.operation) for name in known}
    left = [name for name, value in known.items() if not _put(body, name, members[name], value)]
    written = known.written if known is extensions else {name: f"{EXTENSIONS}.{name}" for name in left}
    if forward:
        body.update({name: extensions[name] for name in left if written.get(name) == name})
        left = [name for name in left if written.get(name) != name]
    return tuple(written[name] for name in left if name in written)


def _given(body: dict[str, Any], operation: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The caller's object under either name, and how each field was written."""
    given: dict[str, Any] = {}
    written: dict[str, str] = {}
    for alias in (EXTENSIONS, ALIAS):
        for name, value in _object(body, alias).items():
            place = f"{alias}.{name}"
            checked = _checked(alias, name, value, operation)
            if name in given and _differ(given[name], checked):
                raise invalid(f"{written[name]} and {place} are both given, with different values", place)
            given = _over(given, {name: checked})
            written.setdefault(name, place)
    return given, written


def _object(body: dict[str, Any], alias: str) -> dict[str, Any]:
    """The object under that name, out of the body; null is an empty one."""
    value = body.pop(alias, None)
    if isinstance(value, Raw):
        text = bytes(memoryview(value))
        value = jsontext.whole(text) if text.startswith(b"{") else msgspec.json.decode(text)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid(f"{alias} must be an object", alias)
    return value


def _beside(body: dict[str, Any], operation: str, own: Collection[str]) -> dict[str, Any]:
    """Extension fields at the top level: taken out, or read where they are the dialect's own."""
    found: dict[str, Any] = {}
    for name, field in FIELDS.items():
        if name not in body or not field.top or not field.fits(operation):
            continue
        value = _decoded(body[name])
        if name in own:
            found[name] = value
            continue
        found[name] = _checked("", name, value, operation)
        del body[name]
    return found


def _checked(holder: str, name: str, value: Any, operation: str) -> Any:
    """The value, a whole number written as 40.0 as an integer. Raises ``invalid_request``."""
    fault = fault_of(name, value, operation)
    if fault is not None:
        place = f"{holder}.{fault[0]}" if holder else fault[0]
        raise invalid(f"{place} {fault[1]}", place)
    return int(value) if isinstance(value, float) and FIELDS[name].kind == "integer" else value


def _fitting(values: Mapping[str, Any], operation: str) -> dict[str, Any]:
    """A registration may answer several operations: what this one does not know is not for it."""
    return {name: value for name, value in values.items() if FIELDS[name].fits(operation)}


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Key by key, one level; ``roles`` key by key."""
    merged = {**below, **above}
    first, second = below.get("roles"), above.get("roles")
    if isinstance(first, dict) and isinstance(second, dict):
        merged["roles"] = {**first, **second}
    return merged


def _differ(first: Any, second: Any) -> bool:
    if isinstance(first, dict) and isinstance(second, dict):
        return any(first[key] != second[key] for key in first.keys() & second.keys())
    return bool(first != second)


def _present(value: Any) -> Any:
    """A role that is null drops its default."""
    return {role: text for role, text in value.items() if text is not None} if isinstance(value, dict) else value


def _decoded(value: Any) -> Any:
    return msgspec.json.decode(bytes(memoryview(value))) if isinstance(value, Raw) else value


def _member(offered: Mapping[str, str], name: str, operation: str) -> str | None:
    """The provider's member. Rows speak of chat and completions: a field of every operation (seed) goes no further,
    and the Responses API has none for these two."""
    if operation == "responses" and name in ("seed", "stopwords"):
        return None
    return offered.get(name) if FIELDS[name].on or operation in TEXT or operation == EVERY else None


def _put(body: dict[str, Any], name: str, member: str | None, value: Any) -> bool:
    """Set the provider's member; False where it has none, or has it with another meaning."""
    if not member:
        return False
    *path, leaf = member.split(".")
    holder = body
    for step in path:
        inner = _decoded(holder.get(step))
        if inner is not None and not isinstance(inner, dict):
            return False
        holder[step] = holder = dict(inner or {})
    merge: Callable[[Any, Any], Any] = _joined if name == "stopwords" else _same
    there = _decoded(holder.get(leaf))
    if there is None or member == name:
        holder[leaf] = value
        return True
    merged = merge(there, value)
    if merged is None:
        return False
    holder[leaf] = merged
    return True


def _same(there: Any, value: Any) -> Any:
    return value if there == value else None


def _joined(there: Any, value: Any) -> Any:
    """Stop words come after the request's own stop strings; None where those are no strings."""
    listed = [there] if isinstance(there, str) else there
    return list(dict.fromkeys((*listed, *value))) if isinstance(listed, list) and _are_strings(listed) else None


def _are_strings(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)
