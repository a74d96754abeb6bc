"""Whether what a provider says can be acted upon: an answer must hold one, and every call must have a name and an id of
its own, by which its result is told apart. An id that was counted anew in every answer is counted on, so that no two
calls of a conversation are alike. Source: fault contract U18; provider contract sections 0, 3.6 (3).
"""

import re
from typing import Final

from msgspec.structs import replace

from parley.failure import Failure, ParleyError
from parley.ir import Block, ChatResponse, ToolCall

_COUNTED: Final = re.compile(r"call_[0-9]{1,9}")
_BEFORE: Final = re.compile(rb'"call_([0-9]{1,9})"')


class Calls:
    """The calls of one answer so far, by the choice and the id. ``asked`` is the request, with those made before."""

    __slots__ = ("_asked", "_last", "_seen", "_taken")

    def __init__(self, asked: bytes) -> None:
        self._asked = asked
        self._seen: set[tuple[int, str]] = set()
        self._taken: set[str] = set()
        self._last = -1

    def add(self, choice: int, call: ToolCall) -> ToolCall:
        """Another one, as it is to be known. Raises ``upstream_bad_response``."""
        name = call.id
        if not call.name:
            raise _unsound("the provider's answer holds a tool call without a name")
        if (choice, name) in self._seen:
            raise _unsound("the provider's answer holds two tool calls with the same id")
        self._seen.add((choice, name))
        if _COUNTED.fullmatch(name) is not None and (name in self._taken or self._made(name)):
            name = self._next()
            call = replace(call, id=name)
        self._taken.add(name)
        return call

    def _made(self, name: str) -> bool:
        """Whether a call of that id was made before."""
        return self._asked.find(b'"%b"' % name.encode()) >= 0

    def _next(self) -> str:
        """The next number of those in the request."""
        if self._last < 0:
            self._last = max([int(found) for found in _BEFORE.findall(self._asked)], default=0)
        while True:
            self._last += 1
            if (name := f"call_{self._last}") not in self._taken:
                return name


def checked(response: ChatResponse, asked: bytes) -> ChatResponse:
    """The same answer, its calls as they are to be known. Raises ``upstream_bad_response``."""
    if not response.choices:
        raise _unsound("the provider's answer is empty: it has no choices")
    for choice in response.choices:
        if not choice.content and choice.native is None and choice.stop == "end":
            raise _unsound("the provider's answer holds neither content nor a reason why it ended")
    if not any(type(block) is ToolCall for choice in response.choices for block in choice.content):
        return response
    calls = Calls(asked)
    choices = [replace(choice, content=_known(choice.content, choice.index, calls)) for choice in response.choices]
    return replace(response, choices=tuple(choices))


def _known(content: tuple[Block, ...], choice: int, calls: Calls) -> tuple[Block, ...]:
    return tuple([calls.add(choice, block) if type(block) is ToolCall else block for block in content])


def _unsound(message: str) -> ParleyError:
    return ParleyError(Failure("upstream_bad_response", message, detail="bad_shape"))
