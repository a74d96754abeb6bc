"""What a request may use, before anybody has seen it: tokens from its bytes and from what it asks for at most."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from parley.gateway.accounting import BYTES_PER_TOKEN
from parley.settings import Registration

if TYPE_CHECKING:
    from parley.gateway.delivery import Delivery

# Where nothing says how long an answer may become.
USUAL_OUTPUT: Final = 1024
# A picture or a sound stands in the body as one long word, which is not text.
LONG_WORD: Final = 4096
PER_MEDIA: Final = 1500
_LIMITS: Final = ("max_completion_tokens", "max_tokens", "max_output_tokens")
# Objects that hold the limit in other dialects, and its name there.
_INSIDE: Final = (("generationConfig", "maxOutputTokens"), ("options", "num_predict"))
_SEVERAL: Final = "n"
_decode: Final = msgspec.json.Decoder().decode
MOST: Final = 2**31


def tokens_of(job: "Delivery") -> tuple[int, int]:
    """Input and output tokens that a request may need; none for a question about tokens."""
    inlet = job.inlet
    if inlet.counts:
        return 0, 0
    if job.asked.form is not None:
        return 0, 0
    return _input(job.request.body), _output(job) if inlet.texts else 0


def _input(body: bytes) -> int:
    size = len(body)
    if size <= LONG_WORD:
        return -(-size // BYTES_PER_TOKEN)
    media = 0
    for word in body.split(b'"'):
        if len(word) > LONG_WORD and b" " not in word and b"\\" not in word:
            size -= len(word)
            media += PER_MEDIA
    return -(-size // BYTES_PER_TOKEN) + media


def _output(job: "Delivery") -> int:
    members, registration = job.asked.members, job.registration
    most = _most(members, registration)
    several = _number(members.get(_SEVERAL)) or 1
    return min(MOST, (USUAL_OUTPUT if most is None else most) * several)


def _most(members: Mapping[str, Any], registration: Registration) -> int | None:
    """Fixed by the operator, asked for, or the operator's default."""
    return _plain(registration.overrides) or _asked(members) or _plain(registration.defaults)


def _plain(settings: Mapping[str, Any]) -> int | None:
    if not settings:
        return None
    for name in _LIMITS:
        value = settings.get(name)
        if isinstance(value, int) and value > 0:
            return value
    return None


def _asked(members: Mapping[str, Any]) -> int | None:
    for name in _LIMITS:
        if name in members:
            return _number(members[name])
    for name, inner in _INSIDE:
        if name in members:
            value = _decoded(members[name])
            found = value.get(inner) if isinstance(value, dict) else None
            return found if isinstance(found, int) and 0 < found <= MOST else None
    return None


def _number(raw: Any) -> int | None:
    value = None if raw is None else _decoded(raw)
    return value if isinstance(value, int) and 0 < value <= MOST else None


def _decoded(raw: Any) -> Any:
    try:
        return _decode(raw)
    except msgspec.DecodeError:
        return None
