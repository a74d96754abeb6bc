"""What two requests must have in common to get the same answer. Pure.

Everything that a provider may see of a request, or that decides where it goes, is in the digest, each part with its
length before it. The order of top-level members and the white space between them say nothing in JSON; what stands
inside a member counts byte for byte, so that the order of messages does.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec
from msgspec import Raw

from parley import __version__
from parley.gateway import heads
from parley.gateway.delivery import Delivery
from parley.multipart import Form
from parley.settings import Provider, Registration

# Headers that reach a provider of the caller's own wire and do not change what it answers.
_BESIDE: Final = frozenset(
    {b"user-agent", b"traceparent", b"tracestate", b"baggage", b"idempotency-key", b"cache-control", b"pragma"}
)
_NULL: Final = Raw(b"null")
_FALSE: Final = Raw(b"false")
# Members of requests that refer to something a server keeps, or ask it to.
_STATEFUL: Final = ("previous_response_id", "conversation", "background", "container")
_REFERENCE: Final = b'"item_reference"'
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


def fingerprint(registration: Registration, providers: Mapping[str, Provider]) -> bytes:
    """The digest of everything that is configured for a model: another one after every change of it."""
    names = dict.fromkeys(target.provider for target in registration.targets)
    made = {name: providers.get(name) for name in names}
    return sha256(_encode((__version__, registration, made))).digest()


def key_of(job: Delivery, configured: bytes) -> bytes:
    """The digest of a request that was admitted; ``configured`` is its model's fingerprint."""
    inlet, key = job.inlet, job.key
    said: list[bytes] = [
        job.owner.encode(),
        b"" if key is None else _encode(key.holder.defaults),
        configured,
        b"\n".join(part.encode() for part in (inlet.dialect, inlet.operation, inlet.wire.name)),
        job.model.encode(),
        b"stream" if job.streams else b"whole",
        heads.passed_on(job.request.headers, _BESIDE),
    ]
    form = job.asked.form
    return _digest((*said, *(_members(job.asked.members) if form is None else _parts(form))))


def storable(job: Delivery) -> bool:
    """Whether a request means the same every time: it neither refers to what is remembered nor asks to remember."""
    inlet, members = job.inlet, job.asked.members
    if inlet.counts or any(members.get(name, _NULL) not in (_NULL, _FALSE) for name in _STATEFUL):
        return False
    stored = members.get("store", _NULL)
    if inlet.stateful:
        # Left out it means yes here.
        return stored == _FALSE and _REFERENCE not in memoryview(members.get("input", _NULL)).tobytes()
    return stored in (_NULL, _FALSE)


def _members(members: Mapping[str, Raw]) -> Iterable[bytes | memoryview]:
    for name in sorted(members):
        yield name.encode()
        yield memoryview(members[name])


def _parts(form: Form) -> Iterable[bytes | memoryview]:
    """A form without its boundary, which is another one every time."""
    for part in form.parts:
        # A name may hold what is no UTF-8.
        words = (part.name, "" if part.filename is None else f"={part.filename}", part.content_type)
        yield from (word.encode("utf-8", "surrogatepass") for word in words)
        yield part.data


def _digest(parts: Iterable[Any]) -> bytes:
    made = sha256()
    for part in parts:
        made.update(b"%d:" % len(part))
        made.update(part)
    return made.digest()
