"""What is kept of prompts and answers, and of whom."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from fixtures.children import eventually
from fixtures.parley import Gateway, Start
from parley.config import load_text
from parley.ledger.bodies import kept, object_of
from parley.pii import scrubbed
from parley.wire import load

ASKED = {"model": "echo", "messages": [{"role": "user", "content": "mail ann@example.org or call +4422222222"}]}


def test_a_body_is_scrubbed_where_it_says_something_and_then_cut() -> None:
    body = json.dumps({"n": 20241, "a": ["x@example.org"], "b@example.org": {"c": "10.8.9.1"}}).encode()
    made, cut = kept(body, 1000, scrubbed)
    assert json.loads(made) == {"n": 20241, "a": ["<EMAIL_ADDRESS>"], "b@example.org": {"c": "<IP>"}}
    assert not cut
    assert kept(body, 10, None) == (body[:10], True)


@pytest.mark.parametrize("body", [b"\xff", b"{", b"plain x@example.org"])
def test_what_cannot_be_read_cannot_be_scrubbed_and_is_not_kept(body: bytes) -> None:
    made, _ = kept(body, 1000, scrubbed)
    assert json.loads(made) == {"not kept": "it is neither JSON nor a stream that can be read"}
    assert kept(body, 1000, None) == (body, False)


def test_a_stream_is_kept_as_one_object() -> None:
    pieces = [b"ann@exa", b"mple.org"]
    events = b"".join(
        b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % piece for piece in pieces
    )
    events += (
        b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    whole = json.loads(object_of(load("openai_chat"), events))
    assert whole["choices"][0]["message"]["content"] == "ann@example.org"
    assert object_of(load("openai_chat"), events[:-60]) == b""


def test_the_configuration_says_whose() -> None:
    loaded = load_text("ledger: {bodies: {keys: [t-*], keep: 1d, size: 1KiB, scrub: false}}", {})
    found = loaded.settings.ledger.bodies
    assert (found.keys, found.keep, found.size, found.scrub) == (("t-*",), 86400.0, 1024, False)
    wrong = load_text("ledger: {bodies: {keys: [''], keep: soon}}", {}).problems
    assert [(one.line, one.column) for one in wrong] == [(1, 26), (1, 37)]


def command(gateway: Gateway, *words: str) -> Any:
    asked = [sys.executable, "-m", "parley", *words, "--config", str(gateway.path)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def key(gateway: Gateway, name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {command(gateway, 'keys', 'create', name, '--json')['key']}"}


def shown(path: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as raw:
        found = raw.execute("SELECT request_id, request, answer FROM bodies ORDER BY at").fetchall()
    raw.close()
    return found


def test_only_of_named_keys_and_without_what_is_personal(parley_server: Start, tmp_path: Path) -> None:
    path = tmp_path / "parley.db"
    config = {"store": f"sqlite:///{path}", "ledger": {"bodies": {"keys": ["watched"]}}}
    gateway = parley_server(config)
    watched, other = key(gateway, "watched"), key(gateway, "other")
    url = f"{gateway.url}/v1/chat/completions"

    def asked(headers: dict[str, str], name: str, **more: Any) -> httpx.Response:
        return httpx.post(url, json={**ASKED, **more}, headers={**headers, "x-request-id": name})

    eventually(lambda: asked({}, "nobody").status_code == 401, 30, "there are keys")
    eventually(lambda: asked(other, "private").status_code == 200, 30, "both are known")
    assert asked(watched, "streamed", stream=True).status_code == 200
    assert asked(watched, "wrong", messages=[]).status_code == 400
    eventually(lambda: {"streamed", "wrong"} <= {row[0] for row in shown(path)}, 30, "they are written")
    found = {name: (json.loads(request), json.loads(answer)) for name, request, answer in shown(path)}
    assert "private" not in found
    clean = "mail <EMAIL_ADDRESS> or call <PHONE_NUMBER>"
    assert found["streamed"][0]["messages"][0]["content"] == clean
    assert found["streamed"][1]["choices"][0]["message"]["content"] == clean
    assert found["wrong"][1]["error"]["param"] == "messages"
    printed = command(gateway, "logs", "--request", "streamed", "--bodies")
    assert printed[0]["answer"] == found["streamed"][1]
    assert not printed[0]["cut"]
