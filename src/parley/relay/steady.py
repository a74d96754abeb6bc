"""Events that repeat one another but for the words they carry."""

import re
from typing import Final

# A provider whose events always differ in more than their words is given up.
TRIES: Final = 16
MAX_REPEATED: Final = 65536
_SPOKEN: Final = (b'"content":"', b'"text":"', b'"reasoning_content":"', b'"reasoning":"', b'"arguments":"')
# ASCII without quotation marks, backslashes and control characters.
_WORDS: Final = re.compile(rb"[ !#-\[\]-~]+")


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
