"""A worker as nodes know it, which does what its models are called and records what it is sent."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)
USAGE = {"prompt_tokens": 22, "total_tokens": 68, "completion_tokens": 46}
GIGABYTE = 1 << 30


class Sent(NamedTuple):
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body."""
        return json.loads(self.body)


class Worker(ThreadingHTTPServer):
    """Listens on loopback. ``words`` are what it answers text with; ``hold`` stops answers to the model "held"."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int = 0, words: str = "Hello there") -> None:
        self.sent: list[Sent] = []
        self.looks: list[str] = []
        self.words = words
        self.picture: Any = {"b64_json": "QUJD"}
        self.hold = threading.Event()
        self.held = threading.Semaphore(0)
        self.written = 0
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        """Its root."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers who leave are no errors of ours."""


@contextmanager
def worker(port: int = 0, words: str = "Hello there") -> Iterator[Worker]:
    """One that serves until the end of the block."""
    server = Worker(port, words)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Worker

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        self.server.looks.append(self.path)
        if self.path == "/picture.png":
            self._whole(PIXEL, "image/png")
        elif self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("location", "/picture.png")
            self.send_header("content-length", "0")
            self.end_headers()
        elif self.path == "/large":
            self.send_response(200)
            self.send_header("content-length", str(GIGABYTE))
            self.end_headers()
        else:
            self._whole(b"", "text/plain", 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        sent = Sent(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        self.server.sent.append(sent)
        if "images" in self.path:
            self._whole(json.dumps({"code": 0, "message": "success", "created": 5, "data": [self.server.picture]}))
            return
        asked = sent.json
        model = asked["model"]
        if model == "refuses":
            self._whole(json.dumps({"code": 1234, "message": "no such luck"}))
        elif model == "sick":
            self._whole(json.dumps({"code": 9, "message": "I am unwell"}), status=500)
        elif model == "endless":
            self._endless()
        elif asked.get("stream") and model != "whole":
            self._events(model)
        else:
            if model == "held":
                self.server.held.release()
                self.server.hold.wait(30)
            self._whole(self._answer(), kind="application/json")

    def _answer(self) -> str:
        message = {"role": "assistant", "content": self.server.words}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        head = {"code": 0, "message": "success", "created": 1677652288, "model": "Llama3-8B"}
        return json.dumps({**head, "choices": [choice], "usage": USAGE, "x_worker": [1]})

    def _events(self, model: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        for word in self.server.words.split(" "):
            self._event({"index": 0, "delta": {"content": word}, "logprobs": None, "finish_reason": None})
        if model == "breaks":
            return
        last = {"index": 0, "delta": {"content": ""}, "finish_reason": "stop", "stop_reason": 128009}
        self._event(last, usage=USAGE)
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, choice: dict[str, Any], **more: Any) -> None:
        chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(GIGABYTE))
        self.end_headers()
        self.close_connection = True
        piece = b'{"choices":["' + b"x" * (1 << 16)
        while self.server.written < GIGABYTE:
            self.wfile.write(piece)
            self.server.written += len(piece)

    def _whole(self, body: str | bytes, kind: str = "application/json", status: int = 200) -> None:
        data = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        # A kept connection would outlive its server.
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    # A process of its own, which ends when its standard input does.
    with worker() as alone:
        print(alone.url, flush=True)  # noqa: T201 (the parent reads this line)
        sys.stdin.read()
