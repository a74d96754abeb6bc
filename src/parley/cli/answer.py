"""An answer of a gateway, as it comes in: text to stdout while it streams, errors to an exit code.

Each of the three has ``feed(data)`` and ``close()``, so that in-process and remote answers are read alike.
"""

import json
import sys
from typing import Any, Protocol

import click

from parley.cli.exits import Code, code_of, stop

DONE = b"[DONE]"


class Listener(Protocol):
    """Takes the body of one answer."""

    def feed(self, data: bytes) -> None:
        """The next bytes."""

    def close(self) -> None:
        """The end; stops the command where the answer was an error or is not whole."""


def listener(status: int, content_type: str, as_json: bool) -> Listener:
    """What reads an answer with this head."""
    if status != 200:
        return Refused(status)
    if content_type.startswith("text/event-stream") and not as_json:
        return Spoken()
    return Whole(as_json)


class Refused:
    """An error answer: its message goes to stderr, its code decides the exit code."""

    def __init__(self, status: int) -> None:
        self._status = status
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        """Collect."""
        self._data += data

    def close(self) -> None:
        """Tell the error and stop."""
        refuse(_object(bytes(self._data)), self._status, bytes(self._data))


class Whole:
    """A complete answer: the object as it came, or its text."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        """Collect."""
        self._data += data

    def close(self) -> None:
        """Print it."""
        answer = _object(bytes(self._data))
        if not answer:
            stop(Code.UPSTREAM, "the answer is not a JSON object.")
        if self._as_json:
            click.echo(bytes(self._data).strip().decode())
            return
        text = Spoken()
        text.take(answer, "message", whole=True)
        text.close()


class Spoken:
    """A streamed answer: its text is printed piece by piece."""

    def __init__(self) -> None:
        from parley.framing import SseReader

        self._reader = SseReader()
        self._last = "\n"
        self._finish = ""
        self._done = False
        self._thought = 0
        self._calls = False
        self._clean = sys.stdout.isatty()

    def feed(self, data: bytes) -> None:
        """Print the text of the events that are complete."""
        from parley.failure import ParleyError

        try:
            frames = self._reader.feed(data)
        except ParleyError as error:
            self._break()
            stop(code_of(error.failure.kind), str(error))
        for frame in frames:
            if frame.data == DONE:
                self._done = True
            else:
                self._event(frame.data)

    def close(self) -> None:
        """End the line; tell what the text alone does not say. Stops where the end was not seen."""
        self._break()
        if not self._done:
            stop(Code.UPSTREAM, "the answer broke off before its end.")
        for note in self._notes():
            click.echo(click.style(note, dim=True), err=True)

    def take(self, answer: dict[str, Any], member: str, *, whole: bool = False) -> None:
        """Print what an answer object adds; ``member`` is where its first choice keeps the message."""
        self._done = whole
        choice = _first(answer.get("choices"))
        message = _dict(choice.get(member))
        self._thought += len(_text(message.get("reasoning_content")) or _text(message.get("reasoning")))
        self._calls = self._calls or bool(message.get("tool_calls"))
        self._write(_text(message.get("content")) or _text(message.get("refusal")))
        self._finish = _text(choice.get("finish_reason")) or self._finish

    def _event(self, data: bytes) -> None:
        event = _object(data)
        if event.get("error") or not event:
            self._break()
            refuse(event, 0, data)
        self.take(event, "delta")

    def _write(self, text: str) -> None:
        if text:
            click.echo(safe(text) if self._clean else text, nl=False)
            self._last = text[-1]

    def _break(self) -> None:
        if self._last != "\n":
            click.echo()
            self._last = "\n"

    def _notes(self) -> list[str]:
        notes = []
        if self._thought:
            notes.append(f"({self._thought} characters of reasoning not shown; --json shows the whole answer)")
        if self._calls:
            notes.append("(the answer calls tools; --json shows the whole answer)")
        if self._finish == "length":
            notes.append("(cut at the limit of tokens)")
        if self._finish == "content_filter":
            notes.append("(withheld or cut by the provider's content filter)")
        return notes


def refuse(body: dict[str, Any], status: int, raw: bytes) -> None:
    """Stop with an error body's message, or its first bytes where it has none."""
    error = body.get("error")
    fields = {"message": error} if isinstance(error, str) else _dict(error)
    text = _text(fields.get("message")) or raw[:300].decode("utf-8", "replace").strip() or "no reason given"
    code = _text(fields.get("code"))
    mark = " ".join(part for part in (str(status or ""), code) if part)
    stop(code_of(code, status), f"{safe(text)}{f' ({mark})' if mark else ''}", _fix(code))


def safe(text: str) -> str:
    """``text`` without the power to command a terminal: control characters are shown as signs, line ends kept."""
    return "".join(sign if sign in "\n\t" or sign.isprintable() else _shown(sign) for sign in text)


def _shown(sign: str) -> str:
    if ord(sign) < 32:
        return chr(0x2400 + ord(sign))
    return "\u2421" if 127 <= ord(sign) < 160 else sign


def _fix(code: str) -> str:
    return "`parley models` lists what can be asked for." if code == "model_not_found" else ""


def _object(data: bytes) -> dict[str, Any]:
    try:
        return _dict(json.loads(data))
    except ValueError:
        return {}


def _first(choices: Any) -> dict[str, Any]:
    found = choices if isinstance(choices, list) else []
    return next((item for item in found if isinstance(item, dict) and item.get("index", 0) == 0), {})


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
