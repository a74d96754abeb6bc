"""Requests taken out of their envelopes: the request proper, the config of the call, and what they are to be.

Whatever is refused names its field. Source: predict contract sections 2 to 5.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_plus

from msgspec import Raw

from parley import jsontext
from parley.failure import Failure, ParleyError, at, invalid
from parley.wire.predict_paths import ADAPTER, CONFIG, DIRECT, EXT, PREDICT, STREAM, TEXTS, named

SPECS: Final = "https://caila.io/specs/mlp-data-gpt.yml#/"
PROXY: Final = "ChatCompletionDirectProxy"
RESULT: Final = "ChatCompletionResult"
# The last word of a data type -> the operation that it is for.
_KINDS: Final = {
    "": "",
    "json": "",
    "AiProxyRequest": "",
    "ChatCompletionRequest": "chat",
    PROXY: "chat",
    "CompletionRequest": "completions",
    "EmbeddingRequest": "embeddings",
}
# Members of the older envelope, each with the operation that it holds a request of; "" for what is not served.
UNION: Final = {
    "chat": "chat",
    "completion": "completions",
    "embedding": "embeddings",
    "image": "image_generation",
    "moderation": "moderation",
    "edit": "",
    "imageEdit": "",
    "imageVariation": "",
    "fineTuning": "",
    "audioTranslate": "",
    "audioTranscribe": "",
}
# What the request proper must have: a list or a text where anything of that kind will do.
_DEMANDS: Final = {
    "chat": ("messages", b"[", "a list"),
    "completions": ("prompt", b'"[', "a string or a list"),
    "embeddings": ("input", b'"[', "a string or a list"),
    "image_generation": ("prompt", b'"', "a string"),
    "moderation": ("input", b'"[', "a string or a list"),
}
_LAST: Final = re.compile(r"[/#.]([^/#.]*)\Z")
_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
_NULL: Final = Raw(b"null")
_SPACE: Final = b" \t\r\n"
_LARGEST: Final = 2**63
_NONE: Final[jsontext.Members] = {}


class Call:
    """One request out of its envelope. ``data`` are the members of the request proper and ``raw`` its text, ``config``
    those of the call's config; ``union`` is the member of the older envelope that held it, "" for none. ``direct``: it
    is to be passed on as it is. ``ignored`` are members of the envelope that nobody knows."""

    __slots__ = (
        "account",
        "config",
        "config_id",
        "data",
        "direct",
        "form",
        "ignored",
        "operation",
        "prefix",
        "raw",
        "service",
        "union",
    )

    def __init__(self, form: str, account: str, service: str, operation: str) -> None:
        self.form = form
        self.account = account
        self.service = service
        self.operation = operation
        self.data: jsontext.Members = _NONE
        self.raw = b""
        self.config: jsontext.Members = _NONE
        self.config_id: int | None = None
        self.union = ""
        self.prefix = ""
        self.direct = False
        self.ignored: tuple[str, ...] = ()


def opened(form: str, operation: str, target: bytes, body: bytes) -> Call:
    """The call. Raises ``invalid_request``, ``invalid_json``; ``not_implemented`` for methods other than predict."""
    path, _, query = target.partition(b"?")
    account, service = ("", "") if form in (ADAPTER, DIRECT) else named(path)
    call = Call(form, account, service, operation)
    _OPENERS[form](call, query, body)
    if not call.direct:
        _typed(call)
    return call


def _bare(call: Call, query: bytes, body: bytes) -> None:
    call.raw, call.data = body, jsontext.members(body)
    if query:
        _queried(call, query)


def _queried(call: Call, query: bytes) -> None:
    kind, config_id = _values(query)
    _kind(call, kind)
    if config_id:
        call.config_id = _config_id(config_id)


@lru_cache(1024)
def _values(query: bytes) -> tuple[str, str]:
    """The data type and the id of a config that a query names."""
    found = {"dataType": "", "configId": ""}
    for pair in query.decode("latin-1").split("&"):
        name, _, value = pair.partition("=")
        if name in found:
            found[name] = unquote_plus(value)
    return found["dataType"], found["configId"]


def _config_id(text: str) -> int:
    if not _INTEGER.fullmatch(text) or not -_LARGEST <= int(text) < _LARGEST:
        raise invalid("configId must be a 64-bit integer", "configId")
    return int(text)


def _objects(call: Call, query: bytes, body: bytes) -> None:
    outer = _outer(call, body)
    call.prefix = "data"
    call.raw = _object_text(outer, "data", required=True)
    call.data = _members(call.raw, "data")
    config = _object_text(outer, "config", required=False)
    call.config = _members(config, "config") if config else _NONE


def _texts(call: Call, query: bytes, body: bytes) -> None:
    outer = _outer(call, body)
    call.prefix = "data"
    call.raw = _string(outer, "data", required=True).encode("utf-8", "surrogatepass")
    call.data = _members(call.raw, "data")
    config = _string(outer, "config", required=False)
    call.config = _members(config.encode("utf-8", "surrogatepass"), "config") if config else _NONE


def _outer(call: Call, body: bytes) -> jsontext.Members:
    outer = jsontext.members(body)
    _kind(call, _string(outer, "dataType", required=False))
    call.ignored = tuple(name for name in outer if name not in ("data", "config", "dataType"))
    return outer


def _method(call: Call, query: bytes, body: bytes) -> None:
    outer = jsontext.members(body)
    name = _string(outer, "methodName", required=True)
    params = jsontext.members(_object_text(outer, "params", required=True))
    for key, value in params.items():
        if jsontext.text(value) is None:
            raise invalid(f"params.{key} must be a string", f"params.{key}")
    message = f"there is no method {name[:100]!r} here: predict is the only one"
    raise ParleyError(Failure("not_implemented", message, status=400, param="methodName"))


def _adapted(call: Call, query: bytes, body: bytes) -> None:
    call.raw, call.data = body, jsontext.members(body)


def _proxied(call: Call, query: bytes, body: bytes) -> None:
    _adapted(call, query, body)
    call.direct = True


_OPENERS: Final[dict[str, Callable[[Call, bytes, bytes], None]]] = {
    PREDICT: _bare,
    CONFIG: _objects,
    TEXTS: _texts,
    STREAM: _texts,
    EXT: _method,
    ADAPTER: _adapted,
    DIRECT: _proxied,
}


def _kind(call: Call, given: str) -> None:
    """What the payload is said to be."""
    if not given:
        return
    last = _LAST.search(given)
    word = given if last is None else last[1]
    operation = _KINDS.get(word)
    if operation is None:
        raise invalid(f"dataType {given[:200]!r} is not served here; {SPECS}ChatCompletionRequest is", "dataType")
    call.operation = operation or call.operation
    call.direct = word == PROXY


def _typed(call: Call) -> None:
    """Out of the older envelope, if it is one; then it must be what it is said to be."""
    name, first, kinds = _DEMANDS[call.operation]
    if name not in call.data:
        _union(call)
        name, first, kinds = _DEMANDS[call.operation]
    value = call.data.get(name)
    if value is None or memoryview(value)[0] not in first:
        where = f"{call.prefix}.{name}" if call.prefix else name
        raise invalid(f"{where} is required and must be {kinds}", where)


def _union(call: Call) -> None:
    found = [name for name, value in call.data.items() if name in UNION and value != _NULL]
    if not found or call.form in (ADAPTER, DIRECT):
        return
    name = found[0]
    where = f"{call.prefix}.{name}" if call.prefix else name
    if len(found) > 1:
        raise invalid(f"only one of {found[0]} and {found[1]} may be given", where)
    if not UNION[name]:
        message = f"{where}: there is no such method here"
        raise ParleyError(Failure("not_implemented", message, status=400, param=where))
    call.ignored += tuple(other for other in call.data if other != name)
    call.union, call.operation, call.prefix = name, UNION[name], where
    call.raw = _object_text(call.data, name, required=True, where=where)
    call.data = _members(call.raw, where)


def _object_text(outer: jsontext.Members, name: str, *, required: bool, where: str = "") -> bytes:
    value = outer.get(name, _NULL)
    if value == _NULL and not required:
        return b""
    if memoryview(value)[0] != 0x7B:
        raise invalid(f"{where or name} must be an object", where or name)
    return bytes(memoryview(value))


def _string(outer: jsontext.Members, name: str, *, required: bool) -> str:
    value = outer.get(name, _NULL)
    found = "" if value == _NULL and not required else jsontext.text(value)
    if found is None:
        raise invalid(f"{name} must be a string", name)
    return found


def _members(text: bytes, where: str) -> jsontext.Members:
    if text.lstrip(_SPACE)[:1] not in (b"{", b""):
        raise invalid(f"{where} must hold a JSON object", where)
    try:
        return jsontext.members(text)
    except ParleyError as error:
        raise at(ParleyError(Failure("invalid_request", f"{where}: {error.failure.message}")), where) from None


def config_members(text: str) -> jsontext.Members:
    """The members of a config that is written or was kept. Raises ``invalid_request`` naming ``config``."""
    return _members(text.encode("utf-8", "surrogatepass"), "config")
