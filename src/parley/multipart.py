"""Multipart forms that are read no further than needed: the parts of a body, and editing a field in place.

Parts are views into the body; nothing is copied. Strict where readers differ, since a form that two servers
read differently hides a field from one of them. Sources: RFC 7578, RFC 2046 section 5.1.
"""

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from parley.failure import Failure, ParleyError

Pieces: TypeAlias = tuple[bytes | memoryview, ...]

MAX_PARTS: Final = 200
MAX_HEAD: Final = 8192
# RFC 2046 section 5.1.1: 1 to 70 of these, not ending in a space.
_BOUNDARY: Final = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_PARAMETER: Final = re.compile(rb';\s*([A-Za-z0-9*_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))')
_ESCAPED: Final = re.compile(rb'\\(["\\])')
# What browsers write for a quotation mark or a line end in a name (WHATWG form submission).
_PERCENT: Final = ((b"%22", b'"'), (b"%0D", b"\r"), (b"%0A", b"\n"))


class Part:
    """One part. ``filename`` is None for a plain field; ``start`` and ``end`` are where ``data`` is in the body."""

    __slots__ = ("content_type", "data", "end", "filename", "name", "start")

    def __init__(self, name: str, filename: str | None, content_type: str, data: memoryview, start: int) -> None:
        self.name = name
        self.filename = filename
        self.content_type = content_type
        self.data = data
        self.start = start
        self.end = start + len(data)

    def text(self) -> str:
        """A field's text. Raises ``invalid_request`` where it is not UTF-8."""
        try:
            return bytes(self.data).decode()
        except UnicodeDecodeError:
            raise _bad(f"{self.name} is not UTF-8 text", self.name) from None


class Form:
    """A multipart body that was read. ``boundary`` without the leading dashes."""

    __slots__ = ("body", "boundary", "parts")

    def __init__(self, body: bytes, boundary: bytes, parts: list[Part]) -> None:
        self.body = body
        self.boundary = boundary
        self.parts = parts

    def field(self, name: str) -> str | None:
        """The text of a field, None where there is none. Raises where it is there twice, or is a file."""
        found = [part for part in self.parts if part.name == name]
        if not found:
            return None
        if len(found) > 1:
            raise _bad(f"{name} is given twice", name)
        if found[0].filename is not None:
            raise _bad(f"{name} must be a plain field, not a file", name)
        return found[0].text()

    def fields(self) -> dict[str, list[str]]:
        """Plain fields with their texts, in order."""
        made: dict[str, list[str]] = {}
        for part in self.parts:
            if part.filename is None:
                made.setdefault(part.name, []).append(part.text())
        return made

    def files(self) -> frozenset[str]:
        """The names of parts that are files."""
        return frozenset(part.name for part in self.parts if part.filename is not None)

    def edited(self, changes: Mapping[str, tuple[str, ...] | None]) -> Pieces:
        """The body with fields set to these texts (None: taken out); everything else stays byte for byte."""
        mark = b"--" + self.boundary
        pieces: list[bytes | memoryview] = []
        view = memoryview(self.body)
        for part in self.parts:
            if part.name not in changes:
                pieces += (mark + b"\r\n", view[self._head_of(part) : part.end], b"\r\n")
        for name, values in changes.items():
            for value in values or ():
                pieces.append(b"%b\r\n%b%b\r\n" % (mark, _disposition(name), value.encode()))
        pieces.append(mark + b"--\r\n")
        return tuple(pieces)

    def _head_of(self, part: Part) -> int:
        """Where the part's header lines begin."""
        mark = b"--%b\r\n" % self.boundary
        return self.body.rindex(mark, 0, part.start) + len(mark)


def parse(body: bytes, content_type: bytes) -> list[Part]:
    """The parts of a body of that Content-Type, in order."""
    return read(body, content_type).parts


def read(body: bytes, content_type: bytes) -> Form:
    """The form. Raises ``invalid_request`` where it is not one, is cut short or could be read in two ways."""
    boundary = boundary_of(content_type)
    mark = b"--" + boundary
    if body.startswith(mark):
        position = len(mark)
    else:
        first = body.find(b"\r\n" + mark)
        if first < 0:
            raise _bad("the body does not begin with the boundary that its Content-Type names")
        position = first + 2 + len(mark)
    parts: list[Part] = []
    view = memoryview(body)
    while not body.startswith(b"--", position):
        if not body.startswith(b"\r\n", position):
            raise _bad("a boundary is not followed by a line end")
        head_end = body.find(b"\r\n\r\n", position, position + MAX_HEAD)
        end = body.find(b"\r\n" + mark, position)
        if head_end < 0 or end < 0 or end < head_end + 2:
            raise _bad("the form is cut short, or a part's headers are too long")
        start = head_end + 4
        # A part without content has its boundary right after the blank line.
        data = view[start:end] if end >= start else view[start:start]
        parts.append(part_of(body[position + 2 : head_end], data, start))
        if len(parts) > MAX_PARTS:
            raise _bad(f"the form has more than {MAX_PARTS} parts")
        position = end + 2 + len(mark)
    return Form(body, boundary, parts)


def boundary_of(content_type: bytes) -> bytes:
    """What a Content-Type says stands between the parts. Raises ``invalid_request``."""
    kind, _, _ = content_type.partition(b";")
    if kind.strip().lower() != b"multipart/form-data":
        raise _bad("this operation takes a multipart/form-data body")
    boundary = _parameters(content_type).get("boundary", b"")
    if not _BOUNDARY.fullmatch(boundary):
        raise _bad("the Content-Type names no valid boundary")
    return boundary


def part_of(head: bytes, data: memoryview, start: int) -> Part:
    """A part by the lines of its head. Raises ``invalid_request``."""
    disposition, kind = b"", b""
    for line in head.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon:
            raise _bad("a part has a header line without a colon")
        lowered = name.strip().lower()
        if lowered == b"content-disposition":
            if disposition:
                raise _bad("a part has two Content-Disposition headers")
            disposition = value.strip()
        elif lowered == b"content-type":
            kind = value.strip()
    values = _parameters(disposition)
    if not disposition.lower().startswith(b"form-data") or "name" not in values:
        raise _bad("a part has no name")
    filename = values.get("filename", values.get("filename*"))
    return Part(
        _decoded(values["name"]), None if filename is None else _decoded(filename), kind.decode("latin-1"), data, start
    )


def _parameters(value: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for match in _PARAMETER.finditer(value):
        name = match[1].decode().lower()
        if name in found:
            raise _bad(f"a header gives {name} twice")
        quoted = match[2]
        found[name] = match[3] if quoted is None else _ESCAPED.sub(rb"\1", quoted)
    return found


def _decoded(name: bytes) -> str:
    for written, meant in _PERCENT:
        name = name.replace(written, meant)
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise _bad("a part's name is not UTF-8") from None


def _disposition(name: str) -> bytes:
    for written, meant in _PERCENT:
        name = name.replace(meant.decode(), written.decode())
    return b'Content-Disposition: form-data; name="%b"\r\n\r\n' % name.encode()


def _bad(message: str, param: str | None = None) -> ParleyError:
    return ParleyError(Failure("invalid_request", message, param=param, detail="form"))
