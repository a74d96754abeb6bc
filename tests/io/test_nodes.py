"""Calls of workers without a network: what is counted, what is held, what it means."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from nodes.parts import entry
from parley.failure import Failure
from parley.io.nodes import NodeUpstream, Probes, Workers, completed, refusal
from parley.io.pictures import Pictures, paths_in
from parley.nodes import Registry, Worker
from parley.ports import Call, Destination, Flight, Headers, Sink
from parley.relay import MAX_ANSWER

JSON: Headers = [(b"content-type", b"application/json")]
EVENTS: Headers = [(b"content-type", b"text/event-stream")]


class Heard:
    """A Sink."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def head(self, status: int, headers: Headers) -> None:
        self.said.append(status)

    def body(self, data: bytes) -> None:
        self.said.append(data)

    def done(self) -> None:
        self.said.append("done")

    def failed(self, failure: Failure) -> None:
        self.said.append(failure)


class Below:
    """The pool: what is sent, and its sink."""

    def __init__(self) -> None:
        self.calls: list[tuple[Call, Sink]] = []
        self.done: list[str] = []

    def send(self, call: Call, sink: Sink) -> Flight:
        self.calls.append((call, sink))
        return self

    def close(self) -> None:
        self.done.append("close")

    def cancel(self) -> None:
        self.done.append("cancel")

    def pause(self) -> None:
        self.done.append("pause")

    def resume(self) -> None:
        self.done.append("resume")


class Rig:
    """One worker, and a call to it."""

    def __init__(self) -> None:
        self.registry, self.below, self.heard = Registry(), Below(), Heard()
        self.ended: list[bool | None] = []
        self.begun = 0
        loop = asyncio.get_running_loop()
        workers = Workers(self.registry.numbered, self.begins, self.ends)
        self.upstream = NodeUpstream(loop, self.below, workers, Pictures(loop, None))
        self.registry.put(entry())
        self.worker = self.registry.places("p", "m")[0]

    def begins(self) -> None:
        self.begun += 1

    def ends(self, worker: Worker, good: bool | None, seconds: float | None) -> None:
        assert worker is self.worker
        self.ended.append(good)

    def send(self, endpoint: str = "", head: bytes = b"") -> Flight:
        scheme, _, rest = (endpoint or self.worker.endpoint).partition("://")
        host, _, path = rest.partition("/")
        to = Destination(method=b"POST", origin=f"{scheme}://{host}", path=f"/{path}".encode())
        return self.upstream.send(Call(to, head, (b"{}",), 1.0), self.heard)

    @property
    def sink(self) -> Sink:
        return self.below.calls[-1][1]


@pytest.fixture
async def rig() -> Rig:
    return Rig()


async def test_a_call_goes_without_the_mark_and_is_counted(rig: Rig) -> None:
    flight = rig.send()
    (call, _), *_ = rig.below.calls
    assert (call.to.origin, call.to.path) == ("http://127.0.0.1:1088", b"/v1/chat/completions")
    assert (rig.worker.in_flight, rig.begun) == (1, 1)
    flight.cancel()
    flight.cancel()
    assert (rig.worker.in_flight, rig.ended) == (0, [None])
    assert "cancel" in rig.below.done


async def test_events_pass_as_they_come(rig: Rig) -> None:
    flight = rig.send()
    rig.sink.head(200, EVENTS)
    rig.sink.body(b"data: 1\n\n")
    assert rig.heard.said == [200, b"data: 1\n\n"]
    flight.pause()
    flight.resume()
    assert rig.below.done == ["pause", "resume"]
    rig.sink.done()
    assert rig.heard.said[-1] == "done"
    assert (rig.worker.in_flight, rig.ended) == (0, [True])


async def test_an_object_is_heard_once_it_is_whole(rig: Rig) -> None:
    rig.send()
    rig.sink.head(200, JSON)
    rig.sink.body(b'{"code":0,"message":"success",')
    rig.sink.body(b'"choices":[],"id":"x"}')
    assert rig.heard.said == []
    rig.sink.done()
    status, body, end = rig.heard.said
    assert (status, json.loads(body), end) == (200, {"choices": [], "id": "x", "object": "chat.completion"}, "done")


async def test_what_is_said_counts_whatever_the_status_of_success(rig: Rig) -> None:
    rig.send()
    rig.sink.head(299, JSON)
    rig.sink.body(b'{"code":0,"choices":[]}')
    rig.sink.done()
    assert (rig.heard.said[0], rig.heard.said[-1], rig.ended) == (200, "done", [True])


async def test_a_code_is_a_failure(rig: Rig) -> None:
    rig.send()
    rig.sink.head(200, JSON)
    rig.sink.body(b'{"code":7,"message":"no"}')
    rig.sink.done()
    (failure,) = rig.heard.said
    assert (failure.kind, failure.message, failure.upstream_code) == ("upstream_error", "no", "7")
    assert (rig.worker.in_flight, rig.ended) == (0, [True])


async def test_what_is_too_large_is_stopped(rig: Rig) -> None:
    rig.send()
    rig.sink.head(200, JSON)
    piece = b"x" * (1 << 20)
    for _ in range(MAX_ANSWER // len(piece) + 1):
        rig.sink.body(piece)
    (failure,) = rig.heard.said
    assert (failure.kind, failure.detail) == ("upstream_bad_response", "too_large")
    assert (rig.below.done, rig.worker.in_flight, rig.ended) == (["cancel"], 0, [False])


async def test_a_broken_call_counts_against_the_worker(rig: Rig) -> None:
    rig.send()
    rig.sink.failed(Failure("upstream_unreachable", "gone"))
    assert (rig.heard.said[0].kind, rig.ended) == ("upstream_unreachable", [False])


async def test_who_is_not_there_any_more_is_not_called(rig: Rig) -> None:
    rig.registry.remove([rig.worker.entry.key])
    rig.send()
    assert rig.heard.said == []
    await asyncio.sleep(0)
    assert rig.heard.said[0].detail == "unregistered"
    assert rig.below.calls == []


async def test_other_nodes_are_nowhere_without_a_network(rig: Rig) -> None:
    rig.send("node://n2/chat/p/m/").cancel()
    rig.send("node://n2/chat/p/m/")
    await asyncio.sleep(0)
    assert [failure.detail for failure in rig.heard.said] == ["no_network"]


@pytest.mark.parametrize(
    ("status", "body", "kind", "final"),
    [
        (200, b'{"code":0}', None, False),
        (200, b'{"choices":[]}', None, False),
        (404, b'{"error":{"code":"x"}}', None, False),
        (200, b'{"code":"7"}', None, False),
        (200, b'{"code":true}', None, False),
        (200, b"not json", None, False),
        (200, b'{"code":-1}', "upstream_error", True),
        (200, b'{"code":1001,"message":"m"}', "upstream_error", True),
        (403, b'{"code":5,"message":"m"}', "upstream_error", True),
        (422, b'{"code":5,"message":"m"}', "upstream_rejected", False),
        # It is busy, or what is behind it failed.
        (200, b'{"code":1005,"message":"m"}', "upstream_error", False),
        (400, b'{"code":1017,"message":"m"}', "upstream_error", False),
        (429, b'{"code":5,"message":"m"}', "upstream_rate_limited", False),
        (500, b'{"code":5,"message":"m"}', "upstream_error", False),
    ],
)
def test_what_an_answer_means(status: int, body: bytes, kind: str | None, final: bool) -> None:
    found = refusal(status, body)
    assert (found.kind if found else None) == kind
    assert (found is not None and found.final) == final


@pytest.mark.parametrize("via", [b"", b"x-parley-via: a, b\r\n"])
async def test_a_call_names_who_sends_it_on(rig: Rig, via: bytes) -> None:
    rig.upstream.name = lambda: "n 1"
    rig.send(head=b"accept: x\r\n" + via)
    (call, _), *_ = rig.below.calls
    assert call.head == b"accept: x\r\nx-parley-via: " + (b"a, b, " if via else b"") + b"n%201\r\n"


@pytest.mark.parametrize(
    ("endpoint", "via"), [("", b"a, n1"), ("node://n2/chat/p/m/", b"n1"), ("node://n2/chat/p/m/", b"a,b")]
)
async def test_a_call_that_went_round_goes_nowhere(rig: Rig, endpoint: str, via: bytes) -> None:
    rig.upstream.name = lambda: "n1"
    rig.send(endpoint, head=b"X-Parley-Via: %b\r\n" % via)
    await asyncio.sleep(0)
    assert [failure.detail for failure in rig.heard.said] == ["node_loop"]
    assert (rig.below.calls, rig.begun) == ([], 0)


def test_what_a_worker_left_out_is_put_in() -> None:
    made = json.loads(completed(b'{"code":0,"message":"success","choices":[],"x":1e2}', 4))
    assert made == {"id": "chatcmpl-worker-5", "object": "chat.completion", "choices": [], "x": 100.0}
    assert completed(b'{"data":[]}', 1) == b'{"data":[]}'
    assert completed(b"[", 1) == b"["


def test_a_probe_asks_each_server_once_at_a_time() -> None:
    below = Below()
    heard: list[tuple[str, bool]] = []
    probes = Probes(below, lambda origin, good: heard.append((origin, good)))
    probes.look(["http://a:1", "http://b:1"])
    probes.look(["http://a:1"])
    assert [(call.to.origin, call.to.method, call.to.path) for call, _ in below.calls] == [
        ("http://a:1", b"GET", b"/"),
        ("http://b:1", b"GET", b"/"),
    ]
    first, second = (sink for _, sink in below.calls)
    first.head(503, [])
    first.done()
    second.failed(Failure("upstream_unreachable", ""))
    assert heard == [("http://a:1", True), ("http://b:1", False)]
    assert below.done == ["cancel"]
    probes.look(["http://a:1"])
    assert len(below.calls) == 3


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("/x.png", True),
        ("x.png", True),
        ("file:///x.png", True),
        ("C:\\\\x.png", True),
        ("ftp://h/x.png", True),
        ("https://h/x.png", False),
        ("data:image/png;base64,AA", False),
        ("", False),
    ],
)
def test_what_is_a_path(url: str, local: bool) -> None:
    assert paths_in(json.dumps({"data": [{"b64_json": "", "url": url}]}).encode()) is local


async def test_pictures_come_from_named_folders_alone(tmp_path: Path) -> None:
    inside, outside = tmp_path / "out", tmp_path / "other"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (inside / "link.png").symlink_to(outside / "a.png")
    (inside / "fifo.png").symlink_to("/dev/zero")
    loop = asyncio.get_running_loop()

    async def filled(path: Path, *folders: str, url: str = "http://127.0.0.1:1/x") -> Any:
        body = json.dumps({"data": [{"url": str(path)}]}).encode()
        answer = await Pictures(loop, folders).filled(body, url)
        return None if answer is None else json.loads(answer)["data"]

    assert await filled(inside / "a.png", str(inside)) == [{"b64_json": "iVBORw0KGgo="}]
    for path in (outside / "a.png", inside / "link.png", inside / "fifo.png", inside / ".." / "other" / "a.png"):
        assert await filled(path, str(inside)) is None
    assert await filled(inside / "a.png") is None
    assert await filled(inside / "a.png", str(inside), url="http://10.0.0.1:1/x") is None
