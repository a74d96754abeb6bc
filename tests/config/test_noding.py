"""This gateway as a node, as the file says it."""

import pytest

from parley.config import load_text
from parley.settings import EVERY, Node, Settings, Target, Tls


def settings(text: str) -> Settings:
    loaded = load_text(text, {"SECRET": "s3cret"})
    assert loaded.problems == ()
    return loaded.settings


def test_nothing_said_is_a_network_of_one() -> None:
    assert settings("").node == Node()


def test_everything_said() -> None:
    text = """
addresses: {nodes: [10.1.0.0/16, "::1"], fetch: ["*.example.org", 10.2.0.0/16]}
node:
  id: a
  project: mine
  network: ["nats://h:4222", "tls://i:4222"]
  projects: {DecentralGPT: [gpu-1], "x-*": gpu-2}
  pictures: [out]
  probe: 500ms
  user: u
  password: ${SECRET}
  tls: {ca: ca.pem, hostname: h}
  encrypt: "on"
  ttl: 1m
  heartbeat: 10s
  replicas: 3
  bucket: other
  trust: [kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk]
  allow: {p: [n]}
"""
    made = settings(text).node
    assert made == Node(
        id="a",
        project="mine",
        network=("nats://h:4222", "tls://i:4222"),
        addresses=("10.1.0.0/16", "::1"),
        fetch=("*.example.org", "10.2.0.0/16"),
        projects={"DecentralGPT": ("gpu-1",), "x-*": ("gpu-2",)},
        pictures=("out",),
        probe=0.5,
        user="u",
        password="s3cret",
        tls=Tls(ca="ca.pem", hostname="h"),
        encrypt="on",
        ttl=60.0,
        heartbeat=10.0,
        replicas=3,
        bucket="other",
        trust=("k" * 86,),
        allow={"p": ("n",)},
    )


def test_servers_in_one_text() -> None:
    assert settings("node: {network: 'nats://a:1,b:2'}").node.network == ("nats://a:1", "nats://b:2")


def test_targets_of_nodes_need_no_provider() -> None:
    made = settings("models: [{model: m, targets: [node/p/a/b, {to: node/p/c, weight: 2}], share: true}]")
    registration = made.registrations[(EVERY, "m")]
    assert registration.targets == (Target("node", "p/a/b"), Target("node", "p/c", 2))
    assert registration.share
    assert "node" not in made.providers


def test_a_model_that_is_shared_is_so_for_each_endpoint() -> None:
    text = "models: [{model: m, targets: [echo/a], share: true}, {model: m, endpoint: chat, targets: [echo/b]}]"
    assert all(one.share for (_, name), one in settings(text).registrations.items() if name == "m")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("models: [{model: m, targets: [node/p]}]", "a model of nodes has a project"),
        ("models: [{model: m, targets: [node/p/]}]", "a model of nodes has a project"),
        ("node: {id: ''}", "a name is not empty"),
        ("node: {network: http://h}", "is no address of a NATS server"),
        ("node: {bucket: a b}", "letters, digits"),
        ("node: {replicas: 0}", "at least 1"),
        ("node: {probe: soon}", "expected a duration"),
        ("node: {ttl: 20s}", "gone between two words"),
        ("node: {encrypt: maybe}", "maybe"),
        ("node: {trust: [xxx]}", "is no public key of a node"),
        ("addresses: {nodes: [here]}", "is no network"),
        ("addresses: {nodes: [10.0.0.1/8]}", "is no network"),
        ("addresses: {fetch: [http://h]}", "neither a host nor a network"),
    ],
)
def test_what_is_wrong(text: str, words: str) -> None:
    (problem,) = load_text(text, {}).problems
    assert words in problem.message
