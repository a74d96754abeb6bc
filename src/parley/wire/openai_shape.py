"""A look at a whole answer whose shape is one list beside a few members. Shared by wires; nothing else is decoded."""

from typing import Final, TypeAlias

from msgspec import Raw, ValidationError, json

from parley.failure import ParleyError
from parley.wire.openai_error import BAD_JSON, bad_response, stream_failure, told_error

Members: TypeAlias = dict[str, Raw]

_members: Final = json.Decoder(Members).decode
_anything: Final = json.Decoder().decode
_FALSE: Final = frozenset({b"null", b"false", b'""', b"{}", b"[]", b"0"})


def members_of(body: bytes) -> Members:
    """The answer's members, undecoded. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and for an
    error object what that means (detail stream_error)."""
    if not body.strip():
        raise bad_response("empty_body", "the provider sent an empty answer")
    try:
        if not body.isascii():
            body.decode()  # what is skipped is not checked by the decoder
        found = _members(body)
    except ValidationError:
        raise bad_response("bad_shape", "the provider's answer is not an object") from None
    except BAD_JSON:
        raise bad_response("bad_json", "the provider's answer is not JSON") from None
    refuse_error(found)
    return found


def refuse_error(found: Members) -> None:
    """Raise what the answer's error means, if it tells one."""
    error = found.get("error")
    if error is not None and bytes(error) not in _FALSE:
        raise ParleyError(stream_failure(told_error({name: _anything(value) for name, value in found.items()})))


def require_list(found: Members, *names: str) -> None:
    """Raise ``upstream_bad_response`` (bad_shape) unless one of the members is there and is a list."""
    if not any(name in found and bytes(found[name]).startswith(b"[") for name in names):
        raise bad_response("bad_shape", f"the provider's answer holds no list named {names[0]}")
