"""What of a node takes a restart, and what does not."""

from msgspec.structs import fields, replace

from parley.serve.reload import FIXED_NODE, restarts, settled
from parley.settings import Node, Settings

# Taken over by parley.serve.noding, or by what reads it anew each time.
TAKEN_OVER = {"project", "addresses", "fetch", "projects", "pictures", "probe"}


def test_every_setting_is_one_or_the_other() -> None:
    assert {*FIXED_NODE, *TAKEN_OVER} == {field.name for field in fields(Node)}
    assert not TAKEN_OVER.intersection(FIXED_NODE)


def test_what_a_node_is_to_others_stays_and_is_said() -> None:
    before = Settings(node=Node(id="one", network=("nats://a",), ttl=45.0))
    wanted = Settings(node=Node(id="two", network=("nats://a",), ttl=9.0, trust=("key",), project="ours", probe=1.0))
    settings = settled(before, wanted)
    assert settings.node == replace(before.node, project="ours", probe=1.0)
    said = [notice["message"] for notice in restarts(wanted, settings)]
    assert said == [f"node.{name} has changed; it takes a restart" for name in ("id", "ttl", "trust")]
    assert {notice["kind"] for notice in restarts(wanted, settings)} == {"restart"}


def test_as_it_was_again() -> None:
    before = Settings(node=Node(network=("nats://a",)))
    assert restarts(before, settled(settled(before, Settings()), before)) == []
