"""Three gateways and the servers of their network, as processes: what a caller of one of them sees of the others."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fixtures.children import eventually, free_port
from fixtures.nats import NatsServer
from fixtures.parley import Gateway, Start
from fixtures.peer import Peer, Seen, Told, peer
from nodes.partition import far

ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
# Longer than a busy machine keeps a process waiting.
FAST = {"ttl": "10s", "heartbeat": "1s"}
Make = Callable[..., Gateway]


def chunk(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    made = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(made).encode() + b"\n\n"


END = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


@pytest.fixture
def node(nats_server: NatsServer, parley_server: Start) -> Make:
    """``node("b", {"m": provider})`` starts one that shares the models of these providers."""

    def make(name: str, shares: dict[str, Peer] | None = None, url: str = "", **more: Any) -> Gateway:
        shares = shares or {}
        config = {
            "providers": {
                f"p-{model}": {"type": "openai", "base_url": at.url, "api_key": "sk"} for model, at in shares.items()
            },
            "models": [{"model": model, "targets": [f"p-{model}/x"], "share": True} for model in shares],
            "node": {"id": name, "network": url or nats_server.url, **FAST, **more.pop("node", {})},
            **more,
        }
        return parley_server(config)

    return make


def ask(gateway: Gateway, model: str = "node/parley/m", **more: Any) -> httpx2.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "x"}], **more}
    return httpx2.post(f"{gateway.url}/v1/chat/completions", json=body, timeout=40)


def knows(gateway: Gateway, *nodes: str) -> None:
    """Until it knows of these nodes, and of no others."""

    def look() -> bool:
        # The first is the one that is asked.
        return sorted(httpx2.get(f"{gateway.url}/api/v0/peers").json()["data"][1:]) == sorted(nodes)

    eventually(look, 60, f"{nodes} are known")


@contextlib.contextmanager
def answering() -> Iterator[Peer]:
    with peer(lambda seen: Told([json.dumps(ANSWER).encode()])) as found:
        yield found


class Stream:
    """A streamed chat that the test reads step by step."""

    def __init__(self, gateway: Gateway, model: str = "node/parley/m") -> None:
        self.http = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=40)
        body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "x"}]}
        self.http.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
        self.answer = self.http.getresponse()

    def close(self) -> None:
        """Leave."""
        self.answer.close()
        self.http.close()

    def event(self) -> str:
        """The next event, "" at the end."""
        while line := self.answer.readline().decode():
            if line.startswith("data: "):
                return line[6:].strip()
        return ""


def test_every_dialect_reaches_a_model_of_another_node(node: Make) -> None:
    with answering() as provider:
        a, b = node("a"), node("b", {"m": provider})
        knows(a, "b")
        answer = ask(a)
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"] == "hi"
        assert provider.last.body["model"] == "x"
        body = {"model": "node/parley/m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
        answer = httpx2.post(f"{a.url}/v1/messages", json=body)
        assert answer.json()["content"] == [{"type": "text", "text": "hi"}]
        assert ask(a, "m").status_code == 200
        assert ask(b, "node/parley/m").status_code == 200


def test_the_trace_and_the_id_go_along_and_keys_do_not(node: Make) -> None:
    with answering() as provider:
        a, b = (
            node("a", auth={"admin_key": "root"}),
            node("b", {"m": provider}, auth={"required": True, "admin_key": "r"}),
        )
        knows_by_key = lambda: ask(a).status_code == 200  # noqa: E731 - a look
        eventually(knows_by_key, 30, "b is known")
        body = {"model": "node/parley/m", "messages": [{"role": "user", "content": "x"}]}
        lines = {"x-request-id": "the-id", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "x-api-key": "root"}
        answer = httpx2.post(f"{a.url}/v1/chat/completions", json=body, headers=lines)
        assert answer.status_code == 200
        assert b.ended("the-id")["outcome"] == "ok"
        assert "a" * 32 in provider.last.headers["traceparent"]
        assert "root" not in str(provider.last.headers)
        assert ask(b).status_code == 401


def test_a_node_that_is_killed_before_it_answers(node: Make) -> None:
    """Another one answers in its place, and the caller sees nothing of it."""
    asked = {name: threading.Event() for name in "bc"}
    go_on = threading.Event()

    def slow(name: str, other: str) -> Callable[[Seen], Told]:
        def answer(seen: Seen) -> Told:
            asked[name].set()
            if not asked[other].is_set():
                go_on.wait(40)
            return Told([json.dumps(ANSWER).encode()])

        return answer

    with peer(slow("b", "c")) as for_b, peer(slow("c", "b")) as for_c:
        a, b, c = node("a"), node("b", {"m": for_b}), node("c", {"m": for_c})
        knows(a, "b", "c")
        found: list[httpx2.Response] = []
        asking = threading.Thread(target=lambda: found.append(ask(a)))
        asking.start()
        eventually(lambda: asked["b"].is_set() or asked["c"].is_set(), 30, "one is asked")
        first, other = (b, "c") if asked["b"].is_set() else (c, "b")
        killed = time.monotonic()
        kill(first)
        asking.join(60)
        go_on.set()
        assert found[0].status_code == 200
        # Whoever only waits for a word of it waits for fifteen seconds.
        assert time.monotonic() - killed < 13
        assert len(for_b.seen) == len(for_c.seen) == 1
        knows(a, other)
        assert time.monotonic() - killed < 30


def kill(gateway: Gateway) -> None:
    os.kill(gateway.pid, signal.SIGKILL)
    gateway.stopped = gateway.child.end(30)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_node_that_dies_amid_an_answer(node: Make, how: signal.Signals) -> None:
    go_on = threading.Event()

    def parts() -> Iterator[bytes]:
        yield chunk("one")
        go_on.wait(40)

    with peer(lambda seen: Told(parts(), "text/event-stream", cut=True)) as provider, contextlib.ExitStack() as stack:
        a, b = node("a"), node("b", {"m": provider})
        knows(a, "b")
        stream = stack.enter_context(contextlib.closing(Stream(a)))
        assert json.loads(stream.event())["choices"][0]["delta"]["content"] == "one"
        died = time.monotonic()
        os.kill(b.pid, how)
        last = json.loads(stream.event())
        lasted = time.monotonic() - died
        go_on.set()
        assert last["error"]["code"] == "upstream_closed", last
        assert stream.event() == ""
        assert lasted < (13 if how == signal.SIGKILL else 40)
        stream.close()
        kill(b)


def test_servers_that_are_killed_leave_local_models_working(node: Make, nats_server: NatsServer) -> None:
    with answering() as here, answering() as there:
        a, b = node("a", {"mine": here}), node("b", {"m": there})
        knows(a, "b")
        nats_server.kill()
        assert ask(a, "mine").status_code == 200
        assert ask(b, "m").status_code == 200
        answer = ask(a)
        assert answer.status_code in (404, 502, 503), answer.text
        knows(a)
        problems = httpx2.get(f"{a.url}/readyz").json()
        assert "network" in str(problems)
        nats_server.start()
        knows(a, "b")
        eventually(lambda: ask(a).status_code == 200, 30, "it works again")
        assert "network" not in str(httpx2.get(f"{a.url}/readyz").json())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_same_id_twice(
    node: Make, nats_server: NatsServer, parley_python: str, tmp_path: Path, workers: str
) -> None:
    """The whole server ends, with one line that says why."""
    node("a")
    config = tmp_path / "second.yaml"
    config.write_text(json.dumps({"node": {"id": "a", "network": nats_server.url}}))
    words = ["--listen", f"127.0.0.1:{free_port()}", "--workers", workers]
    ended = subprocess.run(
        [parley_python, "-m", "parley", "serve", str(config), *words],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "HOME": str(tmp_path)},
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    said = "another node of the network is called 'a' and is alive: give this one another node.id"
    assert [line for line in ended.stderr.splitlines() if said in line] == [f"Error: {said}."], ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("worker.start") == (1 if workers == "2" else 0)


def test_a_node_that_is_stopped_is_chosen_no_more_and_finishes(node: Make) -> None:
    go_on = threading.Event()

    def parts() -> Iterator[bytes]:
        yield chunk("one")
        go_on.wait(60)
        yield chunk("two") + END

    with peer(lambda seen: Told(parts(), "text/event-stream")) as provider, contextlib.ExitStack() as stack:
        a, b = node("a"), node("b", {"m": provider})
        knows(a, "b")
        stream = stack.enter_context(contextlib.closing(Stream(a)))
        assert json.loads(stream.event())["choices"][0]["delta"]["content"] == "one"
        b.signal(signal.SIGTERM)
        # Its requests are not over yet, and others look elsewhere already.
        knows(a)
        assert b.child.process.poll() is None
        go_on.set()
        assert json.loads(stream.event())["choices"][0]["delta"]["content"] == "two"
        stream.event()
        assert stream.event() == "[DONE]"
        assert b.wait(60) == 0
        stream.close()


def test_a_name_that_is_configured_here_cannot_be_taken_over(node: Make) -> None:
    with answering() as mine, answering() as evil:
        a = node("a", {"m": mine})
        node("b", {"m": evil, "n": evil})
        knows(a, "b")
        for model in ("m", "node/parley/m"):
            assert ask(a, model).status_code == 200
        assert len(mine.seen) == 2
        assert not evil.seen
        assert ask(a, "node/parley/n").status_code == 200
        assert len(evil.seen) == 1


def test_a_caller_that_leaves_is_heard_by_the_worker(node: Make) -> None:
    left = threading.Event()

    def parts() -> Iterator[bytes]:
        try:
            for number in range(100_000):
                yield chunk(f"{number} " + "x" * 1000)
                time.sleep(0.001)
        finally:
            left.set()

    with peer(lambda seen: Told(parts(), "text/event-stream")) as provider, contextlib.ExitStack() as stack:
        a = node("a")
        b = node("b", {"m": provider})
        knows(a, "b")
        stream = stack.enter_context(contextlib.closing(Stream(a)))
        stream.event()
        stream.close()
        assert left.wait(30)
        eventually(lambda: "client_abort" in b.metrics(), 30, "it is counted")


def test_a_partition(
    parley_server: Start, parley_python: str, tmp_path: Path, node: Make, nats_server: NatsServer
) -> None:
    """One node's packets no longer arrive, and nobody is told: nothing is closed."""
    with answering() as mine, answering() as there, far(tmp_path, nats_server) as url:
        a = node("a", {"mine": mine}, url=url.near)
        b = node("b", {"m": there}, url=url.far)
        knows(a, "b")
        answer = ask(a)
        assert answer.status_code == 200, (answer.text, a.stderr_lines(), b.stderr_lines())
        url.cut()
        cut = time.monotonic()
        knows(a)
        assert time.monotonic() - cut < 30
        assert ask(a, "mine").status_code == 200
        assert ask(b, "m").status_code == 200
        url.mend()
        knows(a, "b")
        knows(b, "a")
        eventually(lambda: ask(a).status_code == 200, 60, "it is healed")
