"""A provider in this process that answers from a script and remembers what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


class Asked:
    """One request as it arrived."""

    def __init__(self, path: str, headers: Mapping[str, str], body: Json) -> None:
        self.path, self.headers, self.body = path, headers, body


class Answer:
    """What to answer: an object, or the events of a stream; ``end`` is what a stream ends with."""

    def __init__(self, value: Any = None, *, events: list[Any] | None = None, end: str = "", status: int = 200) -> None:
        self.value, self.events, self.end, self.status = value, events, end, status


class Script:
    """``answer`` is asked for each request; ``asked`` are those so far."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answer: Callable[[Asked], Answer] = lambda asked: Answer({"error": {"message": "no script"}}, status=500)
        self.url = ""

    @property
    def last(self) -> Asked:
        """The request that came last."""
        return self.asked[-1]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, json.loads(body))
        self.script.asked.append(asked)
        answer = self.script.answer(asked)
        if answer.events is None:
            self._send(answer.status, "application/json", json.dumps(answer.value).encode())
            return
        events = [f"data: {json.dumps(event)}\n\n" for event in answer.events]
        self._send(answer.status, "text/event-stream", ("".join(events) + answer.end).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the tests read what was asked."""


@contextmanager
def scripted() -> Iterator[Script]:
    """A running provider on a free port."""
    script = Script()
    handler = type("Handler", (_Handler,), {"script": script})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def chat_answer(message: Json, reason: str = "stop") -> Answer:
    """A whole answer of OpenAI's wire."""
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 2}}
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    return Answer({"id": "cc-1", "model": "openai-words", "choices": [choice], "usage": usage})


def chunk(delta: Json, reason: str | None = None) -> Json:
    """One chunk of a stream of OpenAI's wire."""
    return {"id": "cc-2", "model": "openai-words", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def candidate(*parts: Json, reason: str | None = "STOP") -> Json:
    """An answer or event of Gemini's wire."""
    ending = {} if reason is None else {"finishReason": reason}
    return {
        "candidates": [{"content": {"role": "model", "parts": list(parts)}, **ending, "index": 0}],
        "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 6, "totalTokenCount": 10},
        "modelVersion": "gemini-words",
        "responseId": "r-1",
    }
