"""Every method of OpenAI's own Python SDK that is not served gets a clean 501. All are found by reflection."""

import asyncio
import http.client
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from fixtures.parley import Gateway, Start
from real.sdk_methods import arguments, methods

# Many of these are deprecated at OpenAI; that is not what is tested.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# Each is called in test_openai_surface.py, by its own name.
SERVED = {
    "audio.speech.create",
    "audio.transcriptions.create",
    "audio.translations.create",
    "batches.cancel",
    "batches.create",
    "batches.list",
    "batches.retrieve",
    "chat.completions.create",
    "chat.completions.parse",
    "chat.completions.stream",
    "completions.create",
    "conversations.create",
    "conversations.delete",
    "conversations.items.create",
    "conversations.items.delete",
    "conversations.items.list",
    "conversations.items.retrieve",
    "conversations.retrieve",
    "conversations.update",
    "embeddings.create",
    "files.content",
    "files.create",
    "files.delete",
    "files.list",
    "files.retrieve",
    "files.retrieve_content",
    "files.wait_for_processing",
    "images.create_variation",
    "images.edit",
    "images.generate",
    "models.list",
    "models.retrieve",
    "moderations.create",
    "responses.cancel",
    "responses.create",
    "responses.delete",
    "responses.input_items.list",
    "responses.input_tokens.count",
    "responses.parse",
    "responses.retrieve",
    "responses.stream",
}
# The same methods once more, under their older name.
AGAIN = {f"beta.{name}" for name in SERVED if name.startswith("chat.")}
# They reach no server, or only by those that are called for themselves.
NO_REQUEST = {
    "beta.agents.environments.files.prepare",
    "beta.agents.environments.files.prepare_directory",
    "beta.agents.sessions.artifacts.for_result",
    "webhooks.unwrap",
    "webhooks.verify_signature",
}
SOCKETS = {
    "beta.realtime.connect": "/v1/realtime",
    "beta.responses.connect": "/v1/responses",
    "live.connect": "/v1/live/sessions",
    "live.forks.connect": "/v1/live/sessions/x/fork",
    "live.sideband.connect": "/v1/live/sessions/x/attach",
    "realtime.connect": "/v1/realtime",
    "realtime.translations.connect": "/v1/realtime/translations",
    "responses.connect": "/v1/responses",
}
# What the types do not say.
GIVEN: dict[str, dict[str, Any]] = {
    "beta.agents.environments.files.prepare": {"files": {"/workspace/a": __file__}},
    "beta.agents.environments.files.prepare_directory": {
        "root": Path(__file__).parent,
        "destination": "/workspace",
        "include": [Path(__file__).name],
    },
    "beta.agents.environments.files.upload": {"path": "/workspace/a", "file": ("a", b"x")},
    # These store their files first.
    "vector_stores.files.upload": {"file": ("a", b"x")},
    "vector_stores.files.upload_and_poll": {"file": ("a", b"x")},
    "vector_stores.file_batches.upload_and_poll": {"files": [("a", b"x")]},
}


@pytest.fixture(scope="module")
def gateway(parley_for_module: Start) -> Gateway:
    return parley_for_module({"models": [{"model": "echo", "targets": ["echo/echo"]}]})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the one file that is sent where a method wants a path."""
    made = tmp_path_factory.mktemp("sent")
    (made / "file.bin").write_bytes(b"x")
    return made


def test_every_method_is_of_one_kind() -> None:
    with openai.OpenAI(api_key="k") as client:
        known = set(methods(client))
    assert len(known) > 300
    assert SERVED | AGAIN | NO_REQUEST | set(SOCKETS) <= known


def refused(error: openai.APIStatusError, requests: list[httpx2.Request]) -> list[Any]:
    """What a 501 has to say, and that it is asked for once: the SDK would try a plain one three times."""
    error_body: Any = error.response.json()["error"]
    # Some store a file first.
    sent = next((one for one in requests if one.url.path != "/v1/files"), requests[0])
    message = f"{sent.method} {sent.url.raw_path.partition(b'?')[0].decode()} is not implemented by this server"
    wanted = {"message": message, "type": "not_implemented_error", "param": None, "code": "not_implemented"}
    seen = [error.status_code, error.response.headers.get("x-should-retry"), error_body]
    return seen if seen != [501, "false", wanted] else []


async def odd(client: Any, requests: list[httpx2.Request], folder: Path) -> dict[str, Any]:
    """Every method that is not served and is not answered as it should be, with what came instead."""
    found: dict[str, Any] = {}
    for name, method in methods(client).items():
        if name in SERVED | AGAIN | NO_REQUEST | set(SOCKETS):
            continue
        given = arguments(method, folder) | GIVEN.get(name, {})
        requests.clear()
        try:
            got = await asynchronous(method, given) if isinstance(client, openai.AsyncOpenAI) else plain(method, given)
        except Exception as error:
            # Some methods say in words of their own that a request of theirs was refused.
            cause = error if isinstance(error, openai.APIStatusError) else error.__cause__
            wrong = refused(cause, requests) if isinstance(cause, openai.APIStatusError) else [repr(error)]
        else:
            wrong = [got]
        if wrong:
            found[name] = wrong
    return found


def plain(method: Callable[..., Any], given: dict[str, Any]) -> Any:
    """Call it, and take the first of what it makes."""
    made = method(**given)
    if hasattr(made, "__enter__"):
        with made as stream:
            return next(iter(stream), None)
    return next(iter(made), None) if hasattr(made, "__next__") else made


async def asynchronous(method: Callable[..., Any], given: dict[str, Any]) -> Any:
    made = method(**given)
    if hasattr(made, "__aenter__"):
        async with made as stream:
            return [part async for part in stream]
    return await made


def test_all_others_are_not_implemented(gateway: Gateway, folder: Path) -> None:
    requests: list[httpx2.Request] = []
    watched = httpx2.Client(event_hooks={"request": [requests.append]})
    keys: dict[str, Any] = {"api_key": "k", "admin_api_key": "a", "base_url": f"{gateway.url}/v1"}
    with openai.OpenAI(http_client=watched, **keys) as client:
        assert asyncio.run(odd(client, requests, folder)) == {}


async def test_all_others_are_not_implemented_for_asynchronous_callers(gateway: Gateway, folder: Path) -> None:
    requests: list[httpx2.Request] = []

    async def watch(request: httpx2.Request) -> None:
        requests.append(request)

    watched = httpx2.AsyncClient(event_hooks={"request": [watch]})
    keys: dict[str, Any] = {"api_key": "k", "admin_api_key": "a", "base_url": f"{gateway.url}/v1"}
    async with openai.AsyncOpenAI(http_client=watched, **keys) as client:
        assert await odd(client, requests, folder) == {}


@pytest.mark.parametrize("path", sorted(set(SOCKETS.values())))
def test_web_sockets_are_not_implemented(gateway: Gateway, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    wanted = {"upgrade": "websocket", "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}
    connection.request("GET", f"{path}?model=echo", headers={"connection": "Upgrade", **wanted})
    answer = connection.getresponse()
    error = json.loads(answer.read())["error"]
    connection.close()
    assert (answer.status, error["code"], answer.headers["x-should-retry"]) == (501, "not_implemented", "false")
