"""Local models behind the whole gateway, as a process of its own: answers, errors, and what is left behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from faults.raw import sse_events
from fixtures.children import Child, bare_environment, eventually
from fixtures.parley import Gateway, start
from parley.ports import Request
from parley.serve.asgi import AsgiCaller
from parley.serve.server import gateway_for
from parley.settings import EVERY, Engine, Provider, Registration, Settings, Target
from parley.wire.inlets import Inlets
from real import tiny

COUNTING = {"model": "count", "messages": tiny.user("COUNT")}


def alive(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def children(gateway: Gateway) -> list[int]:
    """Processes of models that it has started."""
    return [event["pid"] for event in gateway.log_events() if event["event"] == "engine.ready"]


@pytest.fixture
def gateway(tiny_gguf: Path, tmp_path: Path) -> Iterator[Gateway]:
    """The sources, as the extra that this needs is not part of the product that other tests start."""
    (tmp_path / "broken.gguf").write_bytes(tiny_gguf.read_bytes()[:100000])
    settings = {"model": str(tiny_gguf), "threads": 1}
    config = {
        "models": [
            {"model": "tiny", "settings": settings},
            {"model": "tiny", "endpoint": "embeddings", "settings": settings},
            {
                "model": "count",
                "endpoint": "chat",
                "settings": settings,
                "defaults": {"x-parley-extensions": {"cutstrings": [" e[a-z]+"], "trimstrings": ["one"]}},
            },
            {"model": "broken", "settings": {"model": "broken.gguf", "threads": 1}},
            {"model": "spare", "settings": {"model": "broken.gguf", "threads": 1}},
        ],
    }
    running = start(sys.executable, tmp_path, config, {}, ())
    yield running
    running.stop()


def post(gateway: Gateway, path: str, body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    asked = urllib.request.Request(gateway.url + path, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def test_the_sdk_can_do_all_that_the_model_can(gateway: Gateway) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client:
        chat = client.chat.completions.create(model="tiny", messages=tiny.user("hi"), tools=tiny.OPENAI_ONE)  # type: ignore[call-overload]
        call = chat.choices[0].message.tool_calls[0].function
        assert (call.name, json.loads(call.arguments)) == tiny.PARIS
        pieces = client.chat.completions.create(model="tiny", messages=tiny.user("THINK"), stream=True)  # type: ignore[call-overload]
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == "Greetings!"
        assert client.completions.create(model="tiny", prompt="<|assistant|>").choices[0].text == tiny.HI
        vector = client.embeddings.create(model="tiny", input="<|assistant|>").data[0].embedding
        assert (len(vector), sum(value * value for value in vector)) == (128, pytest.approx(1.0))
        assert client.responses.create(model="tiny", input="COUNT").output_text == tiny.COUNT
    # The log comes in batches.
    assert len(eventually(lambda: found if len(found := children(gateway)) > 1 else None, 30, "two processes")) == 2


def test_texts_are_shaped_by_what_the_registration_says(gateway: Gateway) -> None:
    expected = "two three four five six seven nine ten twelve"
    _, headers, whole = post(gateway, "/v1/chat/completions", COUNTING)
    assert json.loads(whole)["choices"][0]["message"]["content"] == expected
    assert headers["x-parley-target"] == "local/count"
    _, _, streamed = post(gateway, "/v1/chat/completions", {**COUNTING, "stream": True})
    events = [data for _, data in sse_events(streamed)]
    assert events[-1] == b"[DONE]"
    deltas = [json.loads(data)["choices"][0]["delta"] for data in events[:-1] if json.loads(data)["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == expected


def test_a_model_that_cannot_be_loaded_is_a_clean_error(gateway: Gateway, tmp_path: Path) -> None:
    for _ in range(7):
        status, headers, body = post(gateway, "/v1/chat/completions", {**COUNTING, "model": "broken"})
        error = json.loads(body)["error"]
        assert (status, error["code"], headers["x-parley-attempts"]) == (503, "upstream_error", "1")
        assert "data is not within the file bounds" in error["message"]
        assert 1 <= int(headers["retry-after"]) <= 5
        assert "broken.gguf" not in body.decode()
    assert len([event for event in gateway.log_events() if event["event"] == "engine.load"]) == 1


def test_a_crash_in_a_stream_is_an_error_event_and_the_next_request_is_answered(gateway: Gateway) -> None:
    body = {"model": "tiny", "messages": tiny.user("LOOP"), "stream": True}
    asked = urllib.request.Request(f"{gateway.url}/v1/chat/completions", json.dumps(body).encode())
    with urllib.request.urlopen(asked, timeout=30) as answer:
        answer.readline()
        (pid,) = eventually(lambda: children(gateway), 30, "the model is in the log")
        os.kill(pid, signal.SIGSEGV)
        rest = answer.read()
    events = [data for _, data in sse_events(rest[rest.index(b"data: ") :])]
    assert json.loads(events[-1])["error"]["code"] == "upstream_incomplete"
    assert b"[DONE]" not in rest
    status, headers, _ = post(gateway, "/v1/chat/completions", {**body, "stream": False, "max_tokens": 4})
    # A second try where the crash was not noticed before the first.
    assert (status, headers["x-parley-attempts"] in ("1", "2")) == (200, True)


def test_a_model_that_dies_between_requests_is_nobodys_error(gateway: Gateway) -> None:
    assert post(gateway, "/v1/chat/completions", {**COUNTING, "model": "tiny"})[0] == 200
    (pid,) = eventually(lambda: children(gateway), 30, "the model is in the log")
    os.kill(pid, signal.SIGKILL)
    # Whether the gateway has seen it die or not: its own second try finds the model restarted.
    assert post(gateway, "/v1/chat/completions", {**COUNTING, "model": "tiny"})[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_model_outlives_the_gateway(gateway: Gateway, number: signal.Signals) -> None:
    for path, more in (("chat/completions", {"messages": tiny.user("hi")}), ("embeddings", {"input": "a"})):
        assert post(gateway, f"/v1/{path}", {"model": "tiny", **more})[0] == 200
    pids = eventually(lambda: len(found := children(gateway)) == 2 and found, 30, "two models are in the log")
    assert pids
    assert [alive(pid) for pid in pids] == [True, True]
    gateway.signal(number)
    gateway.child.process.wait(30)
    if number == signal.SIGKILL:
        eventually(lambda: not any(alive(pid) for pid in pids), 30, "the models have noticed")
    assert [alive(pid) for pid in pids] == [False, False]


async def test_a_model_that_loads_is_told_as_such(tiny_gguf: Path) -> None:
    provider = Provider(
        name="local#chat/tiny",
        type="local",
        wire="openai_chat",
        endpoints=("local://0",),
        paths={"chat": "/chat/completions"},
        auth="none",
        transport="local",
        engine=Engine(model=str(tiny_gguf), threads=1),
    )
    registration = Registration(model="tiny", targets=(Target(provider.name, "tiny"),))
    settings = Settings(providers={provider.name: provider}, registrations={(EVERY, "tiny"): registration})
    gateway = gateway_for(settings, asyncio.get_running_loop(), lambda line: None, 0.0)
    inlet = Inlets().find(b"/v1/chat/completions")
    assert inlet is not None
    caller = AsgiCaller()
    body = json.dumps({"model": "tiny", "messages": tiny.user("hi")}).encode()
    try:
        # More often than a breaker would bear.
        for _ in range(7):
            caller = AsgiCaller()
            gateway.begin(inlet, Request([], body, "r"), caller)
            head, content = [message async for message in caller.messages()][:2]
            error = json.loads(content["body"])["error"]
            headers = dict(head["headers"])
            assert head["status"] == 503
            assert (error["type"], error["code"]) == ("model_loading", "model_loading")
            assert headers[b"retry-after"] == b"5"
            assert b"x-should-retry" not in headers
    finally:
        for upstream in gateway.upstreams.values():
            upstream.close()


# parley run


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "parley", "run", *arguments]
    return subprocess.run(command, cwd=cwd, env=bare_environment(cwd), capture_output=True, text=True, check=False)


def test_a_file_is_run_without_any_configuration(tiny_gguf: Path) -> None:
    done = run("./tiny.gguf", "COUNT", cwd=tiny_gguf.parent)
    assert (done.returncode, done.stdout) == (0, f"{tiny.COUNT}\n")
    loading, ready = done.stderr.splitlines()
    assert loading == "(loading tiny.gguf)"
    assert ready.startswith("(ready after ")
    whole = json.loads(run("tiny.gguf", "THINK", "--json", cwd=tiny_gguf.parent).stdout)
    assert whole["choices"][0]["message"]["reasoning_content"] == tiny.THOUGHT


def test_a_file_may_have_any_name(tiny_gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "model.bin").symlink_to(tiny_gguf)
    assert run("model.bin", "hi", cwd=tmp_path).stdout == f"{tiny.HI}\n"


@pytest.mark.parametrize(
    ("name", "content", "told", "code"),
    [
        ("./m.gguf", None, "there is no file ./m.gguf", 2),
        ("m.gguf", b"tjgg\3\0\0\0", "m.gguf: it is an old GGML file", 2),
        ("m.gguf", b"GGUF\3\0\0\0", "the model on this machine could not be loaded: the file is cut off", 5),
    ],
)
def test_a_file_that_cannot_be_run(tmp_path: Path, name: str, content: bytes | None, told: str, code: int) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = run(name, "hi", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupted_run_leaves_no_model(tiny_gguf: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "parley", "run", str(tiny_gguf), "LOOP"]
    child = Child(command, bare_environment(tmp_path), tmp_path)
    try:
        eventually(lambda: any("ready" in line for line in child.err), 30, "it has begun")
        listing = f"/proc/{child.pid}/task/{child.pid}/children"
        (pid,) = eventually(lambda: [int(word) for word in Path(listing).read_text().split()], 30, "its model runs")
        child.process.send_signal(signal.SIGINT)
        assert child.process.wait(30) == 130
        assert not alive(pid)
    finally:
        child.end()
