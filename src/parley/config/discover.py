"""Looks for model servers that run on this machine. Opens sockets to loopback only, waits briefly, never raises."""

import json
import selectors
import socket
import time
from collections.abc import Callable, Iterable
from typing import TypeAlias

from parley import vendors
from parley.config.environment import Discovered
from parley.settings import Provider

LOOPBACK = "127.0.0.1"
CONNECT = 0.05
ANSWER = 0.3
LARGEST = 1 << 20

Ports: TypeAlias = Iterable[tuple[str, int]]


def usual_ports() -> tuple[tuple[str, int], ...]:
    """Vendor and port of each server that is looked for."""
    rows = vendors.vendors().values()
    return tuple((row.name, row.port) for row in rows if row.discovered and row.port is not None)


def discover(ports: Ports | None = None, host: str = LOOPBACK) -> tuple[Discovered, ...]:
    """Servers that answer a GET of /v1/models, or of what their row names, with a list, in the order of ``ports`` (the
    usual ones).

    Takes at most 50 ms where nobody listens and about 350 ms in all, however many ports there are.
    """
    doors: list[_Door] = []
    try:
        for name, port in usual_ports() if ports is None else ports:
            doors.extend(_Door(name, host, port, path) for path in vendors.vendors()[name].listed)
        _ask_all([door for door in doors if door.knock()])
    except OSError:
        return ()
    finally:
        for door in doors:
            door.socket.close()
    found: dict[str, Discovered] = {}
    for door in doors:
        item = _discovered(door)
        if item is not None:
            found.setdefault(door.name, item)
    return tuple(found.values())


class _Door:
    """One server being asked: first the connection, then the request, then the answer."""

    def __init__(self, name: str, host: str, port: int, path: str) -> None:
        self.name, self.host, self.port = name, host, port
        self.request = f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\nAccept: application/json\r\n\r\n".encode()
        self.answer = b""
        self.connected = False
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)

    def knock(self) -> bool:
        """Begin to connect; False for an address that is none."""
        try:
            self.socket.connect_ex((self.host, self.port))
        except (OSError, OverflowError):
            return False
        return True

    def step(self) -> bool:
        """Go on where the socket is ready; False when there is nothing more to wait for."""
        try:
            if not self.connected:
                self.connected = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
                return self.connected and self._send()
            if self.request:
                return self._send()
            return self._receive()
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _send(self) -> bool:
        """Send what is left of the request."""
        self.request = self.request[self.socket.send(self.request) :]
        return True

    def _receive(self) -> bool:
        """Take what has come; a server may keep the connection open behind a whole answer."""
        data = self.socket.recv(65536)
        self.answer += data
        return bool(data) and len(self.answer) <= LARGEST and _body(self.answer) is None

    def told_by(self, other: "_Door") -> bool:
        """Whether what is behind this one has told its models there."""
        return other.name == self.name and _discovered(other) is not None

    @property
    def wanted(self) -> int:
        """What to wait for."""
        return selectors.EVENT_READ if self.connected and not self.request else selectors.EVENT_WRITE


def _ask_all(doors: list[_Door]) -> None:
    """Collect the answers of all, asked at the same time."""
    began = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for door in doors:
            selector.register(door.socket, door.wanted, door)
        _turn(selector, began + CONNECT, lambda door: not door.connected)
        for door in doors:
            if not door.connected:
                _drop(selector, door)
        _turn(selector, began + CONNECT + ANSWER, lambda door: not any(map(door.told_by, doors)))


def _turn(selector: selectors.BaseSelector, until: float, waits: Callable[[_Door], bool]) -> None:
    """Serve ready sockets until the time is over or no door is waited for any more."""
    while any(waits(key.data) for key in selector.get_map().values()):
        left = until - time.monotonic()
        if left <= 0:
            return
        for key, _ in selector.select(left):
            if key.data.step():
                selector.modify(key.fileobj, key.data.wanted, key.data)
            else:
                _drop(selector, key.data)


def _drop(selector: selectors.BaseSelector, door: _Door) -> None:
    """Stop asking; closing twice does no harm."""
    if door.socket.fileno() >= 0:
        selector.unregister(door.socket)
        door.socket.close()


def _body(answer: bytes) -> bytes | None:
    """The body of a whole answer of status 200 that states its length, None otherwise."""
    head, end, body = answer.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n")[1:] if end else ():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and value.strip().isdigit():
            size = int(value)
            return body[:size] if len(body) >= size else None
    return None


def _discovered(door: _Door) -> Discovered | None:
    """The provider behind an answer, None where it is no list of models."""
    status, _, _ = door.answer.partition(b"\r\n")
    if not status.startswith(b"HTTP/1.") or status[9:12] != b"200":
        return None
    models = _models(_body(door.answer) or door.answer.partition(b"\r\n\r\n")[2])
    return None if models is None else Discovered(_provider(door.name, door.host, door.port), models)


def _models(body: bytes) -> tuple[str, ...] | None:
    """Model ids of an OpenAI model list; Ollama says null for none, and ``models`` with names in its own list."""
    try:
        found = json.loads(body)
        listed = found["models"] if "models" in found and "data" not in found else found["data"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if listed is None:
        return ()
    if not isinstance(listed, list):
        return None
    ids = (item.get("id", item.get("name")) for item in listed if isinstance(item, dict))
    return tuple(item for item in ids if isinstance(item, str) and item)


def _provider(name: str, host: str, port: int) -> Provider:
    """The provider of that row at that address."""
    row = vendors.vendors()[name]
    literal = f"[{host}]" if ":" in host else host
    wire = row.wires[row.default]
    return vendors.provider_of(row, row.name, wire, endpoints=(f"http://{literal}:{port}",))
