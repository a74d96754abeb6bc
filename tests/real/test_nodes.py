"""Calls through a node: what a worker is sent, what callers get, and what happens when a worker fails."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest

from fixtures.children import eventually, free_port
from fixtures.llama import Llama
from fixtures.parley import Start
from real.node_parts import PROJECT, SAID, Node
from real.worker import USAGE, Worker, worker

CONFIG: dict[str, Any] = {
    "node": {"id": "node-a", "probe": "200ms"},
    "models": [
        {"model": "both", "targets": [f"node/{PROJECT}/away", "echo/echo"]},
        {"model": "Llama3-8B", "targets": ["echo/echo"]},
        {"model": "shared", "targets": ["echo/echo"], "share": True},
        {"model": "cloud", "targets": ["cloud/strict"], "share": True},
    ],
    "addresses": {"fetch": ["127.0.0.1"]},
}


@pytest.fixture(scope="module")
def cloud() -> Iterator[Worker]:
    """A provider beside the nodes, which records what it is sent."""
    with worker(words="from the cloud") as made:
        yield made


@pytest.fixture(scope="module")
def node(parley_for_module: Start, cloud: Worker, tmp_path_factory: pytest.TempPathFactory) -> Node:
    store = tmp_path_factory.mktemp("node") / "parley.db"
    providers = {"cloud": {"type": "openai", "base_url": f"{cloud.url}/v1", "api_key": None}}
    return Node(parley_for_module({**CONFIG, "providers": providers}, args=["--store", f"sqlite:///{store}"]))


@pytest.fixture(scope="module")
def text(node: Node) -> Iterator[Worker]:
    """A worker with every model of its kind."""
    with worker() as made:
        node.register(made, "Llama3-70B", "whole", "refuses", "sick", "breaks", "endless", "held")
        yield made


def test_a_chat_reaches_the_worker_and_its_answer_comes_back(node: Node, text: Worker) -> None:
    text.sent.clear()
    answer = node.chat("Llama3-70B", proxy=False, temperature=0.5, wallet="w", tools=[], cid="")
    assert answer.status == 200
    assert answer.body["choices"][0]["message"] == {"role": "assistant", "content": "Hello there"}
    assert (answer.body["object"], answer.body["usage"], answer.body["x_worker"]) == ("chat.completion", USAGE, [1])
    assert answer.body["id"]
    assert "code" not in answer.body
    (sent,) = text.sent
    assert sent.path == "/v1/chat/completions"
    assert sent.headers["content-type"] == "application/json"
    assert sent.json == {
        "model": "Llama3-70B",
        "messages": SAID,
        "temperature": 0.5,
        "wallet": "w",
        "tools": [],
        "stream": False,
    }


def test_a_stream_comes_event_by_event(node: Node, text: Worker) -> None:
    body = {"project": PROJECT, "model": "Llama3-70B", "messages": SAID, "stream": True}
    answer = httpx2.post(f"{node.gateway.url}/api/v0/chat/completion/proxy", json=body)
    assert answer.headers["content-type"] == "text/event-stream"
    events = answer.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == "Hellothere"
    assert chunks[-1]["choices"][0]["stop_reason"] == 128009
    assert chunks[-1]["usage"] == USAGE


def test_a_whole_answer_to_a_stream_is_made_one(node: Node, text: Worker) -> None:
    body = {"project": PROJECT, "model": "whole", "messages": SAID, "stream": True}
    answer = httpx2.post(f"{node.gateway.url}/api/v0/chat/completion/proxy", json=body)
    assert answer.headers["content-type"] == "text/event-stream"
    assert "Hello there" in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")


def test_a_stream_that_breaks_says_so_and_does_not_end(node: Node, text: Worker) -> None:
    body = {"project": PROJECT, "model": "breaks", "messages": SAID, "stream": True}
    answer = httpx2.post(f"{node.gateway.url}/api/v0/chat/completion/proxy", json=body)
    last = json.loads(answer.text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert (answer.status_code, last["code"]) == (200, 1007)
    assert last["error"]["code"] == "upstream_incomplete"
    assert "[DONE]" not in answer.text


@pytest.mark.parametrize(("model", "code", "message"), [("refuses", 1234, "no such luck"), ("sick", 9, "I am unwell")])
def test_a_workers_own_code_is_passed_on(node: Node, text: Worker, model: str, code: int, message: str) -> None:
    assert node.chat(model) == (500, {"code": code, "message": message})
    found = node.openai(f"node/{PROJECT}/{model}")
    assert (found.status_code, found.json()["error"]["message"]) == (502, message)


def test_what_is_not_registered(node: Node, text: Worker) -> None:
    missing = "can not find in registered project and model"
    none = "Not enough available and directly connected nodes"
    assert node.chat("none", proxy=False) == (500, {"code": 1007, "message": missing})
    assert node.chat("none") == (500, {"code": 1017, "message": none})
    body = {"node_id": "elsewhere", "project": PROJECT, "model": "Llama3-70B", "messages": SAID}
    assert node.post("chat/completion", body) == (500, {"code": 1007, "message": missing})
    assert node.post("chat/completion", {**body, "node_id": "node-a", "cid": "x"}).status == 500
    assert node.openai("node/none/none").status_code == 404


def test_every_dialect_asks_by_name(node: Node, text: Worker) -> None:
    text.sent.clear()
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    answer = node.openai(f"node/{PROJECT}/Llama3-70B", tools=[tool])
    assert answer.json()["choices"][0]["message"]["content"] == "Hello there"
    assert answer.headers["x-parley-target"] == f"node/{PROJECT}/Llama3-70B"
    with (
        anthropic.Anthropic(base_url=node.gateway.url, api_key="x") as client,
        client.messages.stream(model="Llama3-70B", max_tokens=9, messages=SAID) as stream,  # type: ignore[arg-type]
    ):
        assert "".join(stream.text_stream) == "Hellothere"
    assert [sent.json["model"] for sent in text.sent] == ["Llama3-70B"] * 2
    assert text.sent[0].json["tools"] == [tool]
    listed = {model["id"] for model in httpx2.get(f"{node.gateway.url}/v1/models").json()["data"]}
    assert f"node/{PROJECT}/Llama3-70B" in listed


def test_a_registration_takes_over_no_configured_name(node: Node, text: Worker) -> None:
    assert node.register_model(f"{text.url}/v1/chat/completions", "Llama3-8B", cid="evil").status == 200
    try:
        assert node.openai("Llama3-8B").headers["x-parley-target"] == "echo/echo"
        assert node.openai(f"node/{PROJECT}/Llama3-8B").headers["x-parley-target"] == f"node/{PROJECT}/Llama3-8B"
    finally:
        assert node.post("ai/model/unregister", {"project": PROJECT, "model": "Llama3-8B", "cid": "evil"}).status == 200


def test_the_nodes_own_project_is_its_own(node: Node, text: Worker) -> None:
    body = {"project": "parley", "models": [{"model": "shared", "api": f"{text.url}/x"}]}
    assert node.post("ai/project/register", body) == (400, {"code": 1001, "message": "the project is the node's own"})
    assert node.post("chat/completion/proxy", {"project": "parley", "model": "shared", "messages": SAID}).status == 200
    assert node.post("chat/completion/proxy", {"project": "parley", "model": "both", "messages": SAID}).status == 500


def test_a_wallet_is_for_workers_alone(node: Node, text: Worker, cloud: Worker) -> None:
    body = {"project": "parley", "model": "cloud", "messages": SAID, "wallet": "w", "signature": "s", "hash": "h"}
    assert node.post("chat/completion/proxy", body).status == 200
    assert cloud.sent[-1].json == {"model": "strict", "messages": SAID, "stream": False}


def test_another_target_answers_while_no_worker_is_there(node: Node) -> None:
    assert node.openai("both").headers["x-parley-target"] == "echo/echo"
    with worker() as made:
        assert node.register_model(f"{made.url}/v1/chat/completions", "away").status == 200
        assert node.openai("both").headers["x-parley-target"] == f"node/{PROJECT}/away"
    answer = node.openai("both")
    assert (answer.status_code, answer.headers["x-parley-target"]) == (200, "echo/echo")
    assert node.post("ai/model/unregister", {"project": PROJECT, "model": "away"}).body["message"] == "ok"


def places(node: Node, model: str) -> list[dict[str, Any]]:
    found = node.get(f"ai/projects/peers?project={PROJECT}&model={model}").body["data"]
    assert isinstance(found, list)
    return found


def test_a_worker_that_dies_leaves_the_rotation_and_comes_back(node: Node) -> None:
    port = free_port()
    with worker(port) as made:
        assert node.register_model(f"{made.url}/v1/chat/completions", "mortal").status == 200
        eventually(lambda: made.looks, 30, "a look at the worker")
        assert made.looks[0] == "/"
        assert len(places(node, "mortal")) == 1
    eventually(lambda: not places(node, "mortal"), 30, "three bad looks")
    assert node.chat("mortal").body["code"] == 1017
    assert node.openai(f"node/{PROJECT}/mortal").json()["error"]["code"] == "no_upstream"
    with worker(port):
        eventually(lambda: places(node, "mortal"), 30, "two good looks")
        assert node.chat("mortal").status == 200
    node.post("ai/model/unregister", {"project": PROJECT, "model": "mortal"})


def test_five_failed_calls_end_it_too(parley_server: Start) -> None:
    # Good looks would bring it back while it is still being called.
    node = Node(parley_server({"node": {"id": "node-a", "probe": "1h"}}))
    with worker() as made:
        assert node.register_model(f"{made.url}/v1/chat/completions", "sick", cid="b").status == 200
        codes = {node.chat("sick", proxy=False, cid="b").body["code"] for _ in range(5)}
        assert (codes, len(made.sent)) == ({9, 1007}, 5)
        told = node.post("ai/project/peer", {"node_id": "node-a"}).body["data"].get(PROJECT, [])
        assert [one for one in told if one["CID"] == "b"] == []


def test_the_freest_place_is_asked_and_the_next_one_where_it_fails(node: Node, text: Worker) -> None:
    with worker(words="second") as second, httpx2.Client(timeout=30) as client:
        assert node.register_model(f"{second.url}/v1/chat/completions", "held", cid="two").status == 200
        body = {"node_id": "node-a", "project": PROJECT, "model": "held", "messages": SAID}
        import threading

        busy = threading.Thread(target=lambda: client.post(f"{node.gateway.url}/api/v0/chat/completion", json=body))
        second.hold.set()
        text.hold.clear()
        # One of the two is at work until it is let go; which one shows.
        while not text.held.acquire(blocking=False):
            asked = threading.Thread(target=node.chat, args=("held",))
            asked.start()
            asked.join(0.2)
        assert [node.chat("held").body["choices"][0]["message"]["content"] for _ in range(5)] == ["second"] * 5
        (place,) = places(node, "held")
        assert place["Idle"] == 0
        text.hold.set()
        busy.start()
        busy.join()
    # The second is gone: the first answers, whoever is asked first.
    assert {node.chat("held").status for _ in range(3)} == {200}
    node.post("ai/model/unregister", {"project": PROJECT, "model": "held", "cid": "two"})


def test_a_gigabyte_is_not_taken(node: Node, text: Worker) -> None:
    text.written = 0
    answer = node.chat("endless")
    assert (answer.status, answer.body["code"]) == (500, 1007)
    assert "larger than" in answer.body["message"]
    assert text.written < 512 * 1024 * 1024


def test_a_model_of_llama_cpp(parley_server: Start, llama: Llama) -> None:
    node = Node(parley_server({}))
    assert node.register_model(f"{llama.url}/v1/chat/completions", llama.model).status == 200
    answer = node.chat(llama.model, max_tokens=4)
    assert (answer.status, answer.body["choices"][0]["message"]["role"]) == (200, "assistant")
    with httpx2.stream(
        "POST",
        f"{node.gateway.url}/v1/chat/completions",
        json={"model": f"node/{PROJECT}/{llama.model}", "messages": SAID, "max_tokens": 4, "stream": True},
        timeout=30,
    ) as found:
        text = "".join(found.iter_text())
    assert text.endswith("data: [DONE]\n\n")
    with anthropic.Anthropic(base_url=node.gateway.url, api_key="x") as client:
        message = client.messages.create(model=llama.model, max_tokens=4, messages=SAID)  # type: ignore[arg-type]
    assert message.usage.output_tokens > 0
