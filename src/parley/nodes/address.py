"""What may be registered as a worker's address. Only literal addresses and ``localhost``: a name could mean another
machine tomorrow. Nothing is asked and nothing is fetched to decide.

Sources: computing node contract section 3, 12.6.
"""

from collections.abc import Callable, Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

Ip: TypeAlias = IPv4Address | IPv6Address
Net: TypeAlias = IPv4Network | IPv6Network

NO_IP = "parse ip from model api failed"
NOT_HERE = "the url and the node are not on the same machine"
NO_URL = "invalid URL for the model api"
OURSELVES = "the url is the node's own address"
LOCALHOST = "127.0.0.1"
_PORTS = {"http": 80, "https": 443}


class AddressError(ValueError):
    """An address that may not be registered; its text is the answer's message."""


class Trusted:
    """Whose addresses may be registered. ``networks`` are the operator's; ``here`` tells whether an address is bound on
    this machine; ``listeners`` are our own (host, port), "" for every host."""

    def __init__(
        self, networks: Iterable[str], here: Callable[[Ip], bool], listeners: Collection[tuple[str, int]] = ()
    ) -> None:
        self.networks: tuple[Net, ...] = tuple(ip_network(text, strict=False) for text in networks)
        self._here = here
        self._listeners = listeners

    def checked(self, api: str, *, keyed: bool) -> str:
        """The address as it is called, with a literal host. ``keyed``: whoever registers it showed a key. Raises
        AddressError."""
        url = _split(api)
        address = _literal(url.hostname or "")
        port = url.port or _PORTS[url.scheme]
        if not self._allowed(address, keyed=keyed):
            raise AddressError(NOT_HERE)
        if self._is_ours(address, port):
            raise AddressError(OURSELVES)
        host = f"[{address}]" if address.version == 6 else str(address)
        query = f"?{url.query}" if url.query else ""
        return f"{url.scheme}://{host}:{port}{url.path or '/'}{query}"

    def _allowed(self, address: Ip, *, keyed: bool) -> bool:
        if address.is_unspecified or address.is_multicast or (address.is_reserved and not address.is_loopback):
            return False
        loops = address.is_loopback and any(network.is_loopback for network in self.networks)
        if loops or any(address.version == network.version and address in network for network in self.networks):
            return keyed or address.is_loopback
        return keyed and not (address.is_loopback or address.is_link_local) and self._here(address)

    def _is_ours(self, address: Ip, port: int) -> bool:
        for host, number in self._listeners:
            if number != port:
                continue
            if host in ("", "0.0.0.0", "::") and (address.is_loopback or self._here(address)):
                return True
            if host == str(address) or (host == "localhost" and address.is_loopback):
                return True
        return False


def origin_of(url: str) -> str:
    """scheme://host:port of an address that was checked."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _split(api: str) -> SplitResult:
    if any(letter.isspace() or not letter.isprintable() for letter in api) or "\\" in api or not api.isascii():
        raise AddressError(NO_URL)
    try:
        url = urlsplit(api)
        port = url.port
    except ValueError:
        raise AddressError(NO_URL) from None
    if url.scheme not in _PORTS or port == 0 or "@" in url.netloc or url.fragment or not url.hostname:
        raise AddressError(NO_URL)
    return url


def _literal(host: str) -> Ip:
    """The address that a host is, in its one usual spelling: others are read differently by different programs."""
    if host == "localhost":
        host = LOCALHOST
    try:
        found = ip_address(host)
    except ValueError:
        raise AddressError(NO_IP) from None
    if isinstance(found, IPv6Address) and (found.ipv4_mapped or found.sixtofour or found.teredo or found.scope_id):
        raise AddressError(NO_IP)
    if isinstance(found, IPv6Address) and not found.is_loopback and not int(found) >> 32:
        # The old form of an IPv4 address inside an IPv6 one.
        raise AddressError(NO_IP)
    return found
