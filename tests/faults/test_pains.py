"""What users of other gateways reported again and again, as far as no other test is about it: docs/pains.md."""

import http.client
import json
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from fixtures.parley import Gateway, Start
from fixtures.peer import Peer, Seen, Told, peer

ANSWER = {
    "id": "c-1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}  # fmt: skip
HELLO = [{"role": "user", "content": "hi"}]
# Secrets by the place that they are put in.
PROVIDER, HEADER, ADMIN, CALLER = "sk-provider-51c2", "x-secret-84f1", "admin-secret-9d07", "caller-secret-77ab"
SECRETS = (PROVIDER, HEADER, ADMIN, CALLER)
LARGE = 6 * 1024 * 1024
WARM, MORE = 1500, 4500
ALLOWED = 6 * 1024 * 1024


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


# P01


def test_memory_does_not_grow_with_requests(parley_server: Start) -> None:
    """Every request has a model, an id, a key and a user of its own; a third fails, a third is streamed."""
    gateway = parley_server({"log": {"requests": False}, "models": [{"model": "m-*", "targets": ["echo/echo"]}]})
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    numbers = count()

    def ask(times: int) -> None:
        for _ in range(times):
            number = next(numbers)
            model = ("echo", f"echo/m-{number}", f"nobody/{number}")[number % 3]
            said = {"model": model, "messages": HELLO, "stream": number % 2 == 0, "user": f"user-{number}"}
            headers = {"x-request-id": f"id-{number}", "x-api-key": f"key-{number}", "x-own": "y" * 500}
            connection.request("POST", "/v1/chat/completions", json.dumps(said), headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == (404 if number % 3 == 2 else 200)

    ask(WARM)
    before = resident(gateway.pid)
    ask(MORE)
    connection.close()
    assert resident(gateway.pid) - before < ALLOWED


# P18


def leaky(seen: Seen) -> Told:
    """Providers tell in their errors what they were sent."""
    status = int(seen.body["model"])
    told = {"error": {"message": f"wrong: {seen.headers}", "type": "x", "param": None, "code": "x"}}
    return Told([json.dumps(told).encode()], status=status)


@pytest.fixture
def leaking(parley_server: Start) -> Iterator[Gateway]:
    with peer(leaky) as provider:
        yield parley_server(
            {
                "auth": {"admin_key": ADMIN, "required": True},
                "providers": {
                    "bad": {
                        "type": "openai", "base_url": provider.url, "api_key": PROVIDER,
                        "headers": {"x-own-token": HEADER},
                    },
                    "gone": {"type": "openai", "base_url": "http://127.0.0.1:9", "api_key": PROVIDER},
                },
                "models": [{"model": "twice", "targets": ["bad/500", "bad/503"]}],
                "log": {"slow": "1ms"},
            }
        )  # fmt: skip


def test_no_secret_is_in_a_log_an_error_or_a_metric(leaking: Gateway) -> None:
    texts = []
    for model in ("bad/400", "bad/401", "bad/403", "bad/429", "bad/500", "bad/503", "twice", "gone/m", "nobody/m"):
        for path in ("/v1/chat/completions", "/v1/messages"):
            said = {"model": model, "messages": HELLO, "max_tokens": 5}
            told = httpx2.post(f"{leaking.url}{path}", json=said, headers={"authorization": f"Bearer {ADMIN}"})
            assert told.status_code >= 400
            texts.append(told.text + str(told.headers))
    for ways in ({"headers": {"x-api-key": CALLER}}, {"params": {"key": CALLER}}, {"params": {"key": ADMIN}}):
        for path in ("/v1/chat/completions", f"/v1/models/{CALLER[:0]}x", "/v1beta/models/x:generateContent"):
            told = httpx2.post(f"{leaking.url}{path}", json={"model": "bad/500", "messages": HELLO}, **ways)
            texts.append(told.text + str(told.headers))
    for path in ("/metrics", "/readyz", "/v1/models"):
        texts.append(httpx2.get(f"{leaking.url}{path}", headers={"x-api-key": ADMIN}).text)
    leaking.stop()
    texts += leaking.stderr_lines()
    assert sum("request.end" in text for text in texts) > 20
    found = [(secret, text[:300]) for secret in SECRETS for text in texts if secret in text]
    assert not found


# P19


STEERING: dict[str, Any] = {
    "api_base": "URL", "base_url": "URL", "api_key": "sk-x", "custom_host": "URL", "endpoint": "URL", "proxy": "URL",
    "extra_body": {"api_base": "URL", "base_url": "URL"}, "metadata": {"api_base": "URL", "base_url": "URL"},
    "litellm_params": {"api_base": "URL"}, "config": {"api_base": "URL"},
}  # fmt: skip
HEADERS = (
    "x-base-url", "x-api-base", "x-portkey-custom-host", "x-forwarded-host", "x-original-url", "x-upstream", "x-host",
)  # fmt: skip


def test_no_caller_says_where_a_request_goes(parley_server: Start) -> None:
    with peer(lambda seen: Told([json.dumps(ANSWER).encode()])) as right, peer(lambda seen: Told([b"{}"])) as wrong:
        gateway = parley_server(
            {
                "providers": {"here": {"type": "openai", "base_url": right.url, "api_key": PROVIDER}},
                "models": [{"model": "any", "targets": ["here/m"]}],
            }
        )
        _steered(gateway, wrong)
        assert (wrong.connections, len(right.seen)) == (0, len(STEERING) + len(HEADERS))
        assert {seen.path for seen in right.seen} == {"/chat/completions"}
        assert {seen.headers["authorization"] for seen in right.seen} == {f"Bearer {PROVIDER}"}
        for model in (f"{wrong.url}/m", f"here@{wrong.url}", f"openai/{wrong.url}", "here/../../m"):
            httpx2.post(f"{gateway.url}/v1/chat/completions", json={"model": model, "messages": HELLO})
        assert wrong.connections == 0


def _steered(gateway: Gateway, wrong: Peer) -> None:
    for name, value in STEERING.items():
        said = json.loads(json.dumps({"model": "any", "messages": HELLO, name: value}).replace("URL", wrong.url))
        told = httpx2.post(f"{gateway.url}/v1/chat/completions", json=said)
        assert told.status_code == 200, (name, told.text)
    for name in HEADERS:
        said = {"model": "any", "messages": HELLO}
        told = httpx2.post(f"{gateway.url}/v1/chat/completions", json=said, headers={name: wrong.url})
        assert told.status_code == 200, (name, told.text)


# P20

INJECTED = ("' OR 1=1 --", "x'; DROP TABLE keys; --", '" OR ""="', "%27%20OR%201=1", "*", "%", "a\\' OR 1=1")


def test_no_words_of_a_caller_become_a_statement(parley_server: Start, tmp_path: Path) -> None:
    config = {"store": f"sqlite:///{tmp_path}/parley.db", "auth": {"admin_key": ADMIN, "required": True}}
    gateway = parley_server(config)
    with httpx2.Client(base_url=gateway.url, headers={"x-api-key": ADMIN}) as admin:
        assert admin.post("/admin/api/keys", json={"name": "alice"}).status_code == 201
        assert admin.post("/v1/responses", json={"model": "echo", "input": "hi"}).status_code == 200
        for words in INJECTED:
            told = httpx2.get(f"{gateway.url}/v1/models", headers={"authorization": f"Bearer {words}"})
            assert told.status_code == 401, words
            for path in ("/v1/responses/", "/v1/conversations/", "/admin/api/keys/"):
                assert admin.get(path + quote(words, safe="")).status_code in (400, 404)
            rows = admin.get("/admin/api/requests", params={"model": words, "key": words}).json()
            assert rows["data"] == [], words
            sums = admin.get("/admin/api/usage", params={"tag:" + words: words, "model": words}).json()
            assert all(not one["requests"] for one in sums.get("data", [])), words
            assert admin.post("/admin/api/keys", json={"name": words}).status_code == 201
        assert [one["name"] for one in admin.get("/admin/api/keys").json()["data"]] == ["alice", *INJECTED]


def test_a_key_that_begins_like_a_known_one_is_unknown(parley_server: Start, tmp_path: Path) -> None:
    config = {"store": f"sqlite:///{tmp_path}/parley.db", "auth": {"admin_key": ADMIN * 3, "required": True}}
    gateway = parley_server(config)

    def status(key: str) -> int:
        return int(httpx2.get(f"{gateway.url}/v1/models", headers={"authorization": f"Bearer {key}"}).status_code)

    # Known first, so that whatever is remembered of it is there.
    known = ADMIN * 3
    assert status(known) == 200
    assert [status(key) for key in (known[:20], known[:-1], known + "x", known[:20] + "y" * 31)] == [401] * 4
    assert status(known) == 200


# P28


def test_large_bodies_and_large_events_go_through_whole(parley_server: Start) -> None:
    picture = "A" * LARGE
    chunk = {"id": "c", "choices": [{"index": 0, "delta": {"content": "b" * (LARGE // 8)}}]}
    last = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    events = [b"data: " + json.dumps(one).encode() + b"\n\n" for one in (chunk, last)]
    # In pieces that end anywhere, as networks cut them.
    sent = b"".join([*events, b"data: [DONE]\n\n"])
    pieces = [sent[at : at + 60_001] for at in range(0, len(sent), 60_001)]
    with peer(lambda seen: Told(pieces, "text/event-stream")) as provider:
        gateway = parley_server(
            {
                "providers": {"here": {"type": "openai", "base_url": provider.url, "api_key": PROVIDER}},
                "models": [{"model": "any", "targets": ["here/m"]}],
            }
        )
        url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}
        said = {"model": "any", "stream": True, "messages": [{"role": "user", "content": [url]}]}
        told = httpx2.post(f"{gateway.url}/v1/chat/completions", json=said, timeout=30)
        assert told.status_code == 200
        assert "b" * (LARGE // 8) in told.text
        assert told.text.endswith("data: [DONE]\n\n")
        assert provider.last.body["messages"][0]["content"][0] == url
