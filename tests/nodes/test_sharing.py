"""Three gateways share models of llama.cpp and a worker of pictures; losing any one of all these is survived.

Of everything there are two, at two nodes; the third node has nothing of its own. Callers of three kinds ask every node.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from fixtures.children import ROOT, Child, bare_environment, eventually
from fixtures.llama import Llama, serving
from fixtures.nats import NatsServer
from fixtures.parley import Gateway, Start
from real import tiny
from real.node_parts import Node
from real.worker import worker

PROJECT = "shared"
TEXT, PICTURE = f"node/{PROJECT}/tiny", f"node/{PROJECT}/SuperImage"
# Longer than a busy machine keeps a process waiting.
FAST = {"ttl": "10s", "heartbeat": "1s", "probe": "500ms"}


@contextmanager
def painting(home: Path) -> Iterator[tuple[str, Child]]:
    """A worker of pictures, as a process."""
    child = Child([sys.executable, str(ROOT / "tests/real/worker.py")], bare_environment(home), home)
    try:
        yield child.first_line(60), child
    finally:
        child.end()


def registered(gateway: Gateway, text: Llama, picture: str) -> None:
    """Both at one node."""
    models = [
        {"model": "tiny", "api": f"{text.url}/v1/chat/completions", "type": 0, "cid": "t"},
        {"model": "SuperImage", "api": f"{picture}/v1/images/generations", "type": 1, "cid": "p"},
    ]
    answer = httpx2.post(f"{gateway.url}/api/v0/ai/project/register", json={"project": PROJECT, "models": models})
    assert answer.json() == {"code": 0, "message": "ok"}


def by_openai(gateway: Gateway) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0, timeout=60) as client:
        said = client.chat.completions.create(model=TEXT, messages=tiny.user("hi"))  # type: ignore[call-overload]
        assert said.choices[0].message.content == tiny.HI
        events = client.chat.completions.create(model=TEXT, messages=tiny.user("hi"), stream=True)  # type: ignore[call-overload]
        assert "".join(one.choices[0].delta.content or "" for one in events if one.choices) == tiny.HI
        drawn = client.images.generate(model=PICTURE, prompt="an otter")
        assert drawn.data
        assert drawn.data[0].b64_json == "QUJD"


def by_anthropic(gateway: Gateway) -> None:
    with anthropic.Anthropic(base_url=gateway.url, api_key="none", max_retries=0, timeout=60) as client:
        message = client.messages.create(model=TEXT, max_tokens=40, messages=tiny.user("hi"))  # type: ignore[arg-type]
        assert [part.text for part in message.content if part.type == "text"] == [tiny.HI]
        with client.messages.stream(model=TEXT, max_tokens=40, messages=tiny.user("hi")) as events:  # type: ignore[arg-type]
            assert events.get_final_text() == tiny.HI


def by_node(gateway: Gateway) -> None:
    def ask(path: str, **more: Any) -> httpx2.Response:
        return httpx2.post(f"{gateway.url}/api/v0/{path}", json={"project": PROJECT, **more}, timeout=60)

    answer = ask("chat/completion/proxy", model="tiny", messages=tiny.user("hi"))
    assert answer.json()["choices"][0]["message"]["content"] == tiny.HI, answer.text
    answer = ask("chat/completion/proxy", model="tiny", messages=tiny.user("hi"), stream=True)
    assert answer.text.endswith("data: [DONE]\n\n"), answer.text
    answer = ask("image/gen/proxy", model="SuperImage", prompt="an otter", n=1)
    assert answer.json()["data"] == [{"b64_json": "QUJD"}], answer.text


def everyone(*gateways: Gateway) -> None:
    """All kinds of callers at each of them; nothing is tried twice by any of these."""
    for gateway in gateways:
        by_openai(gateway)
        by_anthropic(gateway)
        by_node(gateway)


def places(gateway: Gateway, model: str) -> list[str]:
    """The nodes that have it in rotation."""
    found = httpx2.get(f"{gateway.url}/api/v0/ai/projects/peers", params={"project": PROJECT, "model": model})
    return sorted(place["node_id"] for place in found.json()["data"])


def known(gateway: Gateway, *nodes: str) -> None:
    """Until these nodes, and no others, have both models."""
    wanted = [list(nodes)] * 2
    eventually(lambda: [places(gateway, one) for one in ("tiny", "SuperImage")] == wanted, 60, f"{nodes} have both")


def killed(gateway: Gateway) -> None:
    os.kill(gateway.pid, signal.SIGKILL)
    gateway.stopped = gateway.child.end(30)


@pytest.fixture
def parts(tiny_gguf: Path, tmp_path: Path) -> Iterator[list[tuple[Llama, str, Child]]]:
    """Two models of text and two workers of pictures."""
    with ExitStack() as stack:
        made = []
        for _ in range(2):
            text = stack.enter_context(serving(tiny_gguf))
            made.append((text, *stack.enter_context(painting(tmp_path))))
        yield made


def test_losing_any_one_of_them(
    nats_server: NatsServer, parley_server: Start, parts: list[tuple[Llama, str, Child]]
) -> None:
    a, b, c = (parley_server({"node": {"id": name, "network": nats_server.url, **FAST}}) for name in "abc")
    for gateway, (text, picture, _) in zip((b, c), parts, strict=True):
        registered(gateway, text, picture)
    for gateway in (a, b, c):
        known(gateway, "b", "c")
    everyone(a, b, c)

    # Workers: whoever asks is answered by the other ones, before and after it has been noticed.
    (first, _, painter), _ = parts
    first.child.process.kill()
    everyone(a, b, c)
    painter.process.kill()
    everyone(a, b, c)
    for gateway in (a, b, c):
        known(gateway, "c")
    everyone(a, b, c)

    # The servers of the network: those who have models go on, the others are told at once.
    nats_server.kill()
    everyone(c)
    for model in ("tiny", "SuperImage"):
        eventually(lambda model=model: not places(a, model), 60, "nothing is kept for longer than it holds")  # type: ignore[misc]
    answer = httpx2.post(f"{a.url}/v1/chat/completions", json={"model": TEXT, "messages": tiny.user("hi")}, timeout=60)
    assert answer.status_code in (404, 502, 503), answer.text
    assert "error" in answer.json()
    nats_server.start()
    for gateway in (a, b, c):
        known(gateway, "c")
    everyone(a, b, c)

    # A gateway: another one has what it had.
    text, picture, _ = parts[1]
    registered(b, text, picture)
    for gateway in (a, b, c):
        known(gateway, "b", "c")
    killed(c)
    everyone(a, b)
    known(a, "b")
    everyone(a, b)


def resident(gateway: Gateway) -> float:
    """Megabytes of memory."""
    fields = Path(f"/proc/{gateway.pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_a_gigabyte_of_another_nodes_worker_is_not_taken(nats_server: NatsServer, parley_server: Start) -> None:
    a, b = (parley_server({"node": {"id": name, "network": nats_server.url, **FAST}}) for name in "ab")
    with worker() as made:
        Node(b).register(made, "endless", project=PROJECT)
        eventually(lambda: places(a, "endless") == ["b"], 60, "it is known")
        before = resident(a), resident(b)
        body = {"project": PROJECT, "model": "endless", "messages": tiny.user("hi")}
        answer = httpx2.post(f"{a.url}/api/v0/chat/completion/proxy", json=body, timeout=120)
        assert answer.status_code == 500, answer.text
        assert set(answer.json()) >= {"code", "message"}
        assert made.written < 512 * 1024 * 1024
        assert resident(a) - before[0] < 60
        assert resident(b) - before[1] < 200
