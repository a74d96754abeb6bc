"""The fields of the extension object: kind, bounds, operations, and what is wrong with a value.

Sources: extension contract 1.4 and 2.3; bounds are the model servers' own.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from parley.settings import EVERY

Kind: TypeAlias = Literal["integer", "number", "boolean", "string", "strings", "roles", "choice"]
_KINDS: Mapping[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "string": (str,),
    "choice": (str,),
    "strings": (list,),
    "roles": (dict,),
}
_INT32 = 2**31 - 1
_INT64 = 2**63 - 1
MOST_STRINGS = 32
LONGEST_STRING = 1000
LONGESTTEXT = 64 * 1024

_CHAT = frozenset({"chat", "responses"})
TEXT = _CHAT | {"completions"}
_IMAGE = frozenset({"image_generation", "image_edit", "image_variation"})
_TENSOR = TEXT | {"embeddings"}
_ALL: frozenset[str] = frozenset()


class Field(Struct, frozen=True):
    """One field. ``on`` are the operations it belongs to (none named: all), ``low`` and ``high`` inclusive bounds.

    ``top``: also read at the top level of a request.
    """

    kind: Kind
    on: frozenset[str] = _ALL
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    nullable: bool = True
    top: bool = True

    def fits(self, operation: str) -> bool:
        """Whether requests of that operation may hold the field; EVERY stands for any."""
        return operation == EVERY or not self.on or operation in self.on


def _whole(on: frozenset[str], low: int, high: int = _INT32) -> Field:
    return Field("integer", on, low, high)


def _real(on: frozenset[str], low: float | None = None, high: float | None = None) -> Field:
    return Field("number", on, low, high)


FIELDS: Mapping[str, Field] = {
    "seed": Field("integer", _ALL, -_INT64 - 1, _INT64),
    "debug": Field("boolean"),
    "top_k": _whole(TEXT, -1),
    "min_p": _real(TEXT, 0, 1),
    "typical_p": _real(TEXT, 0, 1),
    "tfz": _real(TEXT, 0, 1),
    "batch": _whole(_TENSOR, 1),
    "f16": Field("boolean", _TENSOR),
    "ignore_eos": Field("boolean", TEXT),
    "repeat_penalty": _real(TEXT, 0),
    "repeat_last_n": _whole(TEXT, -1),
    "n_keep": _whole(TEXT, -1),
    "mirostat": _whole(TEXT, 0, 2),
    "mirostat_eta": _real(TEXT, 0),
    "mirostat_tau": _real(TEXT, 0),
    "cutstrings": Field("strings", TEXT),
    "trimstrings": Field("strings", TEXT),
    "stopwords": Field("strings", TEXT),
    "grammar": Field("string", TEXT),
    "roles": Field("roles", _CHAT),
    "rope_freq_base": _real(_TENSOR, 0),
    "rope_freq_scale": _real(_TENSOR, 0),
    "tokenizer": Field("string", _TENSOR),
    "negative_prompt": Field("string", TEXT | _IMAGE),
    "negative_prompt_scale": _real(TEXT | _IMAGE),
    "clip_skip": _whole(_IMAGE, 0),
    "mode": _whole(_IMAGE, 0),
    "step": _whole(_IMAGE, 1),
    # Weights within a provider; the name at top level says who answers, so the two are never compared.
    "model": Field("string", _IMAGE, nullable=False, top=False),
    "translate": Field("boolean", frozenset({"transcription", "translation"})),
    "pooling": Field("choice", frozenset({"embeddings"}), choices=("backend", "mean", "last", "decayed_mean")),
    "pooling_half_life_tokens": _real(frozenset({"embeddings"}), 0),
}
ROLES = ("system", "user", "assistant")

Fault: TypeAlias = tuple[str, str]


def problem_of(name: str, value: Any, operation: str = EVERY) -> str | None:
    """What is wrong with a field of the extension object, in words that follow the object's name; None where all is."""
    fault = fault_of(name, value, operation)
    return None if fault is None else f"{fault[0]!r} {fault[1]}"


def fault_of(name: str, value: Any, operation: str = EVERY) -> Fault | None:
    """The place at fault below the object ("roles.user", "cutstrings[2]") and what was expected there."""
    field = FIELDS.get(name)
    if field is None:
        return name, f"is not an extension field{_meant(name)}"
    if not field.fits(operation):
        return name, f"does not belong to {operation}"
    if value is None:
        return None if field.nullable else (name, "must be text, not null")
    if not _is_kind(field.kind, value):
        return name, f"must be {_wanted(field)}"
    if field.kind == "strings":
        return _list_fault(name, value)
    if field.kind == "roles":
        return _roles_fault(name, value)
    return None if _is_within(field, value) else (name, f"must be {_wanted(field)}")


def _is_kind(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _KINDS[kind]) or (kind == "integer" and isinstance(value, float) and value.is_integer())


def _is_within(field: Field, value: Any) -> bool:
    if field.kind == "choice":
        return value in field.choices
    if isinstance(value, str):
        return len(value) <= LONGESTTEXT
    return (field.low is None or value >= field.low) and (field.high is None or value <= field.high)


def _list_fault(name: str, value: list[Any]) -> Fault | None:
    if len(value) > MOST_STRINGS:
        return name, f"must be at most {MOST_STRINGS} strings"
    for index, item in enumerate(value):
        if not isinstance(item, str) or not 0 < len(item) <= LONGEST_STRING:
            return f"{name}[{index}]", f"must be a string of 1 to {LONGEST_STRING} characters"
    return None


def _roles_fault(name: str, value: dict[str, Any]) -> Fault | None:
    for role, text in value.items():
        place = f"{name}.{role}"
        if role not in ROLES:
            return place, f"is not a role; roles are {', '.join(ROLES)}"
        if text is not None and (not isinstance(text, str) or len(text) > LONGEST_STRING):
            return place, f"must be a string of at most {LONGEST_STRING} characters"
    return None


def _wanted(field: Field) -> str:
    """What a value must be, in words."""
    plain = {
        "boolean": "true or false",
        "string": f"a string of at most {LONGESTTEXT} characters",
        "strings": "a list of strings",
        "roles": f"an object of strings: {', '.join(ROLES)}",
        "choice": f"one of {', '.join(field.choices)}",
    }
    return plain.get(field.kind) or ("an integer" if field.kind == "integer" else "a number") + _bounds(field)


def _bounds(field: Field) -> str:
    if field.low is None:
        return ""
    if field.low < -_INT32:
        return " of at most 64 bits"
    return f" of {field.low} or more" if field.high in (None, _INT32) else f" from {field.low} to {field.high}"


def _meant(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name.lower(), FIELDS, n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""
