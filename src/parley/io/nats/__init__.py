"""The network of nodes over NATS servers. An extra: imported where the configuration names a network.

joined      enter it
network     calls to other nodes and from them
membership  facts in a key-value bucket
link        the connection
keys        signatures and encryption

Source: computing node contract section 12.4.
"""

import time
from collections.abc import Callable

from parley.io.nats.network import NatsNetwork
from parley.nodes.directory import Directory
from parley.nodes.joining import Joining, Peers

__all__ = ["NatsNetwork", "joined"]
# A start waits so long for the network; without it, it goes on alone.
PATIENCE = 8.0


async def joined(
    node: Joining, directory: Directory, peers: Peers, write: Callable[[bytes], None], patience: float = PATIENCE
) -> NatsNetwork:
    """Enter the network. Raises DuplicateError where another node that is alive has our id; servers that cannot be
    reached are tried again in the background."""
    network = NatsNetwork(node, directory, peers, write, time.time)
    try:
        await network.start(patience)
    except BaseException:
        await network.close_down()
        raise
    return network
