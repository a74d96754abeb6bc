"""An edit of a picture as nodes ask for it: a form, or JSON whose pictures are data or addresses.

What was named by an address is fetched where the operator allows it; then it is a form like any other.
Source: computing node contract sections 2.3, 5.1, 12.1.
"""

import secrets
from base64 import b64decode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from parley import jsontext, multipart
from parley.failure import Failure, ParleyError
from parley.gateway.job import Job
from parley.multipart import Form
from parley.ports import Caller, Request
from parley.wire.data_url import split_data_url
from parley.wire.inlets import Inlet
from parley.wire.node.errors import PARAMETER, parameter, parsing
from parley.wire.node.prepared import in_any_case, selected

if TYPE_CHECKING:
    from parley.gateway import Gateway

LARGEST: Final = 32 * 1024 * 1024
_SELECTS: Final = ("node_id", "project", "model", "cid")
_FILES: Final = ("image", "mask")
_FIELDS: Final = ("prompt", "n", "size", "width", "height", "step", "response_format", "wallet", "signature", "hash")
_KNOWN: Final = frozenset((*_SELECTS, *_FILES, *_FIELDS))
_JSON: Final = b"application/json"
_PROXY: Final = b"/proxy"
_WORKER: Final = "node_worker_edits"
_SAME: Final = frozenset({b"content-type", b"content-length"})


class EditJob(Job):
    """See the module."""

    _ready = False

    def __init__(self, gateway: "Gateway", inlet: Inlet, request: Request, caller: Caller) -> None:
        super().__init__(gateway, inlet, request, caller)
        self._stop: Callable[[], None] | None = None
        self._members: dict[str, Any] = {}
        self._files: list[tuple[str, bytes]] = []

    def run(self) -> None:
        """Make it a form, then as any other."""
        if self._ready:
            super().run()
            return
        try:
            self._open()
        except ParleyError as error:
            self._fault(error.failure)

    def left(self) -> None:
        """The caller has gone."""
        self._halt()
        super().left()

    def cut(self, failure: Failure) -> None:
        """End it from outside."""
        self._halt()
        super().cut(failure)

    def _halt(self) -> None:
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()

    def _fault(self, failure: Failure) -> None:
        self._release()
        self._refuse(failure)

    def _open(self) -> None:
        kind = next((value for name, value in self.request.headers if name == b"content-type"), b"")
        path, _, query = self.request.target.partition(b"?")
        chosen = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
        if kind.partition(b";")[0].strip().lower() == _JSON:
            members = in_any_case(jsontext.whole(self.request.body), _KNOWN)
            chosen = {name: _text(members.get(name)) for name in _SELECTS if members.get(name)} | chosen
            self.model = self._name(path, chosen)
            self._members = members
            self._gather(list(_FILES))
            return
        if self.inlet.wire.name == _WORKER:
            form = multipart.read(self.request.body, kind)
            chosen = {"model": form.field("model") or ""}
            self.model = self._name(path, chosen)
        else:
            self.model = self._name(path, chosen)
            form = multipart.read(self.request.body, kind)
        self._go(b"".join(_named(form, self.model)), kind)

    def _name(self, path: bytes, chosen: dict[str, str]) -> str:
        """The model that is meant, as our own gateway knows it."""
        if self.inlet.wire.name != _WORKER:
            return selected(chosen, proxy=path.endswith(_PROXY))
        if not chosen.get("model"):
            raise parameter("empty model")
        return chosen["model"]

    def _gather(self, names: list[str]) -> None:
        """Take the pictures one after the other, then go on."""
        while names:
            name = names.pop(0)
            value = self._members.pop(name, None)
            if value in (None, "") and name != "image":
                continue
            if not isinstance(value, str) or not value:
                raise parameter("image is required: data or an address")
            data = split_data_url(value)[1]
            if data is None:
                self._fetch(name, value, names)
                return
            self._files.append((name, _decoded(data)))
        boundary = secrets.token_hex(16)
        body = _written(boundary, {**self._members, "model": self.model}, self._files)
        self._go(body, f"multipart/form-data; boundary={boundary}".encode())

    def _fetch(self, name: str, url: str, names: list[str]) -> None:
        fetcher = self.gateway.fetcher
        if fetcher is None:
            raise ParleyError(Failure("url_not_allowed", "this address may not be fetched", param=name))

        def then(found: bytes | Failure) -> None:
            self._stop = None
            if self.over:
                return
            if isinstance(found, Failure):
                self._fault(found)
                return
            self._files.append((name, found))
            try:
                self._gather(names)
            except ParleyError as error:
                self._fault(error.failure)

        self._stop = fetcher.fetch(url, min(LARGEST, self.gateway.settings.limits.upload), then)

    def _go(self, body: bytes, kind: bytes) -> None:
        before = self.request
        headers = [pair for pair in before.headers if pair[0] not in _SAME]
        self.request = Request([*headers, (b"content-type", kind)], body, before.id, before.target, before.source)
        self._ready = True
        super().run()


def _named(form: Form, model: str) -> multipart.Pieces:
    return form.edited({"model": (model,), **dict.fromkeys(("node_id", "project", "cid"))})


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise parsing()
    return value


def _decoded(data: str) -> bytes:
    try:
        return b64decode(data, validate=True)
    except ValueError:
        raise ParleyError(
            Failure("invalid_request", "image is not base64", status=400, upstream_code=str(PARAMETER))
        ) from None


def _written(boundary: str, members: dict[str, Any], files: list[tuple[str, bytes]]) -> bytes:
    """The form. Members that are no words, numbers or truths have no place in one."""
    mark = f"--{boundary}\r\n".encode()
    pieces: list[bytes] = []
    for name, value in members.items():
        if name in ("node_id", "project", "cid") or value is None:
            continue
        if not isinstance(value, str | int | float):
            raise parsing()
        text = value if isinstance(value, str) else jsontext.encode(value).decode()
        head = b'Content-Disposition: form-data; name="%b"\r\n\r\n' % _quoted(name)
        pieces += (mark, head, text.encode(), b"\r\n")
    for name, data in files:
        kind, end = _kind_of(data)
        line = b'Content-Disposition: form-data; name="%b"; filename="%b.%b"\r\n' % (name.encode(), name.encode(), end)
        pieces += (mark, line, b"Content-Type: image/%b\r\n\r\n" % kind, data, b"\r\n")
    return b"".join((*pieces, f"--{boundary}--\r\n".encode()))


def _quoted(name: str) -> bytes:
    for found, written in (('"', "%22"), ("\r", "%0D"), ("\n", "%0A")):
        name = name.replace(found, written)
    return name.encode()


def _kind_of(data: bytes) -> tuple[bytes, bytes]:
    if data.startswith(b"\xff\xd8\xff"):
        return b"jpeg", b"jpg"
    if data[:4] == b"RIFF":
        return b"webp", b"webp"
    return (b"gif", b"gif") if data.startswith(b"GIF8") else (b"png", b"png")
