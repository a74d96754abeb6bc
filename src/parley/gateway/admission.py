"""What of a request must be known before anything else happens, and whether it may go on. Pure."""

from typing import Final, TypeAlias

from msgspec import Raw

from parley import jsontext
from parley.failure import Failure, ParleyError, invalid
from parley.settings import Registration, Settings

_TRUE: Final = Raw(b"true")
_NOT_TRUE: Final = (Raw(b"false"), Raw(b"null"))
MAX_PREFIX: Final = 4096


# The model's name, whether a stream is wanted, and all members undecoded.
Asked: TypeAlias = tuple[str, bool, jsontext.Members]


def asked(body: bytes) -> Asked:
    """Read what routing needs. Raises ``invalid_json`` or ``invalid_request`` naming the field."""
    members = jsontext.members(body)
    named = members.get("model")
    model = None if named is None else jsontext.text(named)
    if not model:
        raise invalid("model is required and must be a string", "model")
    wanted = members.get("stream")
    stream = wanted is not None and wanted == _TRUE
    if wanted is not None and not stream and wanted not in _NOT_TRUE:
        raise invalid("stream must be true or false", "stream")
    messages = members.get("messages")
    if messages is None or memoryview(messages)[0] != 0x5B:
        raise invalid("messages is required and must be a list", "messages")
    return model, stream, members


def prefix_of(registration: Registration, members: jsontext.Members) -> bytes:
    """The beginning of the conversation, for ``prefix_hash``; b"" for every other strategy."""
    if registration.strategy != "prefix_hash":
        return b""
    return bytes(memoryview(members["messages"])[:MAX_PREFIX])


def unknown_model(settings: Settings, model: str) -> ParleyError:
    """Names what there is, so that a typing error is seen at once."""
    known = sorted({*(name for _, name in settings.registrations), *settings.offered})
    shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    providers = ", ".join(sorted(settings.providers)[:20])
    message = f"no model {model[:200]!r}; there is: {shown or 'none'}; or provider/model with one of: {providers}"
    return ParleyError(Failure("model_not_found", message, param="model"))
