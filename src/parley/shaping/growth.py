r"""From a regular expression, another that also matches where the first may still match when more text comes.

Every character, class and assertion ``x`` becomes ``(?:x|\z)``: at the end of what has arrived it is taken as met.
So a match that reaches the end is not decided yet, and one that ends before it is: it was preferred to all that
could still grow from the same place, and nothing can grow from an earlier one.

Repetitions of what may be empty, such as ``(a*)*``, are left alone: there RE2's preferences hang on what is empty.

The syntax is RE2's; that the pattern is valid was seen before. Source: google/re2, doc/syntax.txt.
"""

import re

_TOKEN = re.compile(
    r"""(?P<flags>\(\?[imsU-]+\))
    | (?P<group>\((?:\?(?:P?<\w+>|(?P<set>[imsU-]*):))?)
    | (?P<plain>[)|])
    | (?P<repeat>[*+?]\??|\{\d+(?:,\d*)?\}\??)
    | (?P<class>\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\])
    | (?P<escape>\\(?:[pP](?:\{\^?\w+\}|\w)|x(?:\{[0-9A-Fa-f]+\}|[0-9A-Fa-f]{2})|[0-7]{1,3}|.))
    | (?P<one>.)""",
    re.DOTALL | re.VERBOSE,
)


_ASSERTIONS = frozenset({"^", "$", r"\A", r"\b", r"\B", r"\z"})


class UnsupportedError(ValueError):
    """What the engine takes and we do not."""


class _Reading:
    """How far a pattern has been read: the groups that are open, each with what may be empty in it."""

    __slots__ = ("choice", "item", "open", "sequence")

    def __init__(self) -> None:
        self.open: list[tuple[bool, bool]] = []
        # Whether an alternative before this one, this one without its last item, and the last item may be empty.
        self.choice, self.sequence, self.item = False, True, True

    def take(self, empty: bool) -> None:
        """An item begins behind the last one."""
        self.sequence, self.item = self.sequence and self.item, empty

    def enter(self) -> None:
        """A group opens."""
        self.take(True)
        self.open.append((self.choice, self.sequence))
        self.choice, self.sequence, self.item = False, True, True

    def divide(self) -> None:
        """Another alternative begins."""
        self.choice = self.choice or (self.sequence and self.item)
        self.sequence, self.item = True, True

    def leave(self) -> None:
        """The group closes and is the last item."""
        self.divide()
        empty = self.choice
        self.choice, self.sequence = self.open.pop()
        self.item = empty


def growing(pattern: str) -> str | None:
    """The other expression; None where we cannot tell. Raises UnsupportedError."""
    made: list[str] = []
    reading = _Reading()
    for token in _TOKEN.finditer(pattern):
        written = _written(token, reading)
        if written is None:
            return None
        made.append(written)
    return "".join(made)


def _written(token: re.Match[str], reading: _Reading) -> str | None:
    """One token of the other expression."""
    text = token[0]
    if token["repeat"]:
        if reading.item:
            return None
        reading.item = text[0] in "*?" or text.startswith(("{0,", "{0}"))
    elif token["group"]:
        reading.enter()
        return f"(?{token['set'] or ''}:"
    elif text == ")":
        reading.leave()
    elif text == "|":
        reading.divide()
    elif not token["flags"]:
        return _atom(text, reading)
    return text


def _atom(text: str, reading: _Reading) -> str | None:
    if text == r"\C":
        raise UnsupportedError(r"\C (one byte) is not supported")
    if text in (r"\Q", r"\E"):
        return None
    reading.take(text in _ASSERTIONS)
    return rf"(?:{text}|\z)"
