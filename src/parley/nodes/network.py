"""The port behind which other nodes are. A network of one has none."""

from functools import lru_cache
from typing import Any, Final, Protocol
from urllib.parse import quote, unquote

from parley.ports import Call, Flight, Sink

SCHEME: Final = "node://"
# The header in which a request names the nodes that have sent it on, and how many these may be.
VIA: Final = "x-parley-via"
_VIA: Final = b"x-parley-via"
HOPS: Final = 2
LINKS: Final = 8


class Network(Protocol):
    """Carries calls to other nodes. Destinations are made by ``place``."""

    def send(self, call: Call, sink: Sink) -> Flight:
        """Start a call; as every Upstream, failures arrive at the sink, and never before this returns."""

    def close(self) -> None:
        """Leave, and refuse new calls."""

    async def withdraw(self) -> None:
        """Say good-bye and take no more calls of other nodes; what is under way goes on, and so do calls of ours."""

    async def close_down(self) -> None:
        """The same, and say good-bye."""

    def problems(self) -> list[dict[str, Any]]:
        """What /readyz tells: nothing, or that the network is away."""


def place(node: str, operation: str, project: str, model: str, cid: str = "") -> str:
    """The endpoint of a model at a node."""
    return f"{SCHEME}{_quoted(node)}/{operation}/{_quoted(project)}/{_quoted(model)}/{_quoted(cid)}"


def placed(origin: str, path: bytes) -> tuple[str, str, str, str, str]:
    """Node, operation, project, model and cid of a destination. Raises ValueError."""
    _, operation, project, model, cid = path.decode().split("/")
    node = unquote(origin.removeprefix(SCHEME))
    return node, operation, unquote(project), unquote(model), unquote(cid)


def sent_on(head: bytes, node: str, most: int) -> bytes | None:
    """The header lines of a call as ``node`` sends it on; None where it has been there, or at so many already."""
    own = _spelled(node)
    if _VIA not in head.lower():
        return head + _VIA + b": " + own + b"\r\n" if most > 0 else None
    rest: list[bytes] = []
    before: list[bytes] = []
    for line in head.split(b"\r\n"):
        found, _, value = line.partition(b":")
        if found.lower() == _VIA:
            before += [one.strip() for one in value.split(b",") if one.strip()]
        elif line:
            rest.append(line + b"\r\n")
    if own in before or len(before) >= most:
        return None
    return b"%b%b: %b\r\n" % (b"".join(rest), _VIA, b", ".join([*before, own]))


def _quoted(text: str) -> str:
    return quote(text, safe="")


@lru_cache(8)
def _spelled(node: str) -> bytes:
    return _quoted(node).encode()
