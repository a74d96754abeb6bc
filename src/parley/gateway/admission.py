"""What of a request must be known before anything else happens, and whether it may go on. Pure."""

from collections.abc import Mapping
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from parley import jsontext, multipart
from parley.failure import Failure, ParleyError, invalid
from parley.keys import Holder
from parley.multipart import Form
from parley.operations import OPERATIONS
from parley.ports import Request
from parley.relay import can
from parley.settings import Provider, Registration, Settings
from parley.wire.inlets import COUNT, Inlet, placed_model

_NULL: Final = Raw(b"null")
_NOT_TRUE: Final = (Raw(b"false"), _NULL)
_WORDS_FOR_TRUE: Final = frozenset({"true", "True", "1"})
MAX_PREFIX: Final = 4096


class Asked:
    """A request as far as it was read: the model's name, whether a stream is wanted, all members undecoded.

    Of a multipart request ``form`` holds the parts, and there are no members.
    """

    __slots__ = ("form", "members", "model", "streams")

    def __init__(self, model: str, streams: bool, members: jsontext.Members, form: Form | None = None) -> None:
        self.model = model
        self.streams = streams
        self.members = members
        self.form = form


def read_by(inlet: Inlet, request: Request) -> Asked:
    """Read what routing needs of a request of any kind."""
    if inlet.form:
        return asked_by_form(inlet, request)
    prepared = inlet.wire.prepared
    if prepared is not None and not (inlet.placed or request.prepared):
        request.body = prepared(request.body)
        request.prepared, request.members = True, None
    if inlet.placed:
        return asked_by_path(inlet, request)
    members = request.members
    return asked(inlet, request.body) if members is None else asked_of(inlet, members)


def asked(inlet: Inlet, body: bytes) -> Asked:
    """Read what routing needs. Raises ``invalid_json`` or ``invalid_request`` naming the field."""
    return asked_of(inlet, jsontext.members(body))


def asked_of(inlet: Inlet, members: jsontext.Members) -> Asked:
    """The same of members that are read already."""
    named = members.get("model")
    model = inlet.model if named is None else jsontext.text(named)
    if not model:
        raise invalid("model is required and must be a string", "model")
    wanted = members.get(inlet.stream_member)
    streams = inlet.streams if wanted is None or wanted == _NULL else wanted == inlet.stream_value
    if wanted is not None and not streams and wanted not in _NOT_TRUE and inlet.stream_member == "stream":
        raise invalid("stream must be true or false", "stream")
    _demand(inlet, members)
    return Asked(model, streams, members)


def _demand(inlet: Inlet, members: jsontext.Members) -> None:
    if inlet.demanded:
        value = members.get(inlet.demanded)
        if value is None or memoryview(value)[0] not in inlet.first:
            raise invalid(f"{inlet.demanded} is required and must be {inlet.kinds}", inlet.demanded)


def asked_by_path(inlet: Inlet, request: Request) -> Asked:
    """The same for a request whose path names the model, and says whether a stream is wanted."""
    model = placed_model(request.target)
    if not model or not model.isprintable():
        raise invalid("the path must name a model", "model")
    if inlet.wire.prepared is not None:
        request.body = inlet.wire.prepared(request.body)
    members = jsontext.members(request.body)
    if not inlet.counts:
        # A request to count may hold the one that is counted.
        _demand(inlet, members)
    return Asked(model, inlet.streams, members)


def asked_by_form(inlet: Inlet, request: Request) -> Asked:
    """The same for a multipart request."""
    kinds = [value for name, value in request.headers if name == b"content-type"]
    form = multipart.read(request.body, kinds[0] if len(kinds) == 1 else b"")
    model = form.field("model")
    model = inlet.model if model is None else model
    if not model:
        raise invalid("model is required", "model")
    return Asked(model, form.field("stream") in _WORDS_FOR_TRUE, {}, form)


def prefix_of(inlet: Inlet, members: jsontext.Members) -> bytes:
    """The beginning of the conversation, for ``prefix_hash``; b"" where there is none."""
    said = members.get(inlet.demanded or "input")
    return b"" if said is None else bytes(memoryview(said)[:MAX_PREFIX])


def able(registration: Registration, providers: Mapping[str, Provider], operation: str) -> Registration | None:
    """The registration with the targets that can carry an operation, None where there are none."""
    targets = tuple(target for target in registration.targets if can(providers.get(target.provider), operation))
    if len(targets) == len(registration.targets):
        return registration
    return replace(registration, targets=targets, endpoint=operation) if targets else None


def unknown_model(settings: Settings, operation: str, model: str, holder: Holder | None = None) -> ParleyError:
    """Names what there is, so that a typing error is seen at once; to the ``holder`` of a key only what is for it."""
    served = [name for name in OPERATIONS if name != operation and _serves(settings, name, model)]
    if served:
        what = "chat" if operation == COUNT else operation
        message = f"the model {model[:200]!r} does not serve {what}; it serves: {', '.join(served)}"
        return ParleyError(Failure("model_not_found", message, param="model"))
    names = {*(name for _, name in settings.registrations), *settings.offered}
    known = sorted(name for name in names if holder is None or holder.asks(name))
    shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    if holder is not None and holder.models:
        return ParleyError(Failure("model_not_found", f"no model {model[:200]!r}; there is: {shown}", param="model"))
    providers = ", ".join(sorted(name for name in settings.providers if "#" not in name)[:20])
    message = f"no model {model[:200]!r}; there is: {shown or 'none'}; or provider/model with one of: {providers}"
    return ParleyError(Failure("model_not_found", message, param="model"))


def _serves(settings: Settings, operation: str, model: str) -> bool:
    registration = settings.find(operation, model)
    return registration is not None and able(registration, settings.providers, operation) is not None
