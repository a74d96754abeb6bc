"""Models that register themselves, and what is known of other nodes: pure, with time passed in.

facts       what a node says of itself and its models
names       node/PROJECT/MODEL, and one place of several
address     what may be registered as a worker's address
registry    workers of this node: registered, probed, counted
directory   everything that can be called: workers, models that are shared, other nodes; as providers for routing
asking      a request of another node as our own gateway is asked
network     the port that other nodes are behind

Source: computing node contract.
"""

from parley.nodes.directory import Directory
from parley.nodes.facts import Facts, Offer
from parley.nodes.network import Network
from parley.nodes.registry import Registry, Worker

__all__ = ["Directory", "Facts", "Network", "Offer", "Registry", "Worker"]
