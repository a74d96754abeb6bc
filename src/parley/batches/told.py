"""Lines of answers, and the batch as its caller sees it. Source: OpenAI surface contract section 9."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from parley.batches.line import Fault

TIMES: Final = (
    "in_progress_at",
    "expires_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)
_encode: Final = msgspec.json.encode
EXPIRED: Final = ("batch_expired", "This request could not be executed before the completion window expired.")
CANCELLED: Final = ("batch_cancelled", "This request was not executed: the batch was cancelled.")


class Spent(Struct, frozen=True):
    """Tokens of answers."""

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0

    def plus(self, other: "Spent") -> "Spent":
        """Both."""
        return Spent(
            self.input + other.input,
            self.output + other.output,
            self.cached + other.cached,
            self.reasoning + other.reasoning,
        )


class _Details(Struct):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    input_tokens: int | None = None
    completion_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


class _Answer(Struct):
    usage: _Usage | None = None


_usage: Final = msgspec.json.Decoder(_Answer).decode


def spent(body: bytes) -> Spent:
    """What an answer's body says of its usage; nothing where it says nothing that can be read."""
    try:
        found = _usage(body).usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if found is None:
        return Spent()
    read, made = found.prompt_tokens_details or found.input_tokens_details, found.completion_tokens_details
    made = made or found.output_tokens_details
    return Spent(
        found.prompt_tokens or found.input_tokens or 0,
        found.completion_tokens or found.output_tokens or 0,
        (read.cached_tokens or 0) if read else 0,
        (made.reasoning_tokens or 0) if made else 0,
    )


def answer_line(id: str, custom_id: str, status: int, request_id: str, body: bytes) -> bytes:
    """The line of an answer, without a line end. A body that is no JSON is put into an error's message."""
    try:
        msgspec.json.decode(body)
        # One answer is one line, however its provider broke it.
        shown = body if b"\n" not in body and b"\r" not in body else _encode(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body[:2000].decode("utf-8", "replace")
        error = {"message": f"The answer is not JSON: {text}", "type": "server_error", "param": None, "code": None}
        shown = _encode({"error": error})
    response = {"status_code": status, "request_id": request_id, "body": Raw(shown)}
    return _encode({"id": id, "custom_id": custom_id, "response": response, "error": None})


def error_line(id: str, custom_id: str, code: str, message: str) -> bytes:
    """The line of a request that was never answered."""
    return _encode({"id": id, "custom_id": custom_id, "response": None, "error": {"code": code, "message": message}})


def faults(found: list[Fault]) -> dict[str, Any]:
    """What is wrong with an input file."""
    data = [{"code": one.code, "line": one.line, "message": one.message, "param": one.param} for one in found]
    return {"object": "list", "data": data}


def usage(found: Spent) -> dict[str, Any]:
    """The tokens of a batch."""
    return {
        "input_tokens": found.input,
        "input_tokens_details": {"cached_tokens": found.cached},
        "output_tokens": found.output,
        "output_tokens_details": {"reasoning_tokens": found.reasoning},
        "total_tokens": found.input + found.output,
    }


def page(data: list[dict[str, Any]], *, more: bool) -> dict[str, Any]:
    """One page of a list."""
    ends: Mapping[str, Any] = {
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }
    return {"object": "list", "data": data, **ends, "has_more": more}
