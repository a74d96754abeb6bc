"""The built-in provider ``echo``: an Upstream that answers on this machine, without an account and without chance.

The end of a call's path says which operation it is. Chat repeats the caller's words in the configuration's own wire,
so every dialect reaches it as it would reach a provider; embeddings are made of the text's hash, images are drawn
from it, speech is one tone a letter, and a transcription tells the words that such speech carries. Usage counts
white-space separated words. What it cannot do is refused by name (``invalid_request``), never by failing.

asked        requests, read and checked
chat, embeddings, images, speech, transcripts, moderations, rerank   the operations
png, sound   files, written and read
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Final

from parley.failure import Failure, ParleyError
from parley.io.echo.asked import Ask, Said, ask_of
from parley.io.ending import finished
from parley.ports import Call, Flight, Sink

# By the end of the path; imported when first asked for.
OPERATIONS: Final[Mapping[bytes, tuple[str, str]]] = {
    b"/chat/completions": ("chat", "chat"),
    b"/embeddings": ("embeddings", "embeddings"),
    b"/images/generations": ("images", "generation"),
    b"/images/edits": ("images", "edit"),
    b"/images/variations": ("images", "variation"),
    b"/audio/speech": ("speech", "speech"),
    b"/audio/transcriptions": ("transcripts", "transcription"),
    b"/audio/translations": ("transcripts", "translation"),
    b"/moderations": ("moderations", "moderation"),
    b"/rerank": ("rerank", "rerank"),
}
# What is no operation of the provider, but a component's.
COMPONENTS: Final[Mapping[bytes, tuple[str, str]]] = {b"/conversation/converse": ("conversation", "converse")}


class Echo:
    """See the module."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._answered = 0

    def send(self, call: Call, sink: Sink) -> Flight:
        """Answer on the next turns of the loop, one piece each."""
        self._answered += 1
        flight = _Answer(self._loop, call, sink, self._answered)
        self._loop.call_soon(flight.begin)
        return flight

    def close(self) -> None:
        """Nothing is kept."""


def operation_at(path: bytes) -> Callable[[Ask], Said]:
    """What answers at a path. Raises ``not_implemented`` for any other."""
    path = path.partition(b"?")[0]
    for end, (module, name) in (*OPERATIONS.items(), *COMPONENTS.items()):
        if path.endswith(end):
            operation: Callable[[Ask], Said] = getattr(import_module(f"{__name__}.{module}"), name)
            return operation
    raise ParleyError(Failure("not_implemented", "the echo model has no such operation"))


class _Answer:
    __slots__ = ("_call", "_loop", "_number", "_paused", "_pieces", "_sink", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Call, sink: Sink, number: int) -> None:
        self._loop = loop
        self._call = call
        self._number = number
        self._sink: Sink | None = sink
        self._pieces: Iterator[bytes] = iter(())
        self._paused = self._waiting = False

    def begin(self) -> None:
        """Read the request and say how the answer goes."""
        if self._sink is None:
            return
        try:
            said = operation_at(self._call.to.path)(ask_of(self._call, self._number))
        except ParleyError as error:
            self._fail(error.failure)
            return
        except Exception:
            self._crashed()
            return
        self._pieces = said.pieces
        self._sink.head(200, [(b"content-type", said.content_type)])
        self._step()

    def cancel(self) -> None:
        """Say no more."""
        self._sink = None

    def pause(self) -> None:
        """Wait for resume."""
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        self._paused = False
        if self._waiting:
            self._waiting = False
            self._step()

    def _fail(self, failure: Failure) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.failed(failure)

    def _crashed(self) -> None:
        logging.getLogger("parley").exception("an answer could not be handled")
        self._fail(Failure("internal", "the gateway failed to handle the answer"))

    def _step(self) -> None:
        try:
            self._say()
        except Exception:
            self._crashed()

    def _say(self) -> None:
        if self._sink is None:
            return
        if self._paused:
            self._waiting = True
            return
        piece = next(self._pieces, None)
        if piece is None:
            sink, self._sink = self._sink, None
            finished(sink)
            return
        if piece:
            self._sink.body(piece)
        self._loop.call_soon(self._step)
