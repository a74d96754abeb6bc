"""What workers decide passes a network of nodes as it is, and requests do not go round in it. Processes."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest

from fixtures.children import eventually
from fixtures.nats import NatsServer
from fixtures.parley import Start
from fixtures.peer import Peer, Seen, Told, peer
from real.node_parts import PROJECT, SAID, Node

FAST = {"ttl": "30s", "heartbeat": "1s", "probe": "1h"}
CHUNK = {"index": 0, "delta": {"content": "one"}, "finish_reason": None}
FIRST = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [CHUNK]}
MODELS = ("code", "refused", "sick", "page", "closes", "mid", "first")


def events(*data: Any) -> Told:
    return Told([b"data: %b\n\n" % json.dumps(one).encode() for one in data], "text/event-stream")


def answer(seen: Seen) -> Told:
    model = seen.body["model"]
    if model == "mid":
        return events(FIRST, {"code": 55, "message": "amid"})
    if model == "first":
        return events({"code": 66, "message": "at first"})
    if model == "page":
        return Told([b"<p>sorry</p>"], "text/html", 200)
    if model == "closes":
        return Told([], cut=True)
    status = {"refused": 404, "sick": 500}.get(model, 200)
    return Told([json.dumps({"code": 7777, "message": f"my words: {model}"}).encode()], status=status)


@pytest.fixture
def worker() -> Iterator[Peer]:
    with peer(answer) as found:
        yield found


def last_of(text: str) -> list[Any]:
    """Its events after the content."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"][1:]


def check_stream(node: Node) -> None:
    """An error event of the worker is the one error event, or the error answer where it is the first."""
    body = {"project": PROJECT, "model": "mid", "messages": SAID, "stream": True}
    found = httpx2.post(f"{node.gateway.url}/api/v0/chat/completion/proxy", json=body, timeout=40)
    (error,) = last_of(found.text)
    assert (found.status_code, error["code"], error["message"]) == (200, 55, "amid")
    assert "[DONE]" not in found.text
    (error,) = last_of(node.openai(f"node/{PROJECT}/mid", stream=True).text)
    assert error["error"]["message"] == "amid"
    with (
        anthropic.Anthropic(base_url=node.gateway.url, api_key="x", max_retries=0) as client,
        pytest.raises(anthropic.APIError, match="amid"),
        client.messages.stream(model=f"node/{PROJECT}/mid", max_tokens=9, messages=SAID) as stream,  # type: ignore[arg-type]
    ):
        stream.until_done()
    assert node.chat("first", stream=True) == (500, {"code": 66, "message": "at first"})


def calls(node: Node, worker: Peer, model: str, **more: Any) -> tuple[Any, int]:
    worker.seen.clear()
    found = node.chat(model, **more)
    return (found.status, found.body.get("code"), found.body.get("message")), len(worker.seen)


def test_what_a_worker_decides_is_asked_for_once(worker: Peer, nats_server: NatsServer, parley_server: Start) -> None:
    config = {"node": {"network": nats_server.url, **FAST}}
    far = Node(parley_server({**config, "node": {**config["node"], "id": "far"}}))
    models = [{"model": name, "api": f"{worker.url}/v1/chat/completions"} for name in MODELS]
    assert far.post("ai/project/register", {"project": PROJECT, "models": models}).status == 200
    near = Node(parley_server({**config, "node": {**config["node"], "id": "near"}}))
    eventually(lambda: near.get(f"ai/projects/models?project={PROJECT}").body["data"], 60, "models are known")
    for node in (far, near):
        # Six of them: a breaker would open at the fifth failure.
        for _ in range(6):
            assert calls(node, worker, "code") == ((500, 7777, "my words: code"), 1)
        assert calls(node, worker, "code", stream=True) == ((500, 7777, "my words: code"), 1)
        assert calls(node, worker, "refused") == ((500, 7777, "my words: refused"), 1)
        worker.seen.clear()
        check_stream(node)
        assert Counter(seen.body["model"] for seen in worker.seen) == {"mid": 3, "first": 1}
        found = node.openai(f"node/{PROJECT}/refused")
        assert (found.status_code, found.json()["error"]["message"]) == (404, "my words: refused")
    # What is tried again is tried again by the node that has the worker, and by nobody else.
    worker.seen.clear()
    assert near.chat("sick") == (500, {"code": 7777, "message": "my words: sick"})
    tries = len(worker.seen)
    assert 1 < tries <= 3
    assert calls(near, worker, "page")[1] == 1
    assert 1 < calls(near, worker, "closes")[1] <= 3


def test_requests_do_not_go_round(nats_server: NatsServer, parley_server: Start) -> None:
    """Two nodes that have each other for a model: it ends at once, and other targets are still reached."""

    def node(name: str, other: str) -> Node:
        there = {
            "self": ["node/parley/self"],
            name: [f"node/parley/{other}"],
            f"{name}-or": [f"node/parley/{other}-or", "echo/echo"],
        }
        models = [{"model": model, "targets": targets, "share": True} for model, targets in there.items()]
        return Node(parley_server({"node": {"id": name, "network": nats_server.url, **FAST}, "models": models}))

    a, b = node("a", "b"), node("b", "a")
    for one, name in ((a, "b"), (b, "a")):
        eventually(
            lambda one=one, name=name: name in one.get("ai/projects/models?project=parley").body["data"],  # type: ignore[misc]
            60,
            "the other's are known",
        )
    for model in ("self", "a"):
        found = a.openai(model)
        assert found.status_code == 502, found.text
        assert "sent it on" in found.json()["error"]["message"]
    assert a.openai("a-or").json()["choices"][0]["message"]["content"] == "hi"
    # Each node was asked a few times, not for ever.
    assert max(map(ended, (a, b))) < 30


def ended(node: Node) -> int:
    return sum(line["event"] == "request.end" for line in node.gateway.log_events())


def test_the_code_of_a_provider_that_is_no_worker_is_no_last_word(worker: Peer, parley_server: Start) -> None:
    providers = {"p": {"type": "openai", "base_url": worker.url, "api_key": "sk"}}
    models = [{"model": "m", "targets": ["p/code", "echo/echo"]}]
    node = Node(parley_server({"providers": providers, "models": models}))
    for more in ({}, {"stream": True}):
        found = node.openai("m", **more)
        assert (found.status_code, found.headers["x-parley-target"]) == (200, "echo/echo")


def test_workers_that_are_each_other(parley_server: Start) -> None:
    a, b = Node(parley_server({"node": {"id": "a", **FAST}})), Node(parley_server({"node": {"id": "b", **FAST}}))
    for one, other in ((a, b), (b, a)):
        assert one.register_model(f"{other.gateway.url}/node/v1/chat/completions", "mm").status == 200
    found = a.chat("mm")
    assert found.status == 500
    assert found.body["code"] in (1007, 1017)
    assert a.openai("mm").status_code >= 500
    assert max(map(ended, (a, b))) < 30
