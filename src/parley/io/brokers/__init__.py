"""Brokers behind one port (parley.streams.port). What speaks to one is imported when the first URL of its kind is used.

Why these client libraries: docs/decisions/0009-brokers.md.
"""

from importlib import import_module
from typing import Any

from parley.io.brokers.memory import Memory
from parley.streams.address import Address, kinds
from parley.streams.port import BrokerError, Subscription, Topic


class Brokers:
    """Of one process. ``memory`` holds the topics of ``mem://``."""

    def __init__(self) -> None:
        self.memory = Memory()

    async def subscription(self, address: Address, prefetch: int) -> Subscription:
        """Opened, with no more than ``prefetch`` messages on their way. Raises BrokerError."""
        if address.scheme == "mem":
            return self.memory.subscription(address)
        found: Subscription = await _module(address).subscription(address, prefetch)
        return found

    async def topic(self, address: Address) -> Topic:
        """Opened. Raises BrokerError."""
        if address.scheme == "mem":
            return self.memory.topic(address)
        found: Topic = await _module(address).topic(address)
        return found


def _module(address: Address) -> Any:
    kind = kinds()[address.scheme]
    try:
        return import_module(f"parley.io.brokers.{kind.module}")
    except ImportError:
        message = f"{kind.title} needs packages that are not installed: pip install 'parley[{kind.extra}]'"
        raise BrokerError(message, fatal=True) from None
