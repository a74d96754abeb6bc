"""A request on its way to the engine: the extension object is taken out and carried out.

Pure. What its server understands becomes members of the request; words around messages, stop words and templates are
put in place; what must be done to the answer is told. Source: registrations contract parts 1.4 and 3.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from parley.config.backends import ENGINE_FIELDS, SHAPING_FIELDS
from parley.failure import invalid
from parley.settings import EXTENSIONS

Members = dict[str, Raw]
# What the engine would pass over in silence, or take from a request that may not decide on it: the values that ask for
# nothing, and why all others are refused.
_ONLY_GENERATES: Final = "a model on this machine only continues the prompt"
_REFUSED: Final[dict[bytes, dict[str, tuple[tuple[bytes, ...], str]]]] = {
    b"/completions": {
        "echo": ((b"null", b"false"), _ONLY_GENERATES),
        "suffix": ((b"null", b'""'), _ONLY_GENERATES),
        "best_of": ((b"null", b"0", b"1"), "a model on this machine makes no more answers than it gives"),
    },
    b"/embeddings": {
        "dimensions": ((b"null",), "a model on this machine has as many dimensions as it was made with"),
    },
}
_OF_THE_ENGINE: Final = {"lora": ((b"null", b"[]"), "which adapters a model has is said by its registration")}
_NAME: Final = f'"{EXTENSIONS}"'.encode()
_ENCODE: Final = msgspec.json.Encoder().encode


class Asked(Struct, frozen=True):
    """The request as the engine gets it, what is to be cut from its answer, and the fields nobody carries out."""

    body: bytes
    cut: tuple[str, ...] = ()
    trim: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def shaped(self) -> bool:
        """Whether the answer has to be read."""
        return bool(self.cut or self.trim)


def asked(body: bytes, prompt: Callable[[str], str] | None = None) -> Asked:
    """Read a request. ``prompt`` renders the prompts of completions, None leaves them as they are.

    Raises ``invalid_request`` where a member of the extension object has the wrong form.
    """
    if prompt is None and _NAME not in body:
        return Asked(body)
    members = msgspec.json.decode(body, type=Members)
    if prompt is not None and "prompt" in members:
        members["prompt"] = _raw(_prompted(msgspec.json.decode(members["prompt"]), prompt))
    given = members.pop(EXTENSIONS, None)
    fields = _object(given) if given is not None else {}
    for name in ENGINE_FIELDS & fields.keys():
        members[name] = _raw(fields[name])
    if "roles" in fields:
        _add_roles(members, fields["roles"])
    if "stopwords" in fields:
        _add_stops(members, _texts(fields, "stopwords"))
    return Asked(
        _ENCODE(members),
        cut=_texts(fields, "cutstrings"),
        trim=_texts(fields, "trimstrings"),
        unused=tuple(sorted(fields.keys() - ENGINE_FIELDS - SHAPING_FIELDS)),
    )


def refuse_unmet(body: bytes, path: bytes) -> None:
    """Raise ``invalid_request`` naming a member that asks for what the engine does not do."""
    refused = {**_REFUSED.get(path, {}), **_OF_THE_ENGINE}
    if any(f'"{name}"'.encode() in body for name in refused):
        members = msgspec.json.decode(body, type=Members)
        for name, (nothing, reason) in refused.items():
            if name in members and bytes(members[name]) not in nothing:
                raise invalid(f"{name} is not possible: {reason}", name)


def _object(given: Raw) -> dict[str, Any]:
    """The extension object without what is null: that asks for nothing."""
    fields = msgspec.json.decode(given)
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise invalid("the extension object must be an object", EXTENSIONS)
    return {name: value for name, value in fields.items() if value is not None}


def _texts(fields: dict[str, Any], name: str) -> tuple[str, ...]:
    value = fields.get(name, ())
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise invalid("a list of strings is expected", f"{EXTENSIONS}.{name}")
    return tuple(item for item in value if item)


def _add_roles(members: Members, roles: Any) -> None:
    if not isinstance(roles, dict) or not all(isinstance(word, str | None) for word in roles.values()):
        raise invalid("an object of strings is expected", f"{EXTENSIONS}.roles")
    if "messages" not in members:
        return
    from parley.shaping import with_roles

    words = {role: word for role, word in roles.items() if word}
    members["messages"] = _raw(with_roles(msgspec.json.decode(members["messages"]), words))


def _add_stops(members: Members, words: Sequence[str]) -> None:
    """Stop words of the registration join those of the request."""
    given = msgspec.json.decode(members["stop"]) if "stop" in members else None
    known = [given] if isinstance(given, str) else list(given or ())
    members["stop"] = _raw([*known, *(word for word in words if word not in known)])


def _prompted(prompt: Any, render: Callable[[str], str]) -> Any:
    """One prompt or several; token numbers are past all templates."""
    if isinstance(prompt, str):
        return render(prompt)
    if isinstance(prompt, list):
        return [render(item) if isinstance(item, str) else item for item in prompt]
    return prompt


def _raw(value: Any) -> Raw:
    return Raw(_ENCODE(value))
