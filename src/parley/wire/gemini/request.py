"""Gemini's generateContent as a dialect: request bodies to the canonical form.

Nothing of the body is changed. Members nobody knows end up in ``extra`` under their full path.
Source: provider contract 3.2, 3.6.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from parley.failure import ParleyError, at, invalid
from parley.ir import ChatRequest, Message, Origin, Role
from parley.wire.gemini.config import choice_of, settings_of, tools_of
from parley.wire.gemini.names import NAME, Json, camel, encode, rest
from parley.wire.gemini.parts import Ids, blocks_of, optional, required

_READ: Final = frozenset(
    {"model", "stream", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig"}
)
_ROLES: Final[Mapping[str, Role]] = {"user": "user", "model": "assistant", "function": "user"}
_CONTENT: Final = frozenset({"role", "parts"})


def decode_request(body: dict[str, Any]) -> ChatRequest:
    """The request of POST models/{model}:generateContent, or :streamGenerateContent; ``model`` and
    ``stream`` are what the path says. Raises ``invalid_request`` with the field's path."""
    try:
        return _request(camel(body))
    except RecursionError:
        raise invalid("the request is nested too deeply") from None


def _request(members: Json) -> ChatRequest:
    extra = rest(members, _READ)
    kept: Json = {}
    ids = Ids()
    system = _system(members, ids)
    settings = settings_of(members, extra, kept)
    return ChatRequest(
        wire=NAME,
        model=required(members, "model", str),
        messages=(*system, *_messages(members, ids)),
        tools=tools_of(members, kept),
        tool_choice=choice_of(members, extra, kept),
        stream=optional(members, "stream", bool) or False,
        # This dialect's streams always carry usage.
        include_usage=True,
        ahead=len(system),
        extra=extra,
        aside=kept,
        **settings,
    )


def count_tokens(body: dict[str, Any], measure: Callable[[ChatRequest], int]) -> bytes:
    """The answer of POST models/{model}:countTokens, for a provider that cannot be asked."""
    members = camel(body)
    inner = optional(members, "generateContentRequest", dict)
    asked = members if inner is None else inner
    return encode({"totalTokens": measure(decode_request({**asked, "model": "counted"}))})


def _system(members: Json, ids: Ids) -> tuple[Message, ...]:
    value = members.get("systemInstruction")
    if value is None:
        return ()
    if type(value) is str:
        value = {"parts": [{"text": value}]}
    try:
        return (_message(value, "system", "systemInstruction", ids),)
    except ParleyError as error:
        raise at(error, "systemInstruction") from None


def _messages(members: Json, ids: Ids) -> list[Message]:
    values = required(members, "contents", list)
    if not values:
        raise invalid("contents must hold at least one content", "contents")
    found = []
    for index, value in enumerate(values):
        place = f"contents[{index}]"
        try:
            found.append(_message(value, _role(value), place, ids))
        except ParleyError as error:
            raise at(error, place) from None
    return found


def _role(value: Any) -> Role:
    said = value.get("role") if type(value) is dict else None
    role = _ROLES.get("user" if said is None or said == "" else str(said))
    if role is None:
        raise invalid("role must be user or model", "role")
    return role


def _message(value: Any, role: Role, place: str, ids: Ids) -> Message:
    if type(value) is not dict:
        raise invalid("a content must be an object")
    parts = value.get("parts")
    if type(parts) is dict:
        parts = [parts]
    elif parts is not None and type(parts) is not list:
        raise invalid("parts must be a list", "parts")
    try:
        content = blocks_of(parts or [], ids)
    except ParleyError as error:
        raise at(error, "parts") from None
    return Message(role, content, None, rest(value, _CONTENT), Origin(content, (value,)), place)
