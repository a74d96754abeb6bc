"""Callers with tokens of an issuer, and callers that a hook knows, in front of a running gateway. The issuer is real as
far as it goes: it signs, publishes its keys, rotates them and goes away."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from fixtures.children import eventually
from fixtures.parley import Gateway, Start


class Issuer:
    """``asked`` are the paths that were."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.away = False
        self.lies = False
        self.key = RSAKey.generate_key(2048, {"kid": "first"})
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                body = json.dumps(issuer.said(self.path)).encode()
                self.send_response(503 if issuer.away else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def said(self, path: str) -> Any:
        if path == "/.well-known/openid-configuration":
            where = "http://evil.example/keys" if self.lies else f"{self.url}/keys"
            return {"issuer": self.url, "jwks_uri": where}
        return {"keys": [self.key.as_dict(private=False)]}

    def rotate(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": f"at-{time.monotonic()}"})

    def token(self, **claims: Any) -> str:
        said = {"iss": self.url, "sub": "alice", "aud": "parley", "exp": int(time.time()) + 60, **claims}
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, said, self.key)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.server.shutdown()
    made.server.server_close()


def config(issuer: Issuer, **more: Any) -> dict[str, Any]:
    return {"auth": {"jwt": {"issuer": issuer.url, "audience": "parley", **more}}}


def asked(gateway: Gateway, key: str | None, model: str = "echo") -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return httpx.post(f"http://127.0.0.1:{gateway.port}/v1/chat/completions", json=body, headers=headers, timeout=30)


def problems(gateway: Gateway) -> set[str]:
    ready = httpx.get(f"http://127.0.0.1:{gateway.port}/readyz").json()
    return {problem["kind"] for problem in ready["problems"]}


def test_a_token_is_a_key_and_everything_else_is_refused_alike(parley_server: Start, issuer: Issuer) -> None:
    gateway = parley_server(config(issuer, models="models"))
    token = issuer.token(models=["echo"])
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]
    assert asked(gateway, token).status_code == 200
    assert asked(gateway, token).status_code == 200
    assert asked(gateway, token, "echo/other").status_code == 403
    assert asked(gateway, issuer.token()).status_code == 403
    refused = [
        asked(gateway, key)
        for key in (
            None,
            "x",
            "a.b.c",
            token[:-3],
            issuer.token(aud="other"),
            issuer.token(exp=1),
            issuer.token(iss="http://x"),
        )
    ]
    assert {answer.status_code for answer in refused} == {401}
    assert len({answer.json()["error"]["message"] for answer in refused}) == 1
    models = httpx.get(f"http://127.0.0.1:{gateway.port}/v1/models", headers={"x-api-key": token}).json()
    assert [model["id"] for model in models["data"]] == ["echo"]
    assert len(issuer.asked) == 2
    assert "alice" not in "\n".join(gateway.stderr_lines())


def test_an_issuer_that_rotates_and_goes_away(parley_server: Start, issuer: Issuer) -> None:
    gateway = parley_server(config(issuer, refresh="200ms"))
    before = issuer.token()
    assert asked(gateway, before).status_code == 200
    issuer.rotate()
    eventually(lambda: asked(gateway, issuer.token()).status_code == 200 or None, 30, "the new key is known")
    # What was verified by the key before is not remembered over its end.
    assert asked(gateway, before).status_code == 401
    issuer.away = True
    eventually(lambda: "jwt" in problems(gateway) or None, 30, "it is told that the issuer is away")
    assert asked(gateway, issuer.token()).status_code == 200
    issuer.away = False
    eventually(lambda: "jwt" not in problems(gateway) or None, 30, "it is back")


def test_an_issuer_that_never_was_there_leaves_tokens_outside_and_keys_alone(
    parley_server: Start, issuer: Issuer
) -> None:
    issuer.away = True
    gateway = parley_server({"auth": {**config(issuer)["auth"], "admin_key": "own-key"}})
    token = issuer.token()
    assert [asked(gateway, key).status_code for key in (token, "wrong", "own-key")] == [503, 401, 200]
    issuer.away = False
    eventually(lambda: asked(gateway, token).status_code == 200 or None, 30, "the keys were fetched after all")


def test_an_issuer_that_points_elsewhere_is_not_followed(parley_server: Start, issuer: Issuer) -> None:
    issuer.lies = True
    gateway = parley_server(config(issuer))
    assert asked(gateway, issuer.token()).status_code == 503
    assert issuer.asked == ["/.well-known/openid-configuration"]
    assert problems(gateway) == {"jwt"}


def test_keys_at_an_address_of_their_own_need_no_discovery(parley_server: Start, issuer: Issuer) -> None:
    gateway = parley_server(config(issuer, jwks_url=f"{issuer.url}/elsewhere"))
    assert asked(gateway, issuer.token()).status_code == 200
    assert issuer.asked == ["/elsewhere"]


HOOK = """
from parley.hooks import Holder, Refusal

class Doorkeeper:
    def __init__(self, *, word):
        self.word = word

    def authenticate(self, headers):
        if headers.get("x-team-secret") == self.word:
            return Holder(id="team-blue", name="blue", models=("echo",))
        if headers.get("x-team-secret") == "broken":
            raise RuntimeError("the secret is broken")

    def request(self, view):
        if view.key is not None and "forbidden" in view.texts[-1].text:
            return Refusal(f"{view.key.name} must not say that")
"""


def test_a_hook_of_somebody_elses_knows_callers_and_refuses_words(parley_server: Start, tmp_path: Path) -> None:
    (tmp_path / "door.py").write_text(HOOK)
    hook = {"use": "door:Doorkeeper", "options": {"word": "open"}}
    gateway = parley_server({"hooks": [hook]}, env={"PYTHONPATH": str(tmp_path)})
    url = f"http://127.0.0.1:{gateway.port}/v1/chat/completions"

    def told(secret: str | None, text: str = "hello", model: str = "echo") -> httpx.Response:
        headers = {} if secret is None else {"x-team-secret": secret}
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        return httpx.post(url, json=body, headers=headers)

    assert [told(secret).status_code for secret in (None, "wrong", "broken", "open")] == [401, 401, 401, 200]
    assert told("open", model="echo/x").status_code == 403
    refused = told("open", "something forbidden")
    assert (refused.status_code, refused.json()["error"]["message"]) == (403, "blue must not say that")
    assert "the secret is broken" not in "\n".join(gateway.stderr_lines())


def test_the_scrubber_by_configuration_and_its_end_by_another(parley_server: Start) -> None:
    gateway = parley_server({"hooks": [{"use": "pii"}]})
    url = f"http://127.0.0.1:{gateway.port}/v1/chat/completions"

    def said() -> str:
        body = {"model": "echo", "messages": [{"role": "user", "content": "I am test@test.com"}]}
        text: str = httpx.post(url, json=body).json()["choices"][0]["message"]["content"]
        return text

    assert said() == "I am <EMAIL_ADDRESS>"
    gateway.path.write_text("hooks: []\n")
    eventually(lambda: said() == "I am test@test.com" or None, 30, "the hook is gone")
    gateway.path.write_text("hooks: [{use: nobody}]\n")
    eventually(lambda: "config" in problems(gateway) or None, 30, "a hook that is not there is told")
    assert said() == "I am test@test.com"
