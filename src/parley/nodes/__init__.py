"""Models that register themselves, and what is known of other nodes: pure, with time passed in.

facts       what a node says of itself and its models
names       node/PROJECT/MODEL, and one place of several
address     what may be registered as a worker's address
registry    workers of this node: registered, probed, counted
directory   everything that can be called: workers, models that are shared, other nodes; as providers for routing
asking      a request of another node as our own gateway is asked
network     the port that other nodes are behind
joining     what it takes to be one of them
presence    what a node says of itself, packed and signed
roster      who is believed to be there
telling     when a node has to say something
frames      what two nodes say to each other about a call
calling     a call at another node
answering   a call of another node
windows     how much of a call may be under way

Source: computing node contract.
"""

from parley.nodes.directory import Directory
from parley.nodes.facts import Facts, Offer
from parley.nodes.network import Network
from parley.nodes.registry import Registry, Worker

__all__ = ["Directory", "Facts", "Network", "Offer", "Registry", "Worker"]
