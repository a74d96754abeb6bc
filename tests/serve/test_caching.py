"""Kept answers through a running gateway: in memory, in its store, in Redis; over a reload and a restart."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from fixtures.children import eventually
from fixtures.parley import Gateway, Start
from fixtures.redis import RedisServer

BODY = {"model": "kept", "messages": [{"role": "user", "content": "hello there"}]}


def config(cache: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"models": [{"model": "kept", "targets": ["echo/echo"]}], "cache": cache, **more}


def asked(gateway: Gateway, **more: Any) -> httpx.Response:
    url = f"http://127.0.0.1:{gateway.port}/v1/chat/completions"
    answer = httpx.post(url, json={**BODY, **more}, timeout=30)
    assert answer.status_code == 200
    return answer


def told(gateway: Gateway, **more: Any) -> str | None:
    return asked(gateway, **more).headers.get("x-parley-cache")


def test_answers_in_memory(parley_server: Start) -> None:
    gateway = parley_server(config({"responses": "memory"}))
    first, second = asked(gateway), asked(gateway)
    assert [answer.headers["x-parley-cache"] for answer in (first, second)] == ["miss", "hit"]
    assert first.content == second.content
    assert (second.headers["x-parley-attempts"], second.headers["x-parley-target"]) == ("0", "echo/echo")
    streams = [asked(gateway, stream=True) for _ in range(2)]
    assert [answer.headers["x-parley-cache"] for answer in streams] == ["miss", "hit"]
    assert streams[0].content == streams[1].content
    assert streams[1].headers["content-type"] == "text/event-stream"
    assert 'parley_cache_total{result="hit"} 2.0' in gateway.metrics()


def test_a_reload_turns_it_on_and_off_and_what_changed_is_asked_anew(parley_server: Start) -> None:
    gateway = parley_server(config({"responses": "off"}))
    assert told(gateway) is None

    def write(cache: dict[str, Any], **more: Any) -> None:
        import yaml

        before = len([event for event in gateway.log_events() if event["event"] == "config.loaded"])
        gateway.path.write_text(yaml.safe_dump(config(cache, **more)))
        eventually(
            lambda: len([event for event in gateway.log_events() if event["event"] == "config.loaded"]) > before,
            30,
            "the change is taken over",
        )

    write({"responses": "memory"})
    assert [told(gateway) for _ in range(2)] == ["miss", "hit"]
    changed = [{"model": "kept", "targets": ["echo/echo"], "defaults": {"temperature": 0}}]
    write({"responses": "memory"}, models=changed)
    assert [told(gateway) for _ in range(2)] == ["miss", "hit"]
    write({"responses": "off"})
    assert told(gateway) is None


def test_answers_in_the_store_outlive_the_process(parley_server: Start, tmp_path: Path) -> None:
    settings = config({"responses": "store"}, store=f"sqlite:///{tmp_path / 'parley.db'}")
    first = parley_server(settings)
    assert told(first) == "miss"
    eventually(lambda: told(first) == "hit" or None, 30, "it is kept")
    assert first.stop() == 0
    assert told(parley_server(settings)) == "hit"


def test_answers_in_redis_are_shared(parley_server: Start, redis_server: RedisServer) -> None:
    settings = config({"responses": redis_server.url(redis_server.fresh())})
    one, two = parley_server(settings), parley_server(settings)
    assert told(one) == "miss"
    eventually(lambda: told(two) == "hit" or None, 30, "the other process has it")


@pytest.mark.parametrize("place", ["redis://127.0.0.1:1/0", "store"])
def test_a_place_that_is_away_holds_nobody_up_and_is_told(parley_server: Start, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    gateway = parley_server(config({"responses": place}, store=f"sqlite:///{tmp_path / 'file' / 'parley.db'}"))
    for _ in range(8):
        assert asked(gateway).elapsed.total_seconds() < 4
    ready = httpx.get(f"http://127.0.0.1:{gateway.port}/readyz").json()
    assert ready["status"] == "degraded"
    assert "cache" in {problem["kind"] for problem in ready["problems"]}
    assert "s3cret" not in "\n".join(gateway.stderr_lines())
