"""A form with one file, read as it comes in: the file is handed on piece by piece, fields are kept.

As strict as parley.multipart, which reads forms that are there as a whole.
"""

from collections.abc import Callable
from typing import Final

from parley.failure import ParleyError, invalid
from parley.multipart import MAX_HEAD, MAX_PARTS, Part, boundary_of, part_of

MAX_FIELD: Final = 64 * 1024
FILE: Final = "file"
_HEAD_END: Final = b"\r\n\r\n"


class FormFlow:
    """``write`` takes the file's bytes. ``fields`` and, once its head has come, ``file`` are what was in it."""

    def __init__(self, content_type: bytes, write: Callable[[bytes], object]) -> None:
        self._mark = b"\r\n--" + boundary_of(content_type)
        self._write = write
        # The first boundary has no line end before it where nothing is.
        self._rest = b"\r\n"
        self._step: Callable[[], bool] = self._preamble
        self._part: Part | None = None
        self._text = b""
        self._parts = 0
        self.fields: dict[str, str] = {}
        self.file: Part | None = None
        self.size = 0

    def feed(self, data: bytes) -> None:
        """More of it. Raises ``invalid_request``."""
        self._rest += data
        while self._step():
            pass

    def close(self) -> Part:
        """It is whole; the file's head. Raises ``invalid_request`` where it is not, or has no file."""
        if self._step != self._epilogue:
            raise _bad("the form is cut short")
        if self.file is None:
            raise invalid("Missing required parameter: 'file'.", FILE)
        return self.file

    def _preamble(self) -> bool:
        before = self._until_mark()
        return before is not None

    def _until_mark(self) -> bytes | None:
        """Hand on what stands before the next boundary; None where that has not come yet."""
        place = self._rest.find(self._mark)
        kept = len(self._rest) - len(self._mark) + 1 if place < 0 else place
        if kept > 0:
            self._content(self._rest[:kept])
            self._rest = self._rest[kept:]
        if place < 0:
            return None
        self._rest = self._rest[len(self._mark) :]
        self._end_part()
        self._step = self._after
        return self._rest

    def _after(self) -> bool:
        if len(self._rest) < 2:
            return False
        if self._rest.startswith(b"--"):
            self._step = self._epilogue
        elif self._rest.startswith(b"\r\n"):
            self._rest = self._rest[2:]
            self._step = self._head
        else:
            raise _bad("a boundary is not followed by a line end")
        return True

    def _head(self) -> bool:
        end = self._rest.find(_HEAD_END)
        if end > MAX_HEAD or (end < 0 and len(self._rest) > MAX_HEAD):
            raise _bad("a part's headers are too long")
        if end < 0:
            return False
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise _bad(f"the form has more than {MAX_PARTS} parts")
        part = self._part = part_of(self._rest[:end], memoryview(b""), 0)
        if part.filename is not None:
            self._begin_file(part)
        elif part.name in self.fields:
            raise invalid(f"{part.name[:80]} is given twice", part.name[:80])
        self._rest = self._rest[end + len(_HEAD_END) :]
        self._step = self._preamble
        return True

    def _begin_file(self, part: Part) -> None:
        if part.name != FILE:
            raise invalid(f"Unknown parameter: '{part.name[:80]}'.", part.name[:80])
        if self.file is not None:
            raise invalid("file is given twice", FILE)
        self.file = part

    def _content(self, data: bytes) -> None:
        part = self._part
        if part is None:
            return
        if part.filename is not None:
            self.size += len(data)
            self._write(data)
            return
        self._text += data
        if len(self._text) > MAX_FIELD:
            raise invalid(f"{part.name[:80]} is longer than {MAX_FIELD} bytes", part.name[:80])

    def _end_part(self) -> None:
        part, text, self._part, self._text = self._part, self._text, None, b""
        if part is not None and part.filename is None:
            try:
                self.fields[part.name] = text.decode()
            except UnicodeDecodeError:
                raise invalid(f"{part.name[:80]} is not UTF-8 text", part.name[:80]) from None

    def _epilogue(self) -> bool:
        self._rest = b""
        return False


def _bad(message: str) -> ParleyError:
    return invalid(message)
