"""The configuration changed under a serving gateway, as users, editors and Kubernetes change it."""

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.children import eventually, free_port
from fixtures.parley import Gateway, Start
from fixtures.peer import Peer, Seen, Told, peer
from parley.serve import rereading, watching

# Two are promised, which the looks keep; the machine may be busy with other things.
SECONDS = 30
ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
}


class Client:
    """One connection to a gateway, kept."""

    def __init__(self, gateway: Gateway) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        data = None if body is None else json.dumps(body)
        self.connection.request(method, path, data, {name.replace("_", "-"): text for name, text in headers.items()})
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())

    def chat(self, model: str, **headers: str) -> int:
        """The status that a request for the model gets."""
        message = {"role": "user", "content": "hello"}
        return self.ask("POST", "/v1/chat/completions", {"model": model, "messages": [message]}, **headers)[0]

    def models(self) -> set[str]:
        """Every model there is."""
        return {one["id"] for one in self.ask("GET", "/v1/models")[1]["data"]}

    def problems(self) -> list[dict[str, Any]]:
        """What /readyz says is wrong."""
        status, body = self.ask("GET", "/readyz")
        assert (status, body["status"]) == (200, "degraded" if body["problems"] else "ready")
        found: list[dict[str, Any]] = body["problems"]
        return found

    def reload(self, **headers: str) -> tuple[int, Any]:
        """Ask for it."""
        return self.ask("POST", "/admin/api/reload", **headers)

    def soon(self, look: Callable[[], Any], what: str) -> None:
        """It takes effect within the time that is promised."""
        eventually(look, SECONDS, what)


Connect = Callable[[Gateway], Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connections that end with the test."""
    made: list[Client] = []

    def call(gateway: Gateway) -> Client:
        made.append(Client(gateway))
        return made[-1]

    yield call
    for client in made:
        client.connection.close()


def entries(*models: str, target: str = "echo/echo") -> dict[str, Any]:
    return {"models": [{"model": model, "targets": [target]} for model in models]}


def write(path: Path, config: object) -> None:
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config))


def replace(path: Path, config: object) -> None:
    """As editors write: another file takes the name."""
    other = path.with_name(".other")
    write(other, config)
    other.replace(path)


def events(gateway: Gateway, kind: str) -> list[dict[str, Any]]:
    return [event for event in gateway.log_events() if event["event"] == kind]


def said(gateway: Gateway, kind: str, count: int) -> list[dict[str, Any]]:
    """Lines of that kind once there are so many: the log is written in batches."""
    eventually(lambda: len(events(gateway, kind)) >= count, SECONDS, f"{count} lines {kind}")
    return events(gateway, kind)


def rejected(gateway: Gateway) -> float:
    [line] = [line for line in gateway.metrics().splitlines() if line.startswith("parley_config_rejected_total ")]
    return float(line.split()[1])


def loaded(gateway: Gateway) -> float:
    name = "parley_config_loaded_timestamp_seconds "
    [line] = [line for line in gateway.metrics().splitlines() if line.startswith(name)]
    return float(line.split()[1])


@pytest.fixture
def provider() -> Iterator[Peer]:
    with peer(lambda seen: Told([json.dumps(ANSWER).encode()])) as found:
        yield found


def lab(found: Peer, *models: str, **more: Any) -> dict[str, Any]:
    """A configuration whose models are at the fake provider."""
    providers = {"lab": {"type": "openai", "base_url": f"{found.url}/v1", "api_key": "k", **more}}
    return {"providers": providers, **entries(*models, target="lab/m")}


def test_no_request_fails_during_twenty_changes_and_connections_stay(
    connect: Connect, parley_server: Start, provider: Peer
) -> None:
    gateway = parley_server(lab(provider, "one"))
    over, statuses = threading.Event(), list[int]()

    def keep_asking() -> None:
        client = connect(gateway)
        while not over.is_set():
            statuses.append(client.chat("one"))

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        client = connect(gateway)
        for number in range(20):
            before = len(statuses)
            replace(gateway.path, lab(provider, "one", f"new-{number}"))
            assert client.reload() == (200, {"status": "loaded", "problems": []})
            assert client.models() == {"echo", "one", f"new-{number}"}
            eventually(lambda before=before: len(statuses) > before, 30, "a request after the change")
    finally:
        over.set()
        asking.join()
    assert set(statuses) == {200}
    assert len(statuses) >= 20
    assert len(provider.seen) == len(statuses)
    assert provider.connections == 1


def test_a_change_is_noticed_in_time(connect: Connect, parley_server: Start) -> None:
    assert watching.LOOK_SECONDS + watching.BUSY_MS / 1000 + rereading.QUIET_SECONDS + rereading.EMPTY_SECONDS < 1.5
    gateway = parley_server(entries("one"))
    client, before = connect(gateway), loaded(gateway)
    write(gateway.path, entries("one", "two"))
    client.soon(lambda: "two" in client.models(), "written in place")
    assert client.chat("two") == 200
    assert before < loaded(gateway) <= time.time()
    replace(gateway.path, entries("three"))
    client.soon(lambda: client.models() == {"echo", "three"}, "replaced")
    assert client.chat("two") == 404
    assert [event["why"] for event in said(gateway, "config.loaded", 2)] == ["changed", "changed"]


def test_what_is_wrong_changes_nothing_and_says_where(connect: Connect, parley_server: Start) -> None:
    gateway = parley_server(entries("one"))
    client = connect(gateway)
    assert (client.problems(), rejected(gateway)) == ([], 0.0)
    before = loaded(gateway)
    replace(gateway.path, "models:\n  - model: two\n    targets: [echo/echo]\n    strategy: falback\n")
    client.soon(client.problems, "a problem")
    [problem] = client.problems()
    assert (problem["kind"], problem["file"]) == ("config", str(gateway.path))
    assert (problem["line"], problem["column"]) == (4, 15)
    assert '"falback" is not one of' in problem["message"]
    assert (client.chat("one"), client.chat("two")) == (200, 404)
    assert (rejected(gateway), loaded(gateway)) == (1.0, before)
    [line] = said(gateway, "config.rejected", 1)
    assert [line[name] for name in ("file", "line", "column", "message")] == [
        problem[name] for name in ("file", "line", "column", "message")
    ]
    assert line["hint"] == 'did you mean "fallback"?'
    replace(gateway.path, entries("two"))
    client.soon(lambda: not client.problems(), "right again")
    assert (client.chat("one"), client.chat("two")) == (404, 200)
    assert rejected(gateway) == 1.0
    gateway.path.unlink()
    client.soon(client.problems, "the file is gone")
    assert client.chat("two") == 200


def test_a_stream_begun_before_goes_on(connect: Connect, parley_server: Start) -> None:
    more = threading.Event()
    events = [
        b'data: {"choices": [{"index": 0, "delta": {"content": "%b"}, "finish_reason": null}]}\n\n' % word
        for word in (b"first", b"last")
    ]

    def answer(seen: Seen) -> Told:
        def parts() -> Iterator[bytes]:
            yield events[0]
            assert more.wait(30)
            yield events[1]
            yield b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'

        return Told(parts(), "text/event-stream")

    with peer(answer) as found:
        gateway = parley_server(lab(found, "one"))
        client, stream = connect(gateway), connect(gateway).connection
        body = {"model": "one", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
        stream.request("POST", "/v1/chat/completions", json.dumps(body))
        reading = stream.getresponse()
        assert b"first" in reading.readline()
        replace(gateway.path, entries("two"))
        assert client.reload()[0] == 200
        assert (client.chat("one"), client.chat("two")) == (404, 200)
        more.set()
        rest = reading.read()
    assert b"last" in rest
    assert rest.endswith(b"data: [DONE]\n\n")


def test_included_files_come_and_go(connect: Connect, parley_server: Start, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    main = {"include": [f"{folder}/*.yaml", str(tmp_path / "later")], **entries("one")}
    gateway = parley_server(main)
    client = connect(gateway)
    assert [problem["kind"] for problem in client.problems()] == ["config"]
    before = rejected(gateway)
    write(folder / "a.yaml", entries("two"))
    client.soon(lambda: "two" in client.models(), "a file was added")
    (tmp_path / "later").mkdir()
    write(tmp_path / "later" / "b.yaml", entries("three"))
    client.soon(lambda: client.models() == {"echo", "one", "two", "three"}, "a folder was added")
    assert client.problems() == []
    replace(folder / "a.yaml", "models: [")
    client.soon(client.problems, "an included file is wrong")
    assert client.problems()[0]["file"] == str(folder / "a.yaml")
    assert client.models() == {"echo", "one", "three"}
    assert rejected(gateway) > before
    (folder / "a.yaml").unlink()
    client.soon(lambda: not client.problems(), "it was removed")
    assert client.models() == {"echo", "one", "three"}


def test_secrets_in_files_and_variables_are_read_again(
    connect: Connect, parley_server: Start, provider: Peer, tmp_path: Path
) -> None:
    env, secret = tmp_path / "x.env", tmp_path / "secret"
    env.write_text("ACCOUNT=first\n")
    secret.write_text("old\n")
    config = lab(provider, "one", api_key=f"file:{secret}", headers={"x-account": "${ACCOUNT}"})
    gateway = parley_server(config, args=["--env-file", str(env)])
    client = connect(gateway)

    def sent() -> tuple[str, str]:
        assert client.chat("one") == 200
        return provider.last.headers["authorization"], provider.last.headers["x-account"]

    assert sent() == ("Bearer old", "first")
    secret.write_text("new\n")
    client.soon(lambda: sent() == ("Bearer new", "first"), "the key was changed")
    replace(env, "ACCOUNT=second\n")
    client.soon(lambda: sent() == ("Bearer new", "second"), "the variable was changed")
    replace(env, "ACCOUNT=second\nnonsense\n")
    client.soon(client.problems, "a wrong line")
    [problem] = client.problems()
    assert (problem["file"], problem["line"], problem["column"]) == (str(env), 2, 1)
    assert sent() == ("Bearer new", "second")


def test_links_as_kubernetes_moves_them(connect: Connect, parley_server: Start, tmp_path: Path) -> None:
    for number, model in enumerate(("one", "two")):
        (tmp_path / f"..{number}").mkdir()
        write(tmp_path / f"..{number}" / "models.yaml", entries(model))
    (tmp_path / "..data").symlink_to("..0")
    (tmp_path / "models.yaml").symlink_to("..data/models.yaml")
    gateway = parley_server({"include": str(tmp_path / "models.yaml")})
    client = connect(gateway)
    assert client.models() == {"echo", "one"}
    (tmp_path / "..new").symlink_to("..1")
    os.replace(tmp_path / "..new", tmp_path / "..data")
    client.soon(lambda: client.models() == {"echo", "two"}, "the link leads elsewhere")


def test_a_signal_loads_it_again(connect: Connect, parley_server: Start) -> None:
    gateway = parley_server(entries("one"))
    gateway.signal(signal.SIGHUP)
    assert said(gateway, "config.loaded", 1)[0]["why"] == "SIGHUP"
    assert connect(gateway).chat("one") == 200


def test_asking_for_it_needs_the_key(connect: Connect, parley_server: Start) -> None:
    gateway = parley_server({"auth": {"admin_key": "very-secret"}, **entries("one")})
    client = connect(gateway)
    for wrong in ({}, {"authorization": "Bearer other"}, {"authorization": "Basic very-secret"}):
        status, body = client.reload(**wrong)
        assert (status, body["error"]["code"]) == (401, "unauthorized")
    assert client.ask("GET", "/admin/api/reload", authorization="Bearer very-secret")[0] == 405
    assert events(gateway, "config.loaded") == []
    assert client.reload(authorization="Bearer very-secret") == (200, {"status": "loaded", "problems": []})
    replace(gateway.path, {"auth": {"admin_key": "another"}, "models": [{"model": 1}]})
    status, body = client.reload(authorization="Bearer very-secret")
    assert (status, body["status"]) == (422, "rejected")
    assert body["problems"][0]["file"] == str(gateway.path)
    replace(gateway.path, {"auth": {"admin_key": "another"}, **entries("one")})
    # The look at the files may have come first.
    first = client.reload(authorization="Bearer very-secret")[0]
    assert first in (200, 401)
    assert first == 200 or said(gateway, "config.loaded", 2)[1]["why"] == "changed"
    assert client.reload(authorization="Bearer very-secret")[0] == 401
    assert client.reload(authorization="Bearer another")[0] == 200


def test_health_survives_where_nothing_changed(connect: Connect, parley_server: Start, provider: Peer) -> None:
    with peer(lambda seen: Told([b'{"error": {"message": "no"}}'], status=500)) as broken:
        config = lab(provider, "one")
        config["providers"]["bad"] = {"type": "openai", "base_url": f"{broken.url}/v1", "api_key": "k"}
        config["models"].append({"model": "two", "targets": ["bad/m"], "retries": {"attempts": 1}})
        gateway = parley_server(config)
        client = connect(gateway)
        assert [client.chat("two") for _ in range(5)] == [500] * 5
        assert gateway.metric("parley_breaker_state", "bad") == 1.0
        config["providers"]["lab"]["headers"] = {"x-account": "a"}
        replace(gateway.path, config)
        assert client.reload()[0] == 200
        assert gateway.metric("parley_breaker_state", "bad") == 1.0
        # One that is open may be tried once a second where there is nothing else.
        assert (client.chat("two"), len(broken.seen)) in ((503, 5), (500, 6))
        assert client.chat("one") == 200
        assert provider.last.headers["x-account"] == "a"


def test_what_takes_a_restart_is_said(connect: Connect, parley_server: Start, tmp_path: Path) -> None:
    gateway = parley_server(entries("one"))
    client = connect(gateway)
    replace(gateway.path, {"store": f"sqlite:///{tmp_path}/other.db", **entries("two")})
    problem = {"kind": "restart", "message": "store has changed; it takes a restart"}
    assert client.reload() == (200, {"status": "loaded", "problems": [problem]})
    assert (client.problems(), client.models()) == ([problem], {"echo", "two"})
    assert [event["message"] for event in said(gateway, "config.restart", 1)] == [problem["message"]]
    replace(gateway.path, entries("two"))
    client.soon(lambda: not client.problems(), "as it was")
    assert not (tmp_path / "other.db").exists()


def test_the_door_and_its_limits_follow(connect: Connect, parley_server: Start) -> None:
    gateway = parley_server({"hosts": ["gate.example"], **entries("one")})
    client = connect(gateway)
    assert [client.chat("one", host="gate.example") for _ in range(4)] == [200] * 4
    replace(gateway.path, {"log": {"requests": False}, "limits": {"body": "64"}, **entries("one")})
    assert connect(gateway).reload()[0] == 200
    assert client.chat("one", host="gate.example") == 421
    assert connect(gateway).chat("one") == 413
    replace(gateway.path, {"log": {"requests": False}, **entries("one")})
    other = connect(gateway)
    assert other.reload()[0] == 200
    assert other.chat("one") == 200
    gateway.signal(signal.SIGHUP)
    client.soon(lambda: "SIGHUP" in [event["why"] for event in events(gateway, "config.loaded")], "a signal")
    statuses = [event["status"] for event in events(gateway, "request.end")]
    assert statuses == [200] * 4


def test_a_provider_that_needs_another_transport(connect: Connect, parley_server: Start, provider: Peer) -> None:
    gateway = parley_server(entries("one"))
    client = connect(gateway)
    replace(gateway.path, lab(provider, "one", transport="aiohttp"))
    assert client.reload()[0] == 200
    assert client.chat("one") == 200
    assert provider.last.body["model"] == "m"


def test_a_change_does_not_open_what_others_can_reach(parley_server: Start, connect: Connect) -> None:
    gateway = parley_server(
        {"auth": {"admin_key": "very-secret"}, **entries("one")}, args=["--listen", f"0.0.0.0:{free_port()}"]
    )
    client = connect(gateway)
    replace(gateway.path, entries("one"))
    status, body = client.reload(authorization="Bearer very-secret")
    assert (status, body["status"]) == (422, "rejected")
    assert body["problems"][0]["file"] == str(gateway.path)
    assert "show a key at" in body["problems"][0]["message"]
    assert client.reload()[0] == 401
