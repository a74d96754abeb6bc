"""The built-in model ``echo``: an Upstream that answers on this machine with the caller's own words.

It speaks the configuration's own wire, so every dialect reaches it as it would reach a provider.
Usage counts white-space separated words; ``max_tokens`` and ``stop`` are honoured; nothing is random.
"""

import asyncio
import logging
import re
import time
from collections.abc import Iterator

from parley import jsontext
from parley.failure import Failure, ParleyError
from parley.fold import unfold
from parley.ir import ChatRequest, ChatResponse, Choice, Delta, Event, Stop, Text, Usage
from parley.ports import Call, Flight, Sink
from parley.tokens import words
from parley.wire import PARAMETERS, Reply, load

_WORD = re.compile(r"\s*\S+|\s+\Z")
_JSON = [(b"content-type", b"application/json")]
_EVENTS = [(b"content-type", b"text/event-stream")]


class Echo:
    """See the module."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._answered = 0

    def send(self, call: Call, sink: Sink) -> Flight:
        """Answer on the next turns of the loop, one piece each."""
        self._answered += 1
        flight = _Answer(self._loop, call, sink, f"chatcmpl-echo-{self._answered}")
        self._loop.call_soon(flight.begin)
        return flight

    def close(self) -> None:
        """Nothing is kept."""


class _Answer:
    __slots__ = ("_call", "_id", "_loop", "_paused", "_pieces", "_sink", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Call, sink: Sink, number: str) -> None:
        self._loop = loop
        self._call = call
        self._id = number
        self._sink: Sink | None = sink
        self._pieces: Iterator[bytes] = iter(())
        self._paused = self._waiting = False

    def begin(self) -> None:
        """Read the request and say how the answer goes."""
        if self._sink is None:
            return
        wire = load(PARAMETERS)
        try:
            request = wire.decode_request(jsontext.whole(b"".join(self._call.body)))
            answer = respond(request, self._id)
        except ParleyError as error:
            self._fail(error.failure)
            return
        reply = Reply(model=request.model, id=self._id, created=int(time.time()), include_usage=request.include_usage)
        if request.stream:
            encoder = wire.stream_encoder(reply)
            self._pieces = (encoder.feed(event) for event in word_by_word(answer))
        else:
            self._pieces = iter((wire.encode_response(answer, reply),))
        self._sink.head(200, _EVENTS if request.stream else _JSON)
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

    def _step(self) -> None:
        try:
            self._say()
        except Exception:
            logging.getLogger("parley").exception("an answer could not be handled")
            self._fail(Failure("internal", "the gateway failed to handle the answer"))

    def _say(self) -> None:
        if self._sink is None:
            return
        if self._paused:
            self._waiting = True
            return
        piece = next(self._pieces, None)
        if piece is None:
            sink, self._sink = self._sink, None
            sink.done()
            return
        if piece:
            self._sink.body(piece)
        self._loop.call_soon(self._step)


def respond(request: ChatRequest, number: str) -> ChatResponse:
    """The whole answer to a request. Raises ``invalid_request`` where no user message is."""
    said = _last_user_text(request)
    text, stop = _limited(said, request)
    count = request.n or 1
    choices = tuple(Choice(index, (Text(text),) if text else (), stop) for index in range(count))
    usage = Usage(input=words(request), output=len(text.split()) * count)
    return ChatResponse(wire=PARAMETERS, id=number, model=request.model, choices=choices, usage=usage)


def word_by_word(answer: ChatResponse) -> Iterator[Event]:
    """The events of the answer with one delta per word."""
    for event in unfold(answer):
        if isinstance(event, Delta):
            for word in _WORD.findall(event.text):
                yield Delta(event.choice, event.index, event.kind, word)
        else:
            yield event


def _last_user_text(request: ChatRequest) -> str:
    for message in reversed(request.messages):
        if message.role == "user":
            return "".join(block.text for block in message.content if isinstance(block, Text))
    raise ParleyError(Failure("invalid_request", "echo needs a message of role user to repeat", param="messages"))


def _limited(text: str, request: ChatRequest) -> tuple[str, Stop]:
    """The text up to the first stop sequence and to ``max_tokens`` words."""
    stop: Stop = "end"
    cuts = [text.index(mark) for mark in request.stop or () if mark and mark in text]
    if cuts:
        text, stop = text[: min(cuts)], "stop_sequence"
    found = _WORD.findall(text)
    if request.max_tokens is not None and len(text.split()) > request.max_tokens:
        text, stop = "".join(found[: request.max_tokens]), "length"
    return text, stop
