"""Keys of callers from outside: the command makes them, the gateway in another process asks for them."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import httpx2
import openai
import pytest

from fixtures.children import bare_environment, eventually, free_port
from fixtures.parley import Gateway, Start
from fixtures.postgres import Postgres
from parley.serve import keywatch

MODELS = [{"model": "fast", "targets": ["echo/echo"]}, {"model": "slow", "targets": ["echo/echo"]}]
HEADERS = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "mlp-api-key", "dapr-api-token")
# Two seconds are promised, which the watch keeps; the machine may be busy with other things.
HEARD_WITHIN = 30


class Desk(NamedTuple):
    """A gateway, and ``parley keys`` on its store."""

    gateway: Gateway
    python: str
    store: str
    folder: Path

    def keys(self, *args: str) -> Any:
        return told(self.python, self.folder, *args, "--json", "--store", self.store)

    def status(self, key: str = "", path: str = "/v1/models") -> int:
        headers = {"x-api-key": key} if key else {}
        return int(httpx2.get(self.gateway.url + path, headers=headers).status_code)


def told(python: str, folder: Path, *args: str) -> Any:
    """What the command prints."""
    command = [python, "-m", "parley", "keys", *args]
    done = subprocess.run(command, env=bare_environment(folder), cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def desk(
    parley_for_module: Start, parley_python: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Desk, dict[str, str]]]:
    """With keys for alice (every model), bob (only fast) and an admin, who are there before the gateway."""
    folder = tmp_path_factory.mktemp("keys")
    store = f"sqlite:///{folder}/parley.db"
    make = {"alice": [], "bob": ["--models", "fa*"], "root": ["--kind", "admin"]}
    kept = {
        name: told(parley_python, folder, "create", name, *more, "--json", "--store", store)["key"]
        for name, more in make.items()
    }
    gateway = parley_for_module({"models": MODELS}, args=["--store", store])
    yield Desk(gateway, parley_python, store, folder), kept
    said = "\n".join(gateway.stderr_lines()) + gateway.metrics()
    assert "request.end" in said
    assert not any(key in said or key[8:40] in said for key in kept.values())


class Clients:
    """The official SDKs, their own form of the key replaced by another one."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self.url, self.stack = url, stack

    def _transport(self, header: str, key: str) -> httpx2.Client:
        def change(request: httpx2.Request) -> None:
            for own in ("authorization", "x-api-key"):
                request.headers.pop(own, None)
            request.headers[header] = key

        return self.stack.enter_context(httpx2.Client(event_hooks={"request": [change]}))

    def openai(self, header: str, key: str) -> openai.OpenAI:
        transport = self._transport(header, key)
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, http_client=transport)

    def anthropic(self, header: str, key: str) -> anthropic.Anthropic:
        transport = self._transport(header, key)
        return anthropic.Anthropic(base_url=self.url, api_key="none", max_retries=0, http_client=transport)


@pytest.fixture
def clients(desk: tuple[Desk, dict[str, str]]) -> Iterator[Clients]:
    with ExitStack() as stack:
        yield Clients(desk[0].gateway.url, stack)


def chat(client: openai.OpenAI, model: str = "fast") -> str | None:
    made = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])
    return made.choices[0].message.content


def message(client: anthropic.Anthropic, model: str = "fast") -> str:
    made = client.messages.create(model=model, max_tokens=9, messages=[{"role": "user", "content": "hi"}])
    assert made.content[0].type == "text"
    return made.content[0].text


@pytest.mark.parametrize("header", HEADERS)
def test_both_sdks_come_in_with_a_key_in_every_header(
    clients: Clients, desk: tuple[Desk, dict[str, str]], header: str
) -> None:
    key = desk[1]["alice"]
    forms = [key, f"Bearer {key}", f"bearer {key}"] if header == "authorization" else [key]
    for form in forms:
        for _ in range(2):
            assert chat(clients.openai(header, form)) == "hi"
            assert message(clients.anthropic(header, form)) == "hi"
        assert [one.id for one in clients.anthropic(header, form).models.list()]


def test_the_sdks_own_ways(desk: tuple[Desk, dict[str, str]]) -> None:
    gateway, key = desk[0].gateway, desk[1]["alice"]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key) as client:
        assert chat(client) == "hi"
    with anthropic.Anthropic(base_url=gateway.url, api_key=key) as claude:
        assert message(claude) == "hi"
    with anthropic.Anthropic(base_url=gateway.url, auth_token=key, api_key=None) as claude:
        assert message(claude) == "hi"
    asked = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    answer = httpx2.post(f"{gateway.url}/v1beta/models/fast:generateContent?key={key}", json=asked)
    assert answer.json()["candidates"][0]["content"]["parts"][0]["text"] == "hi"
    body = {"model": "fast", "messages": [{"role": "user", "content": "hi"}]}
    assert httpx2.post(f"{gateway.url}/v1/chat/completions?key={key}", json=body).status_code == 200


WRONG = ("", "none", "sk-proj-1234", "parley_c", "parley_c" + "0" * 49)


def test_every_wrong_form_is_the_same_401(clients: Clients, desk: tuple[Desk, dict[str, str]]) -> None:
    key = desk[1]["alice"]
    told_to = set()
    for wrong in (*WRONG, key[:-1], key + "0", f"Basic {key}"):
        for header in ("authorization", "dapr-api-token"):
            with pytest.raises(openai.AuthenticationError) as refused:
                chat(clients.openai(header, wrong))
            with pytest.raises(anthropic.AuthenticationError) as declined:
                message(clients.anthropic(header, wrong))
            told_to.add((refused.value.response.text, declined.value.response.json()["error"]["message"]))
            assert refused.value.code == "unauthorized"
    assert len(told_to) == 1


def test_a_key_for_some_models(clients: Clients, desk: tuple[Desk, dict[str, str]]) -> None:
    key = desk[1]["bob"]
    ours, theirs = clients.openai("api-key", key), clients.anthropic("api-key", key)
    assert (chat(ours), message(theirs)) == ("hi", "hi")
    assert [one.id for one in ours.models.list()] == ["fast"]
    assert [one.id for one in theirs.models.list()] == ["fast"]
    for model in ("slow", "echo/echo", "nothing"):
        with pytest.raises(openai.PermissionDeniedError) as refused:
            chat(ours, model)
        assert refused.value.code == "forbidden"
        with pytest.raises(anthropic.PermissionDeniedError):
            message(theirs, model)


def test_what_one_key_stores_is_not_there_for_another(clients: Clients, desk: tuple[Desk, dict[str, str]]) -> None:
    alice, bob = (clients.openai("x-api-key", desk[1][name]) for name in ("alice", "bob"))
    first = alice.responses.create(model="fast", input="hello")
    again = alice.responses.create(model="fast", input="and", previous_response_id=first.id)
    assert alice.responses.retrieve(first.id).output_text == "hello"
    unknown = "resp_" + "0" * 32
    for ask in (
        lambda name: bob.responses.create(model="fast", input="x", previous_response_id=name),
        bob.responses.retrieve,
        bob.responses.delete,
        bob.responses.input_items.list,
    ):
        said = []
        for name in (again.id, unknown):
            with pytest.raises(openai.APIStatusError) as refused:
                ask(name)
            said.append((refused.value.status_code, refused.value.response.text.replace(name, "ID")))
        assert said[0] == said[1]
        assert said[0][0] in (400, 404)
    assert alice.responses.retrieve(again.id).id == again.id
    late = alice.responses.create(model="fast", input="later", background=True)

    def done() -> bool:
        return alice.responses.retrieve(late.id).status == "completed"

    assert eventually(done, 30, "it is made")
    with pytest.raises(openai.NotFoundError):
        bob.responses.retrieve(late.id)


def test_what_other_processes_do_takes_effect(desk: tuple[Desk, dict[str, str]]) -> None:
    here = desk[0]
    made = here.keys("create", "carol")["key"]

    def within(key: str, status: int) -> None:
        eventually(lambda: here.status(key) == status, HEARD_WITHIN, f"{status}")

    assert keywatch.EVERY_SECONDS <= 1

    within(made, 200)
    other = here.keys("rotate", "carol", "--grace", "60s")["key"]
    within(other, 200)
    assert here.status(made) == 200
    third = here.keys("rotate", "carol")["key"]
    within(other, 401)
    assert [here.status(key) for key in (made, other, third)] == [401, 401, 200]
    here.keys("revoke", "carol")
    within(third, 401)
    brief = here.keys("create", "dave", "--expires", "4s")["key"]
    within(brief, 200)
    within(brief, 401)


def test_what_is_open_and_what_is_the_operators(desk: tuple[Desk, dict[str, str]]) -> None:
    here, kept = desk
    for path in ("/", "/livez", "/readyz", "/health", "/metrics", "/openapi.json"):
        assert here.status(path=path) == 200
    assert [here.status(kept.get(name, ""), "/admin/api/none") for name in ("", "alice", "root")] == [401, 403, 404]
    assert [here.status(kept.get(name, ""), "/nothing") for name in ("", "alice")] == [401, 404]


def test_the_first_key_closes_an_open_gateway(parley_server: Start, parley_python: str, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/parley.db"
    here = Desk(parley_server({"models": MODELS, "store": store}), parley_python, store, tmp_path)
    assert [here.status(), here.status("any")] == [200, 200]
    key = here.keys("create", "alice")["key"]
    eventually(lambda: here.status() == 401, HEARD_WITHIN, "it asks for a key")
    assert [here.status("any"), here.status(key)] == [401, 200]
    here.keys("revoke", "alice")
    eventually(lambda: here.status(key) == 401, HEARD_WITHIN, "the key is taken back")
    assert here.status() == 401
    assert key not in "\n".join(here.gateway.stderr_lines())


def test_an_address_for_others_needs_keys_to_be_there(parley_server: Start, parley_python: str, tmp_path: Path) -> None:
    store, outside = f"sqlite:///{tmp_path}/parley.db", f"0.0.0.0:{free_port()}"
    command = [parley_python, "-m", "parley", "serve", "--no-discover", "--listen", outside, "--store", store]
    done = subprocess.run(command, env=bare_environment(tmp_path), cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"parley keys create" in done.stderr
    key = told(parley_python, tmp_path, "create", "alice", "--json", "--store", store)["key"]
    gateway = parley_server({"models": MODELS}, args=["--store", store, "--listen", outside])
    here = Desk(gateway, parley_python, store, tmp_path)
    assert [here.status(), here.status(key)] == [401, 200]
    assert [here.status(path="/metrics"), here.status(path="/livez")] == [200, 200]
    there = outside.replace("0.0.0.0", "127.0.0.1")
    got = [httpx2.get(f"http://{there}{path}").status_code for path in ("/metrics", "/docs", "/v1/models", "/livez")]
    assert got == [401, 401, 401, 200]


def test_a_configured_key_and_one_that_is_asked_for(parley_server: Start, parley_python: str, tmp_path: Path) -> None:
    config = {"models": MODELS, "auth": {"required": True, "admin_key": "${ROOT_KEY}"}}
    gateway = parley_server(config, env={"ROOT_KEY": "a-secret-of-the-operator"})
    eventually(lambda: {"event": "keys.required"} in gateway.log_events(), 30, "it says so")
    here = Desk(gateway, parley_python, "", tmp_path)
    assert [here.status(), here.status("${ROOT_KEY}"), here.status("a-secret-of-the-operator")] == [401, 401, 200]
    assert "a-secret-of-the-operator" not in "\n".join(gateway.stderr_lines())


def test_a_store_that_cannot_be_read_at_the_start_lets_nobody_in(
    parley_server: Start, parley_python: str, postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.url(postgres.fresh())
    postgres.stop()
    config = {"models": MODELS, "store": url, "auth": {"admin_key": "root"}}
    here = Desk(parley_server(config), parley_python, url, tmp_path)
    assert [here.status(), here.status("any"), here.status("root")] == [503, 503, 200]
    ready = httpx2.get(f"{here.gateway.url}/readyz").json()
    assert ready["status"] == "degraded"
    assert "store" in [one["kind"] for one in ready["problems"]]
    postgres.start()
    key = here.keys("create", "alice")["key"]
    eventually(lambda: here.status() == 401, 30, "it reads the keys")
    assert here.status(key) == 200
