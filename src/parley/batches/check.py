"""A file of requests, read piece by piece: what is wrong with it, and the chunks in which it is worked on.

Memory is bounded by the longest line and by 50 bytes or so for each request.
"""

from typing import Final

from msgspec import Struct

from parley.batches.line import Fault, LineError, line_of, lines
from parley.batches.seen import Seen

MOST_FAULTS: Final = 100
CHUNK_LINES: Final = 100
CHUNK_BYTES: Final = 1024 * 1024
_TOO_LARGE: Final = "This line is larger than {} bytes, the most that a request may take."


class Chunk(Struct, frozen=True):
    """Neighbouring lines: where they are in the file, in bytes, the number of the first, and how many requests."""

    place: int
    size: int
    line: int
    lines: int


class Check:
    """Feed it the whole file, then ``close``. ``endpoint`` as in line_of; ``longest`` is the most bytes of a line."""

    def __init__(self, endpoint: str, longest: int) -> None:
        self._endpoint, self._longest = endpoint, longest
        self._seen = Seen()
        self._rest = b""
        self._skips = False
        self._read = 0
        self._number = 1
        self._place, self._line, self._lines = 0, 1, 0
        self.faults: list[Fault] = []
        self.more = 0
        self.requests = 0
        # All models that are named.
        self.models: set[str] = set()

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong so far."""
        return not self.faults

    @property
    def model(self) -> str | None:
        """The one model that is named, None where there are several, or none."""
        return next(iter(self.models)) if len(self.models) == 1 else None

    def feed(self, data: bytes) -> list[Chunk]:
        """The next bytes; the chunks that are complete."""
        made: list[Chunk] = []
        text = self._rest + data
        end = text.rfind(b"\n") + 1
        self._rest = text[end:]
        if end:
            for part in text[: end - 1].split(b"\n"):
                self._take(part, len(part) + 1, made)
        if len(self._rest) > self._longest:
            self._too_long()
        return made

    def close(self) -> list[Chunk]:
        """It is over; the last chunk."""
        made: list[Chunk] = []
        if self._rest or self._skips:
            rest, self._rest = self._rest, b""
            self._take(rest, len(rest), made)
        if not self.requests and not self.faults:
            self._wrong(Fault("empty_file", "The input file has no requests.", None))
        self._cut(made)
        return made

    def told(self) -> list[Fault]:
        """The faults that are kept, and how many more there are."""
        if not self.more:
            return self.faults
        message = f"{self.more} more lines are wrong; the first {MOST_FAULTS} are listed."
        return [*self.faults, Fault("more_errors", message)]

    def _take(self, text: bytes, size: int, made: list[Chunk]) -> None:
        number = self._number
        self._read += size
        self._number += 1
        if self._skips:
            # It was too long, and its fault is known; its bytes were counted as they came.
            self._skips = False
            return
        if len(text) > self._longest:
            self._wrong(Fault("line_too_large", _TOO_LARGE.format(self._longest), number))
        else:
            for _, bare in lines(text, number):
                self._request(bare, number)
        if self._lines >= CHUNK_LINES or self._read - self._place >= CHUNK_BYTES:
            self._cut(made)

    def _request(self, bare: bytes, number: int) -> None:
        try:
            line = line_of(bare, number, self._endpoint)
        except LineError as error:
            self._wrong(error.fault)
            return
        if not self._seen.add(line.custom_id):
            message = f"The custom_id {line.custom_id[:80]!r} is that of another request of this file."
            self._wrong(Fault("duplicate_custom_id", message, number, "custom_id"))
        else:
            if line.model is not None:
                self.models.add(line.model)
            self.requests += 1
            self._lines += 1

    def _too_long(self) -> None:
        """Of a line that has no end so far nothing is kept."""
        if not self._skips:
            self._wrong(Fault("line_too_large", _TOO_LARGE.format(self._longest), self._number))
        self._skips = True
        self._read += len(self._rest)
        self._rest = b""

    def _wrong(self, fault: Fault) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(fault)
        else:
            self.more += 1

    def _cut(self, made: list[Chunk]) -> None:
        if self._lines:
            made.append(Chunk(self._place, self._read - self._place, self._line, self._lines))
        self._place, self._line, self._lines = self._read, self._number, 0
