"""Chat: the last words of the user once more, up to the limits that were asked for."""

import re
import time
from collections.abc import Iterator

from parley import jsontext
from parley.failure import Failure, ParleyError
from parley.fold import unfold
from parley.io.echo.asked import EVENTS, JSON, Ask, Said
from parley.ir import ChatRequest, ChatResponse, Choice, Delta, Event, Stop, Text, Usage
from parley.tokens import words
from parley.wire import PARAMETERS, Reply, load

_WORD = re.compile(r"\s*\S+|\s+\Z")


def chat(ask: Ask) -> Said:
    """A completion, word by word where it is streamed."""
    wire = load(PARAMETERS)
    request = wire.decode_request(jsontext.whole(ask.body))
    number = f"chatcmpl-echo-{ask.number}"
    answer = respond(request, number)
    reply = Reply(model=request.model, id=number, created=int(time.time()), include_usage=request.include_usage)
    if not request.stream:
        return Said(JSON, iter((wire.encode_response(answer, reply),)))
    encoder = wire.stream_encoder(reply)
    return Said(EVENTS, (encoder.feed(event) for event in word_by_word(answer)))


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
