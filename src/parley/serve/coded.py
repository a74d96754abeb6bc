"""What all answers of a node that are no calls have in common: members in any case, a code, a message."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from parley.failure import ParleyError
from parley.wire.node.errors import TEXTS, encode_node, parameter, parsing
from parley.wire.node.prepared import in_any_case

LONGEST: Final = 300
KNOWN: Final = frozenset({"project", "models", "model", "api", "type", "cid", "ttl", "node_id"})
_JSON: Final = "application/json"


async def members(request: Request) -> dict[str, Any]:
    """The members of a request's object. Raises what is answered by code 1002."""
    try:
        found = msgspec.json.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise parsing() from None
    if not isinstance(found, dict):
        raise parsing()
    return in_any_case(found, KNOWN)


def text(body: Mapping[str, Any], name: str) -> str:
    """A text, "" where there is none."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise parsing()
    return value or ""


def named(body: Mapping[str, Any], name: str, empty: str) -> str:
    """A text that must be there."""
    value = text(body, name)
    if not value:
        raise parameter(empty)
    if len(value) > LONGEST or not value.isprintable():
        raise parameter(f"{name} must be printable text of at most {LONGEST} letters")
    return value


def code(status: int, number: int) -> Response:
    """An error by its usual text."""
    return answer({"code": number, "message": TEXTS[number]}, status)


def refused(error: ParleyError) -> Response:
    """An error."""
    failure = error.failure
    if failure.kind == "overloaded":
        # The store cannot be written: nothing was changed.
        return answer({"code": 5000, "message": f"config save err {failure.message}"}, 500)
    status, body = encode_node(failure, "")
    return Response(body, status, media_type=_JSON)


def answer(value: object, status: int = 200) -> Response:
    """An object."""
    return Response(msgspec.json.encode(value), status, media_type=_JSON)
