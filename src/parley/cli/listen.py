"""Addresses to listen on: how they are written, and which of them other machines can reach."""

import re

import click

from parley.cli.exits import Code, stop

_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Za-z:.%]+)\]|(?P<host>[^\s:\[\]/]+)):(?P<port>[0-9]{1,5})\Z")
_LOCAL_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Address(click.ParamType[str]):
    """HOST:PORT, as ``--listen`` takes it; IPv6 hosts in brackets."""

    name = "HOST:PORT"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address as it was written; a usage error names what is wrong and the likely fix."""
        parts = split(value)
        if parts is None or parts[1] == 0:
            self.fail(f"{value!r}: expected HOST:PORT with a port from 1 to 65535{_likely(value)}.", param, ctx)
        return value


def split(address: str) -> tuple[str, int] | None:
    """Host (without brackets) and port; None where this is no address."""
    found = _ADDRESS.match(address)
    if found is None or int(found["port"]) > 65535:
        return None
    return found["v6"] or found["host"], int(found["port"])


def refuse_public(addresses: tuple[str, ...]) -> None:
    """Stop with exit code 2 where an address can be reached from outside: nobody would have to show a key."""
    from parley.settings import loopback

    for address in addresses:
        host, port = split(address) or ("", 4242)
        if not loopback(host):
            stop(
                Code.USAGE,
                f"refusing to listen on {address}: other machines can reach it, and there is no key that callers would "
                "need, so anyone who finds it spends your provider keys.",
                f"Make a key with parley keys create NAME, or listen on 127.0.0.1:{port} to keep it on this machine, "
                "or add --public if that is what you want.",
            )


def url(address: str) -> str:
    """The URL under which this machine reaches a listener."""
    host, port = split(address) or ("127.0.0.1", 0)
    host = _LOCAL_OF.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _likely(value: str) -> str:
    if value.isdigit():
        return f", e.g. 127.0.0.1:{value}"
    if re.fullmatch(r":[0-9]+", value):
        return f": 127.0.0.1{value} for this machine, 0.0.0.0{value} for every interface"
    return ", e.g. 127.0.0.1:4242"
