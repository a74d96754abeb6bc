"""A scripted gateway for the commands to talk to: it keeps what it was sent and answers given bytes."""

import json
import socket
import threading

HOLD = b"(hold the connection)"


class Gateway:
    """Answers every connection with the same bytes, written one part at a time, then closes it."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = parts
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def head(self) -> str:
        return self.requests[0].partition(b"\r\n\r\n")[0].decode().lower()

    @property
    def body(self):
        return json.loads(self.requests[0].partition(b"\r\n\r\n")[2])

    def close(self) -> None:
        if self._thread.is_alive():
            self._listener.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.requests.append(_request(connection))
                for part in self.parts:
                    if part is HOLD:
                        connection.recv(1)  # until the other side goes away
                    else:
                        connection.sendall(part)


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(body: bytes, status: str = "200 OK", kind: str = "application/json") -> bytes:
    """A whole HTTP answer."""
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def stream(*events: object, ended: bool = True) -> bytes:
    """An event stream; a str goes out as it is. Not ``ended``: it goes on until the connection is closed."""
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    body = "".join(f"data: {line}\n\n" for line in lines).encode()
    whole = answer(body, kind="text/event-stream; charset=utf-8")
    return whole if ended else whole.replace(f"content-length: {len(body)}\r\n".encode(), b"")


def delta(text: str, finish: str | None = None, **more: object) -> dict:
    """One chunk of a streamed answer."""
    return {"choices": [{"index": 0, "delta": {"content": text, **more}, "finish_reason": finish}]}
