"""Events that repeat one another but for the words they carry."""

import re
from functools import cache
from typing import Final

from parley.ir import Delta
from parley.wire import Wire

# A provider whose events always differ in more than their words is given up.
TRIES: Final = 16
MAX_REPEATED: Final = 65536
_SPOKEN: Final = (b'"content":"', b'"text":"', b'"reasoning_content":"', b'"reasoning":"', b'"arguments":"')
# ASCII without quotation marks, backslashes and control characters.
_WORDS: Final = re.compile(rb"[ !#-\[\]-~]+")
# The same with what is not ASCII, to be checked by itself.
_ANY_WORDS: Final = re.compile(rb"[ !#-\[\]-~\x80-\xff]+")
# An event as most servers write it ends so: by itself, as a line, or taken out of its frame.
_EVENT, _LINE, _OBJECT = b"\n\n", b"\n", b""
# Single bytes are looked for as numbers: that is many times as fast as finding bytes.
_LF, _CR, _BACKSLASH = 0x0A, 0x0D, 0x5C
_GROWING: Final = ("text", "thinking")
# A number of JSON that any reader takes.
_NUMBER: Final = re.compile(rb"-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,2})?")
# What one begins with.
_FIRST: Final = b"-0123456789"
_STRINGS: Final = re.compile(rb"[ !#-\[\]-~\x80-\xff]*")
# What may stand in a place where repeated events differ.
_SAID, _STRING, _COUNT = 0, 1, 2


class Steady:
    """Knows an event as it was decoded, up to and from one string in it.

    JSON text that is the same outside of one plain string value decodes to the same thing outside of that value.
    So an event with other plain words in that place needs no decoding to be known as well-formed, and as
    content without an end, an error or usage where the first one was.
    """

    __slots__ = ("_after", "_before", "_tries")

    def __init__(self) -> None:
        self._before = self._after = b""
        self._tries = TRIES

    def learn(self, block: bytes) -> None:
        """Take the event, one block of lines without the blank one, for the pattern. It has been decoded."""
        if not self._tries or not block.startswith(b"data: ") or block.find(b"\n") >= 0:
            return
        self._tries -= 1
        start = max([block.rfind(name) + len(name) for name in _SPOKEN if block.rfind(name) >= 0], default=0)
        end = block.find(b'"', start)
        # Without a backslash every quotation mark begins or ends a string; an odd number of them begins one.
        if 0 < start < end and block.find(b"\\", 0, end) < 0 and block.count(b'"', 0, start) % 2:
            self._before, self._after = block[:start], block[end:] + b"\n\n"

    def repeats(self, data: bytes) -> bool:
        """Whether ``data`` is exactly one such event again. Words that are not ASCII are left to the decoder."""
        before, after = self._before, self._after
        if not before or not data.startswith(before) or not data.endswith(after) or len(data) > MAX_REPEATED:
            return False
        return _WORDS.fullmatch(data, len(before), len(data) - len(after)) is not None


class Refrain:
    """Knows what an event of a provider's stream becomes in the caller's, but for the words in both.

    It was decoded to one Delta, and this encoded. The next event that is the same text but for its words, and for what
    its wire calls ``idle``, decodes to the same Delta but for its text, as long as nothing else came between: where the
    wire says so (``repeats``). What the encoder makes of it is ``head``, words and ``tail``: where the caller's wire
    says so (``forgets``). Elsewhere ``head`` is empty, and it must see ``delta``. The first Delta of a block shows
    nothing: it may begin more than itself.
    """

    __slots__ = (
        "_after", "_before", "_delta", "_ends", "_forgets", "_idle", "_last", "_minds", "_parts", "_tries", "_unframed",
        "head", "tail",
    )  # fmt: skip

    def __init__(self, outlet: Wire, inlet: Wire) -> None:
        self._tries = TRIES if outlet.repeats else 0
        self._forgets = inlet.forgets
        self._idle = outlet.idle
        self._minds = outlet.minds
        self._unframed = outlet.unframed
        self._ends = _LINE if outlet.lines else _EVENT if outlet.unframed is None else _OBJECT
        # Text that is always the same, and what follows it; then what follows all of it.
        self._parts: list[tuple[bytes, int]] = []
        # What precedes the words where nothing else differs, so that there is but one part.
        self._before = self._after = self.head = self.tail = self._last = b""
        self._delta: Delta | None = None

    def words(self, data: bytes) -> bytes:
        """The words where ``data`` is that event again, else nothing."""
        if not self._parts or len(data) > MAX_REPEATED:
            return b""
        before, after = self._before, self._after
        if before:
            if not data.startswith(before) or not data.endswith(after):
                return b""
            words = data[len(before) : len(data) - len(after)]
            if _WORDS.fullmatch(words) is None and not _is_text(words):
                return b""
            self._tries = TRIES
            return words
        return self._among(data if self._unframed is None else self._unframed(data), data)

    def _among(self, text: bytes, data: bytes) -> bytes:
        """The same where more than the words may differ."""
        at, words = 0, b""
        for literal, kind in self._parts:
            start = at + len(literal)
            if text[at:start] != literal:
                return b""
            at = _end(text, start, kind)
            if kind == _SAID:
                words = text[start:at]
        if len(text) - at != len(self._after) or not text.endswith(self._after):
            return b""
        if not text.isascii() and not _is_utf8(text):
            return b""
        if self._minds:
            self._last = data
        self._tries = TRIES
        return words

    def delta(self, words: bytes) -> Delta:
        """What the event says."""
        delta = self._delta
        assert delta is not None
        return Delta(delta.choice, delta.index, delta.kind, words.decode())

    def forget(self) -> bytes:
        """Something else comes: the last event that was known again, where what is idle in it may be remembered."""
        last, self._last = self._last, b""
        self._parts = []
        return last

    def learn(self, data: bytes, delta: Delta, out: bytes) -> None:
        """Take an event for the pattern: ``data`` came by itself, was all that ``delta`` came from, and became ``out``;
        right before it came another Delta of the same block.

        A string that is in the event once, apart from what is idle, and is what the delta says is where it was said:
        without a backslash text stands in JSON as it is, and every quotation mark begins or ends a string.
        """
        if not self._tries or delta.kind not in _GROWING or delta.logprobs is not None:
            return
        self._tries -= 1
        text = data if self._unframed is None else self._unframed(data)
        begin = _begin(text, self._ends)
        if begin < 0 or _BACKSLASH in text:
            return
        quoted = b'"' + delta.text.encode("utf-8", "replace") + b'"'
        spans = _differing(text, begin, self._idle)
        start = _only(text, quoted, spans)
        if not start or not _is_text(quoted[1:-1]) or not text.count(b'"', begin, start) % 2:
            return
        head = tail = b""
        size = len(quoted) - 2
        if self._forgets and delta.kind == "text":
            place = _only(out, quoted, [])
            if not place:
                return
            head, tail = out[:place], out[place + size :]
        self.head, self.tail, self._delta = head, tail, delta
        spans.append((start, start + size, _SAID))
        self._parts, self._after = _cut(text, sorted(spans) if len(spans) > 1 else spans)
        self._before = self._parts[0][0] if len(spans) == 1 and self._unframed is None else b""


def _begin(text: bytes, ends: bytes) -> int:
    """Where the line of data begins in what is one event that ends so, -1 where it is not, or not as most write it."""
    if not text.endswith(ends) or _CR in text:
        return -1
    start = 0
    if ends == _EVENT:
        start = text.find(b"\n") + 1 if text.startswith(b"event: ") else 0
        if text[start : start + 5] != b"data:":
            return -1
    # No other line end than the last.
    return start if _LF not in text[start : len(text) - len(ends)] else -1


def _only(text: bytes, quoted: bytes, spans: list[tuple[int, int, int]]) -> int:
    """Where the string begins that is in the text but once, apart from the spans; 0 where there is none such."""
    if not spans:
        before, found, rest = text.partition(quoted)
        return len(before) + 1 if found and not rest.partition(quoted)[1] else 0
    at = text.find(quoted) + 1
    apart = [start for start, _, _ in spans]
    only = 0
    while at:
        if at not in apart:
            if only:
                return 0
            only = at
        at = text.find(quoted, at) + 1
    return only


@cache
def _named(names: tuple[str, ...]) -> frozenset[bytes]:
    return frozenset(name.encode() for name in names)


def _differing(text: bytes, begin: int, names: tuple[str, ...]) -> list[tuple[int, int, int]]:
    """Start, end and kind of each string or number that has one of those names; of other values none. ``text`` is
    without a backslash."""
    spans: list[tuple[int, int, int]] = []
    if not names or (len(names) == 1 and text.find(b'"%b"' % names[0].encode(), begin) < 0):
        return spans
    known = _named(names)
    # Every other piece is a string.
    pieces = text[begin:].split(b'"')
    at = begin + len(pieces[0]) + 1
    for place in range(1, len(pieces) - 2, 2):
        follows = pieces[place + 1]
        start = at + len(pieces[place]) + 1
        at = start + len(follows) + 1
        if follows.startswith(b":") and pieces[place] in known:
            if follows == b":" or follows == b": ":  # noqa: PLR1714 - a set would have to hash the bytes
                spans.append((at, at + len(pieces[place + 2]), _STRING))
            else:
                _count(follows, start, spans)
    return spans


def _count(follows: bytes, start: int, spans: list[tuple[int, int, int]]) -> None:
    """Add the number that stands behind a name; ``start`` is where the colon does."""
    skipped = 2 if follows.startswith(b": ") else 1
    value = follows[skipped:].partition(b",")[0].partition(b"}")[0].rstrip()
    if value and value[0] in _FIRST:
        spans.append((start + skipped, start + skipped + len(value), _COUNT))


def _cut(text: bytes, spans: list[tuple[int, int, int]]) -> tuple[list[tuple[bytes, int]], bytes]:
    """The text before each span, with the span's kind, and the text after the last."""
    parts, at = [], 0
    for start, end, kind in spans:
        parts.append((text[at:start], kind))
        at = end
    return parts, text[at:]


def _end(text: bytes, start: int, kind: int) -> int:
    """Where the value of that kind ends; where it begins, if there is none."""
    found = (_NUMBER if kind == _COUNT else _STRINGS if kind == _STRING else _ANY_WORDS).match(text, start)
    return start if found is None else found.end()


def _is_text(words: bytes) -> bool:
    """Whether bytes are plain characters of any alphabet."""
    return _ANY_WORDS.fullmatch(words) is not None and _is_utf8(words)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
