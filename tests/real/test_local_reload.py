"""Models of this machine while the configuration changes: processes that stay, and those that end."""

import http.client
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from fixtures.children import eventually
from fixtures.parley import Gateway, start
from real import tiny


def config(gguf: Path, **threads: int) -> dict[str, Any]:
    return {
        "models": [
            {"model": name, "settings": {"model": str(gguf), "threads": count}} for name, count in threads.items()
        ]
    }


def asked(gateway: Gateway, path: str, body: object = None) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    connection.request("POST", path, None if body is None else json.dumps(body))
    return connection


def status(gateway: Gateway, path: str, body: object = None) -> int:
    connection = asked(gateway, path, body)
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def pids(gateway: Gateway, event: str) -> list[int]:
    return [line["pid"] for line in gateway.log_events() if line["event"] == event]


def test_engines_that_stay_run_on_and_others_end_after_their_last_stream(tiny_gguf: Path, tmp_path: Path) -> None:
    gateway = start(sys.executable, tmp_path, config(tiny_gguf, one=1, two=2), {}, ())
    try:
        for name in ("one", "two"):
            body = {"model": name, "messages": tiny.user("hi")}
            assert status(gateway, "/v1/chat/completions", body) == 200
        one, two = eventually(lambda: (found := pids(gateway, "engine.ready"))[1:] and found, 30, "two engines")
        endless = {"model": "two", "messages": tiny.user("LOOP"), "stream": True}
        stream = asked(gateway, "/v1/chat/completions", endless)
        reading = stream.getresponse()
        assert reading.readline().startswith(b"data: ")
        gateway.path.write_text(yaml.safe_dump(config(tiny_gguf, zero=3, one=1)))
        assert status(gateway, "/admin/api/reload") == 200
        body = {"messages": tiny.user("hi")}
        assert status(gateway, "/v1/chat/completions", {**body, "model": "two"}) == 404
        assert status(gateway, "/v1/chat/completions", {**body, "model": "one"}) == 200
        assert reading.readline()
        assert pids(gateway, "engine.unload") == []
        reading.close()
        stream.close()
        assert eventually(lambda: pids(gateway, "engine.unload"), 30, "the engine ends") == [two]
        assert status(gateway, "/v1/chat/completions", {**body, "model": "zero"}) == 200
        assert status(gateway, "/v1/chat/completions", {**body, "model": "one"}) == 200
        ready = eventually(lambda: (found := pids(gateway, "engine.ready"))[2:] and found, 30, "three engines")
        assert ready[:2] == [one, two]
        assert len(ready) == 3
    finally:
        gateway.stop()
