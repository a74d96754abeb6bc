"""Request members that a registration sets: ``defaults`` and ``overrides``, and the extension object in them."""

from collections.abc import Mapping
from typing import Any

from parley import extensions
from parley.config.pieces import Site
from parley.config.problem import suggest
from parley.settings import EVERY, EXTENSIONS

# Names of the extension object; the second is read and stored as the first.
SPELLINGS = (EXTENSIONS, extensions.ALIAS)
NOT_SETTABLE = {
    "model": "name the model in targets",
    "messages": "they belong to the request",
    "input": "it belongs to the request",
    "stream": "it belongs to the request",
}
# Members that have one type on every operation: other values would be refused by every provider.
KINDS: Mapping[str, str] = {
    name: kind
    for kind, names in (
        ("number", "temperature top_p presence_penalty frequency_penalty repetition_penalty speed"),
        (
            "integer",
            "max_tokens max_completion_tokens max_output_tokens n seed top_logprobs best_of dimensions top_n"
            " max_tool_calls output_compression partial_images",
        ),
        ("boolean", "echo store parallel_tool_calls return_documents"),
        (
            "string",
            "user reasoning_effort service_tier suffix instructions size quality style"
            " encoding_format language safety_identifier prompt_cache_key verbosity",
        ),
        ("object", "logit_bias metadata stream_options reasoning"),
        ("array", "tools functions modalities include timestamp_granularities"),
    )
    for name in names.split()
}
WORDS = {
    "number": "a number", "integer": "a whole number", "boolean": "true or false", "string": "text",
    "object": "a mapping", "array": "a list",
}  # fmt: skip
TYPES: Mapping[str, tuple[type, ...]] = {
    "number": (int, float), "integer": (int,), "boolean": (bool,), "string": (str,), "object": (dict,),
    "array": (list,),
}  # fmt: skip


def members_of(site: Site, field: str, given: Mapping[str, Any], endpoint: str = EVERY) -> dict[str, Any]:
    """The members as given, checked for an operation, with the extension object under its own name."""
    made: dict[str, Any] = {}
    for name, value in given.items():
        if name in SPELLINGS:
            _extensions(site, (field, name), value, endpoint)
            if EXTENSIONS in made and made[EXTENSIONS] != value:
                message = f"{' and '.join(SPELLINGS)} are the same, and have different values here"
                site.add((field, name), message, f"keep {EXTENSIONS}", key=True)
            made[EXTENSIONS] = value
            continue
        _member(site, (field, name), value)
        made[name] = value
    _beside(site, field, made)
    return made


def is_of_kind(name: str, value: Any) -> bool:
    """Whether a member's value is of the one kind that every operation takes; booleans are no numbers."""
    kind = KINDS.get(name)
    if kind is None:
        return True
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The members of both, ``own`` winning by presence; the extension object key by key, its mappings as well."""
    made = {**base, **own}
    first, second = base.get(EXTENSIONS), own.get(EXTENSIONS)
    if isinstance(first, dict) and isinstance(second, dict):
        made[EXTENSIONS] = {**first, **second}
        for name, value in second.items():
            if isinstance(value, dict) and isinstance(first.get(name), dict):
                made[EXTENSIONS][name] = {**first[name], **value}
    return made


def without_nulls(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members that are left when a null removes the default of that name."""
    made = {name: value for name, value in members.items() if value is not None}
    if isinstance(made.get(EXTENSIONS), dict):
        made[EXTENSIONS] = {
            name: {key: one for key, one in value.items() if one is not None} if isinstance(value, dict) else value
            for name, value in made[EXTENSIONS].items()
            if value is not None
        }
    return made


def _member(site: Site, path: tuple[str, str], value: Any) -> None:
    """One member that is not the extension object."""
    field, name = path
    if name in NOT_SETTABLE:
        site.add(path, f"{field} must not set {name}", NOT_SETTABLE[name], key=True)
    elif value is not None and not is_of_kind(name, value):
        site.add(path, f"{name}: expected {WORDS[KINDS[name]]}")


def _beside(site: Site, field: str, made: Mapping[str, Any]) -> None:
    """Extension fields at the top level, where the object must not say something else."""
    held = made.get(EXTENSIONS)
    for name, value in made.items():
        if isinstance(held, dict) and name in held and name in extensions.FIELDS and held[name] != value:
            message = f"{name} and {EXTENSIONS}.{name} are both given, with different values"
            site.add((field, name), message, f"keep the one in {EXTENSIONS}", key=True)
        elif name in extensions.FIELDS and name not in KINDS and value is not None and extensions.FIELDS[name].top:
            problem = extensions.problem_of(name, _without_null(value))
            if problem:
                site.add((field, name), problem)


def _extensions(site: Site, path: tuple[str, str], value: Any, endpoint: str) -> None:
    """The extension object, field by field."""
    if value is None:
        return
    if not isinstance(value, dict):
        site.add(path, f"{path[1]}: expected a mapping")
        return
    for name, item in value.items():
        if name not in extensions.FIELDS:
            hint = suggest(name, extensions.FIELDS, f"known here: {', '.join(sorted(extensions.FIELDS))}")
            site.add((*path, name), f'unknown extension field "{name}"', hint, key=True)
        elif item is not None and (problem := extensions.problem_of(name, _without_null(item), endpoint)):
            site.add((*path, name), problem)


def _without_null(value: Any) -> Any:
    """A mapping without what removes a default."""
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if item is not None}
    return value
