"""Whether members of a chat request are of the types that this API gives them, with the place of what is not.

Members and parts that nobody here knows are not looked at: they go on as they came. Source: predict contract section 4.
"""

from typing import Any, Final, Literal, TypeAlias

from msgspec import DecodeError, Raw, Struct, ValidationError, json

from parley.failure import ParleyError, invalid
from parley.jsontext import Members

# "function" is an older word of OpenAI's for what answers a call.
Role: TypeAlias = Literal["system", "user", "assistant", "marker", "tool", "developer", "function"]


class Picture(Struct, frozen=True):
    """Where a picture is."""

    url: str
    detail: str | None = None


class Part(Struct, frozen=True):
    """One of several pieces of a turn."""

    type: str
    text: str | None = None
    image_url: Picture | None = None


class CalledFunction(Struct, frozen=True):
    """What is called, and with which JSON text."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(Struct, frozen=True):
    """A call that a model has made."""

    id: str | None = None
    type: str | None = None
    function: CalledFunction | None = None


class Turn(Struct, frozen=True):
    """One message."""

    role: Role | None = None
    content: str | list[Part] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    thinking: str | None = None
    reasoning: str | None = None


class Function(Struct, frozen=True):
    """What may be called."""

    name: str
    description: str | None = None
    parameters: dict[str, Raw] | None = None


class Tool(Struct, frozen=True):
    """One tool; those of other types have members of their own."""

    type: str | None = None
    function: Function | None = None


_NUMBER: Final = json.Decoder(int | float | None)
_DECODERS: Final[dict[str, json.Decoder[Any]]] = {
    "messages": json.Decoder(list[Turn]),
    "tools": json.Decoder(list[Tool] | None),
    "tool_choice": json.Decoder(str | dict[str, Raw] | None),
    "logprobs": json.Decoder(bool | None),
    "top_logprobs": json.Decoder(int | None),
    "max_tokens": _NUMBER,
    "temperature": _NUMBER,
}


def judge(members: Members) -> None:
    """Raises ``invalid_request`` for the first member that is of another type; ``param`` is the place."""
    for name, decoder in _DECODERS.items():
        value = members.get(name)
        if value is None:
            continue
        try:
            decoder.decode(value)
        except ValidationError as error:
            raise _misplaced(name, str(error)) from None
        except (DecodeError, UnicodeDecodeError):
            # No type is at fault: whoever reads it says what is.
            continue


def _misplaced(name: str, words: str) -> ParleyError:
    said, _, place = words.partition(" - at `$")
    where = name + place.rstrip("`")
    said = said.replace("`", "")
    return invalid(f"{where}: {said[:1].lower()}{said[1:]}", where)
