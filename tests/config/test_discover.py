"""Model servers on this machine: found by asking, quickly, and never at the price of an exception."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from parley.config import Discovered
from parley.config import discover as looking
from parley.config.discover import discover, usual_ports

# Nothing here takes that long, unless it is a limit of so many seconds that is waited for.
LONG = 30.0
LIMITS = (looking.CONNECT, looking.ANSWER)
LISTED = b'{"object":"list","data":[{"id":"a"},{"id":"b/c"},{"no":"id"},5]}'
Serve = Callable[[socket.socket], None]


def answer(body: bytes, status: bytes = b"200 OK", length: bool = True, close: bool = True) -> Serve:
    """A server that reads the request and answers."""
    head = b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: %d\r\n\r\n" % len(body) if length else b"\r\n"

    def serve(peer: socket.socket) -> None:
        asked.append(_request(peer))
        peer.sendall(head)
        peer.sendall(body)
        if not close:
            peer.recv(1)

    asked: list[bytes] = []
    serve.asked = asked  # type: ignore[attr-defined]
    return serve


def silent(peer: socket.socket) -> None:
    """A server that reads the request and says nothing until the caller leaves."""
    _request(peer)
    peer.recv(1)


def flood(peer: socket.socket) -> None:
    """A server that never stops."""
    _request(peer)
    while True:
        peer.sendall(b"x" * 65536)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be busy: the servers here have their time."""
    limited(monkeypatch, LONG, LONG)


def limited(monkeypatch: pytest.MonkeyPatch, connect: float, answer: float) -> None:
    monkeypatch.setattr(looking, "CONNECT", connect)
    monkeypatch.setattr(looking, "ANSWER", answer)


def _request(peer: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\r\n\r\n") and (more := peer.recv(4096)):
        data += more
    return data


@contextmanager
def server(serve: Serve) -> Iterator[int]:
    """One connection on a free port, served in a thread."""

    def run() -> None:
        try:
            peer, _ = listener.accept()
            with peer:
                serve(peer)
        except OSError:
            return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(30)
            assert not thread.is_alive()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize("length", [True, False], ids=["length", "until close"])
def test_a_server_and_its_models(length: bool) -> None:
    serve = answer(LISTED, length=length)
    with server(serve) as port:
        [found] = discover([("vllm", port)])
    assert found.models == ("a", "b/c")
    assert found.provider.name == "vllm"
    assert found.provider.wire == "openai_chat"
    assert found.provider.endpoints == (f"http://127.0.0.1:{port}/v1",)
    assert found.provider.keys == ()
    [request] = serve.asked  # type: ignore[attr-defined]
    assert request.startswith(b"GET /v1/models HTTP/1.0\r\nHost: 127.0.0.1:%d\r\n" % port)


def test_a_server_that_keeps_the_connection_open() -> None:
    with server(answer(LISTED, close=False)) as port:
        began = time.monotonic()
        [found] = discover([("lmstudio", port)])
        assert time.monotonic() - began < LONG
    assert found.models == ("a", "b/c")


def test_a_server_without_models() -> None:
    with server(answer(b'{"object":"list","data":null}')) as port:
        [found] = discover([("ollama", port)])
    assert found.models == ()


@pytest.mark.parametrize("path", [b"/v1/models", b"/api/tags"])
@pytest.mark.parametrize("listed", [LISTED, b'{"models":[{"name":"a","model":"a"},{"name":"b/c"},{},5]}'])
def test_one_of_two_paths_is_enough(path: bytes, listed: bytes) -> None:
    """The other one is not there, or never answers."""
    left = threading.Event()

    def serve(peer: socket.socket) -> None:
        with peer:
            if _request(peer).startswith(b"GET " + path):
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(listed), listed))
            left.wait(LONG)

    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        listener.settimeout(LONG)
        stack.callback(left.set)
        asking = threading.Thread(target=lambda: told.extend(discover([("ollama", listener.getsockname()[1])])))
        told: list[Discovered] = []
        began = time.monotonic()
        asking.start()
        serving = [threading.Thread(target=serve, args=(listener.accept()[0],)) for _ in range(2)]
        for one in serving:
            one.start()
        asking.join(LONG)
        left.set()
        for one in serving:
            one.join(LONG)
    (found,) = told
    assert found.models == ("a", "b/c")
    assert time.monotonic() - began < LONG


@pytest.mark.parametrize(
    "serve",
    [
        answer(b"<html>", length=False), answer(b"{}"), answer(b'{"data":5}'), answer(b"[1]"), answer(b"\xff\xfe"),
        answer(LISTED, status=b"404 Not Found"), answer(LISTED, status=b"401 Unauthorized"), answer(b"[" * 100000),
        lambda peer: peer.sendall(b"SSH-2.0-x\r\n"), lambda peer: None,
    ],
)  # fmt: skip
def test_something_else_listens(serve: Serve) -> None:
    with server(serve) as port:
        assert discover([("vllm", port)]) == ()


@pytest.mark.parametrize("serve", [silent, flood])
def test_a_server_that_does_not_come_to_an_end(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is silent has its time and no more, and of one that never stops no more than a limit is read."""
    assert sum(LIMITS) <= 0.35
    if serve is silent:
        limited(monkeypatch, *LIMITS)
    with server(serve) as port:
        began = time.monotonic()
        assert discover([("vllm", port)]) == ()
        assert time.monotonic() - began < LONG


def test_all_are_asked_at_the_same_time_and_keep_their_order() -> None:
    """None of them says anything before all are asked."""
    asked = threading.Barrier(4)

    def after_all(serve: Serve) -> Serve:
        def waiting(peer: socket.socket) -> None:
            asked.wait(LONG)
            serve(peer)

        return waiting

    with ExitStack() as stack:
        serves = [after_all(one) for one in (lambda peer: None, answer(LISTED), _request, answer(LISTED))]
        ports = [stack.enter_context(server(serve)) for serve in serves]
        doors = list(zip(("sglang", "llama.cpp", "vllm", "lmstudio"), ports, strict=True))
        found = discover([*doors, ("ollama", closed_port())])
    assert [item.provider.name for item in found] == ["llama.cpp", "lmstudio"]


def test_nobody_is_there() -> None:
    """Nor is anybody waited for."""
    began = time.monotonic()
    assert discover([(name, closed_port()) for name in ("ollama", "vllm")]) == ()
    assert time.monotonic() - began < LONG


def test_nonsense_is_no_exception() -> None:
    assert discover([("vllm", 70000)]) == ()
    assert discover([("vllm", 1)], host="not an address") == ()
    assert discover([]) == ()


def test_the_usual_ports() -> None:
    assert dict(usual_ports()) == {"ollama": 11434, "llama.cpp": 8080, "vllm": 8000, "lmstudio": 1234}
