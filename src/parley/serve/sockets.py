"""Listening sockets, for one process or for several on the same address."""

import socket
import sys
from typing import Final

BACKLOG: Final = 4096
# Elsewhere the option exists, but all connections go to one of the sockets.
SPREADS: Final = sys.platform == "linux" and hasattr(socket, "SO_REUSEPORT")


def bind(address: str) -> socket.socket:
    """A listening socket for HOST:PORT or [V6]:PORT. Raises OSError."""
    made = _bound(address, shared=False)
    try:
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


class Listeners:
    """What several processes listen on. Raises OSError where an address cannot be had.

    Where the system spreads connections over sockets of one address each process has its own, which does not listen
    yet; elsewhere they have copies of one that does.
    """

    def __init__(self, addresses: tuple[str, ...], spreads: bool = SPREADS) -> None:
        self._addresses = addresses
        # Alone at first: several programs that share an address without knowing of each other are a mistake.
        alone = [bind(address) for address in addresses]
        self._held = [] if spreads else alone
        for one in alone if spreads else ():
            one.close()

    def take(self) -> list[socket.socket]:
        """Those of one process. Raises OSError."""
        return [one.dup() for one in self._held] or [_bound(address, shared=True) for address in self._addresses]

    def close(self) -> None:
        """Nobody takes any more."""
        for one in self._held:
            one.close()


def _bound(address: str, shared: bool) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((host, int(port)))
    except BaseException:
        made.close()
        raise
    made.setblocking(False)
    return made
