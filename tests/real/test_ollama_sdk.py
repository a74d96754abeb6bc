"""Ollama's official client through a running gateway, to the echo model and to an Ollama; what it asks about models."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import pytest

from fixtures.parley import Gateway, Start
from fixtures.peer import Peer, peer
from real.ollama_parts import COUNTS, LINES, NOW, PNG, between, broken, by_ollama, by_openai, user


@pytest.fixture(scope="module")
def native() -> Iterator[Peer]:
    with peer(by_ollama) as found:
        yield found


@pytest.fixture(scope="module")
def other() -> Iterator[Peer]:
    with peer(by_openai) as found:
        yield found


@pytest.fixture(scope="module")
def gateway(parley_for_module: Start, native: Peer, other: Peer) -> Gateway:
    return parley_for_module(between(native.url, other.url))


@pytest.fixture
def client(gateway: Gateway) -> Iterator[ollama.Client]:
    with ollama.Client(gateway.url) as made:
        yield made


# The echo model


def test_echo(client: ollama.Client) -> None:
    found = client.chat("echo", user("one two three"))
    assert (found.message.content, found.done, found.done_reason) == ("one two three", True, "stop")
    assert (found.prompt_eval_count, found.eval_count) == (3, 3)
    assert (found.total_duration or 0) > (found.prompt_eval_duration or 0) >= 0
    parts = list(client.chat("echo", user("one two three"), stream=True))
    assert [part.message.content for part in parts] == ["one", " two", " three", ""]
    assert [part.done for part in parts] == [False, False, False, True]
    assert (parts[-1].eval_count, parts[-1].done_reason) == (3, "stop")
    assert 0 < (parts[-1].eval_duration or 0) < 60 * 10**9


def test_echo_by_generate(client: ollama.Client) -> None:
    assert client.generate("echo", "one two").response == "one two"
    parts = list(client.generate("echo", "one two", stream=True))
    assert [part.response for part in parts] == ["one", " two", ""]
    with pytest.raises(ollama.ResponseError, match="suffix") as caught:
        client.generate("echo", "one", suffix="two")
    assert caught.value.status_code == 400


def test_vectors_of_the_echo_model(client: ollama.Client) -> None:
    several = client.embed("echo", ["a b", "c"])
    assert len(several.embeddings) == 2
    assert list(client.embeddings("echo", "a b").embedding) == list(several.embeddings[0])
    assert list(client.embed("echo", "c").embeddings) == [several.embeddings[1]]


def test_asking_nothing_loads_nothing(client: ollama.Client) -> None:
    assert (client.chat("echo", []).done_reason, client.generate("echo").done_reason) == ("load", "load")
    assert client.generate("echo", keep_alive=0).done_reason == "unload"
    assert [part.done_reason for part in client.chat("echo", [], stream=True)] == ["load"]
    with pytest.raises(ollama.ResponseError) as caught:
        client.chat("nobody", [])
    assert caught.value.status_code == 404


# What is asked about models


def test_models_are_listed_and_shown(client: ollama.Client, gateway: Gateway) -> None:
    found = {model.model: model for model in client.list().models}
    assert {"echo", "cool"} <= found.keys()
    assert found["cool"].modified_at is not None
    assert len(found["cool"].digest or "") == 64
    assert found["cool"].details is not None
    assert found["cool"].details.family == "ol"
    shown = client.show("cool")
    assert {"completion", "tools", "embedding"} <= set(shown.capabilities or ())
    assert shown.modified_at == found["cool"].modified_at
    assert client.show("ol/any").capabilities == shown.capabilities
    assert list(client.ps().models) == []
    with pytest.raises(ollama.ResponseError, match="not found") as caught:
        client.show("nobody")
    assert caught.value.status_code == 404
    for prefix in ("", "/ollama"):
        assert httpx.get(f"{gateway.url}{prefix}/api/version").json()["version"]
        assert httpx.get(f"{gateway.url}{prefix}/api/tags").json()["models"][0]["name"]


def test_what_only_a_holder_of_weights_can_do(client: ollama.Client) -> None:
    for call in (lambda: client.pull("x"), lambda: client.delete("x"), lambda: client.copy("x", "y")):
        with pytest.raises(ollama.ResponseError, match="not implemented") as caught:
            call()
        assert caught.value.status_code == 501


def test_the_greeting_is_for_clients_of_this_dialect(gateway: Gateway) -> None:
    for agent in ("ollama/0.13.0 (amd64 linux) Go/go1.24", "ollama-python/0.6.3 (x86_64)", "ollama-js/0.6.0"):
        assert httpx.get(gateway.url, headers={"user-agent": agent}).text == "Ollama is running"
        assert httpx.head(gateway.url, headers={"user-agent": agent}).status_code == 200
    assert "Parley" in httpx.get(gateway.url).text
    assert httpx.get(f"{gateway.url}/ollama").text == "Ollama is running"
    with ollama.Client(f"{gateway.url}/ollama") as client:
        assert client.chat("echo", user("a")).message.content == "a"


def test_errors_have_this_dialects_shape(gateway: Gateway) -> None:
    found = httpx.get(f"{gateway.url}/api/chat")
    assert (found.status_code, found.headers["allow"]) == (405, "POST")
    assert isinstance(found.json()["error"], str)
    found = httpx.post(f"{gateway.url}/api/chat", content=b"{")
    assert (found.status_code, found.json()["code"]) == (400, "invalid_json")
    found = httpx.get(f"{gateway.url}/ollama/api/nothing")
    assert (found.status_code, isinstance(found.json()["error"], str)) == (404, True)
    assert httpx.post(f"{gateway.url}/api/show", content=b"{").json()["code"] == "invalid_json"


# An Ollama, in its own words


def test_what_a_client_sends_passes_as_it_is(gateway: Gateway, native: Peer) -> None:
    text = '{"model":"ol/tiny","messages":[{"role":"user","content":"hi","new":1}],"options":{"mirostat":2},"x":1.50}'
    found = httpx.post(f"{gateway.url}/api/chat", content=text)
    assert native.last.path == "/api/chat"
    assert native.last.text == text.replace("ol/tiny", "tiny")
    assert found.headers["content-type"] == LINES, "a request that does not say gets a stream"
    assert [json.loads(line)["done"] for line in found.text.splitlines()] == [False, False, False, True]
    assert found.text.splitlines()[-1] == json.dumps({
        "model": "tiny", "created_at": NOW, "message": {"role": "assistant", "content": ""}, **COUNTS,
    })  # fmt: skip


def test_each_path_goes_to_its_own(client: ollama.Client, native: Peer) -> None:
    assert client.generate("ol/tiny", "p", suffix="s", raw=True, context=[1]).response == "ollama says hi"
    assert (native.last.path, native.last.body["suffix"], native.last.body["raw"]) == ("/api/generate", "s", True)
    assert list(client.embeddings("ol/tiny", "abc").embedding) == [7.0, 3.0]
    assert (native.last.path, native.last.body["prompt"]) == ("/api/embeddings", "abc")
    assert client.embed("ol/tiny", ["a", "bc"], dimensions=2).embeddings == [[1.0, 0.5], [2.0, 0.5]]
    assert (native.last.path, native.last.body["dimensions"]) == ("/api/embed", 2)
    assert client.chat("ol/tiny", []).done_reason == "load"
    assert (native.last.path, native.last.body["messages"]) == ("/api/chat", [])


@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_written_anew_for_it_loses_nothing(client: ollama.Client, native: Peer, streamed: bool) -> None:
    picture = ollama.Image(value=PNG)
    given: Any = client.generate(
        "cool", "p", suffix="s", context=[1], images=[picture], options={"num_ctx": 9}, think=True, stream=streamed
    )
    found = list(given) if streamed else [given]
    assert native.last.path == "/api/generate"
    assert native.last.body == {
        "model": "tiny", "prompt": "p", "images": [base64.b64encode(PNG).decode()], "suffix": "s", "context": [1],
        "options": {"temperature": 0.25, "num_ctx": 9}, "think": True, "stream": streamed,
    }  # fmt: skip
    assert "".join(part.response for part in found) == "ollama says hi"
    assert "".join(part.thinking or "" for part in found) == "hm"
    assert found[-1].eval_duration == 29


def test_its_errors(client: ollama.Client) -> None:
    for model, status, words in (("ol-gone", 404, "not found"), ("ol-busy", 429, "ollama is busy")):
        for streamed in (False, True):
            with pytest.raises(ollama.ResponseError, match=words) as caught:
                list(client.chat(model, user(), stream=streamed))
            assert caught.value.status_code == status
    with pytest.raises(ollama.ResponseError) as caught:
        client.chat("ol-page", user())
    assert caught.value.status_code == 502


@pytest.mark.parametrize(("model", "words"), [("ol-cut", ""), ("ol-short", "early"), ("ol-breaks", "ollama broke")])
def test_a_stream_that_broke_never_looks_complete(client: ollama.Client, model: str, words: str) -> None:
    parts, error = broken(client.chat(model, user(), stream=True))
    assert words in error.error
    assert "".join(part.message.content for part in parts) == "ollama says hi"
    assert not any(part.done for part in parts)
