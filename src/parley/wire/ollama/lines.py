"""What Ollama's answers hold, whole or one line of a stream: read with the numbers and words that all readers share.

An answer to chat has ``message``, one to generate ``response``; all else is the same. Source: provider contract 4.1.
"""

from datetime import datetime
from typing import Any, Final
from zlib import crc32

from msgspec import Raw, Struct, ValidationError, json

from parley.failure import Failure, ParleyError
from parley.ir import Extra, Stop, Usage
from parley.wire.ollama.errors import BAD_JSON, bad, decode, stream_failure

COUNTERS: Final = frozenset({"prompt_eval_count", "eval_count"})
ANSWER: Final = frozenset(
    {"model", "created_at", "message", "response", "thinking", "done", "done_reason", "logprobs", "error", *COUNTERS}
)
_STOPS: Final[dict[str, Stop]] = {"stop": "end", "length": "length"}


class Function(Struct):
    """What is called; ``arguments`` undecoded, so that their spelling survives."""

    name: str
    arguments: Raw = Raw()


class Call(Struct):
    """One tool call; some servers give it an id."""

    function: Function
    id: str | None = None


class Said(Struct):
    """The message of an answer, or a piece of it."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Call] | None = None


class Line(Struct):
    """One answer or one line of it, as far as it is needed on the way."""

    model: str | None = None
    created_at: str | None = None
    message: Said | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool | None = None
    logprobs: list[Any] | None = None
    error: Any = None


_line: Final = json.Decoder(Line).decode


def line_of(data: bytes) -> Line:
    """One line. Raises ``upstream_bad_response`` (bad_event), and what an error object means (detail stream_error)."""
    try:
        found = _line(data)
    except ValidationError:
        refuse_error(object_of(data, "bad_event"))
        bad("bad_event", "the provider sent a line of the wrong shape")
    except BAD_JSON:
        bad("bad_event", "the provider sent a line that is not JSON")
    if found.error:
        refuse_error(object_of(data, "bad_event"))
    return found


def object_of(data: bytes, detail: str) -> Extra:
    """All of a JSON object. Raises ``upstream_bad_response`` with that detail."""
    try:
        value = decode(data)
    except BAD_JSON:
        bad("bad_json" if detail == "bad_shape" else detail, "the provider's answer is not JSON")
    if not isinstance(value, dict):
        bad(detail, "the provider's answer is not an object")
    return value


def refuse_error(value: Extra) -> None:
    """Raise what the error of an answer means, if it tells one."""
    if value.get("error"):
        raise ParleyError(stream_failure(value))


def usage_of(value: Extra) -> Usage | None:
    """The counters; the one for the prompt is left out where all of it was cached. None where there are none."""
    read, made = value.get("prompt_eval_count"), value.get("eval_count")
    if not isinstance(read, int | float) and not isinstance(made, int | float):
        return None
    return Usage(_whole(read), _whole(made))


def _whole(count: Any) -> int:
    return int(count) if isinstance(count, int | float) else 0


def stop_of(reason: Any, *, called: bool) -> tuple[Stop, str | None]:
    """The canonical stop and the provider's own word. A call ends in "stop" here; an empty word is an ordinary end."""
    native = reason if isinstance(reason, str) and reason else None
    stop = _STOPS.get(native or "", "end")
    return ("tool_use" if called and stop == "end" else stop), native


def created_of(text: Any) -> int:
    """Unix seconds of an RFC 3339 time with any number of decimals, 0 where it is none."""
    if not isinstance(text, str):
        return 0
    try:
        return max(0, int(datetime.fromisoformat(text).timestamp()))
    except (ValueError, OverflowError):
        return 0


def logprobs_of(found: list[Any] | None) -> Any:
    """The list as OpenAI wraps it: its items are the same."""
    return {"content": found} if found else None


class CallIds:
    """Ids for the calls of one answer: the provider's where it gave one of their own, else made of what is called."""

    __slots__ = ("_given", "_seed")

    def __init__(self, seed: str) -> None:
        self._given: set[str] = set()
        self._seed = seed

    def of(self, call: Call) -> str:
        """The id; unlike those of other answers, because their times differ."""
        name = call.id or ""
        while not name or name in self._given:
            text = f"{self._seed} {len(self._given)} {call.function.name} {name}"
            name = f"call_{crc32(text.encode()):08x}"
        self._given.add(name)
        return name


def arguments_of(call: Call) -> str:
    """Arguments as JSON text; "" where there are none. Servers that send text instead of the object are read too."""
    text = bytes(call.function.arguments)
    if text[:1] == b'"':
        said = decode(text)
        return said if isinstance(said, str) else ""
    return "" if text == b"null" else text.decode()


def incomplete() -> ParleyError:
    """The error for an answer that ended before its last line."""
    return ParleyError(Failure("upstream_incomplete", "the provider's stream ended early", detail="missing_terminator"))
