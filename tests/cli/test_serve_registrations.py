"""``parley serve`` with files of registrations: what answers, and what is said of those that were left out."""

import http.client
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.test_include import CHAT, COMPLETION
from fixtures.parley import Gateway, Start, start

TEMPLATE = "{% for message in messages %}{{ message.role }} {{ message.content }}\n{% endfor %}"
SHORT = "  max_tokens: 4\n"


def ask(gateway: Gateway, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """Status and JSON of one call."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    try:
        headers = {"content-type": "application/json"}
        connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, headers)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def samples(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the two sample registrations and what they name."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "chat.yaml").write_text(CHAT + SHORT)
    (folder / "completion.yml").write_text(COMPLETION)
    for weights in ("ggml-gpt4all-j.bin", "other.bin"):
        (folder / weights).symlink_to(tiny_gguf)
    (folder / "chat-gpt4all.tmpl").write_text(TEMPLATE)
    (folder / "completion-gpt4all").write_text("{{ prompt }}")
    return folder


@pytest.fixture
def from_sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """What runs on the sources has the extra for models on this machine; the built product is without extras."""
    running: list[Gateway] = []

    def call(config: str) -> Gateway:
        running.append(start(sys.executable, tmp_path_factory.mktemp("parley"), config, {}, ()))
        return running[-1]

    yield call
    for gateway in running:
        gateway.stop()


def test_the_samples_of_the_proposal_answer(samples: Path, from_sources: Start) -> None:
    gateway = from_sources(f"include: {samples}\n")
    messages = [{"role": "user", "content": "hello"}]
    status, chat = ask(gateway, "/v1/chat/completions", {"model": "gpt-3.5-turbo", "messages": messages})
    assert status == 200, chat
    assert chat["object"] == "chat.completion"
    assert chat["usage"]["completion_tokens"] == 4
    wanted = {"model": "gpt-3.5-turbo", "prompt": "<|assistant|>", "max_tokens": 3}
    status, text = ask(gateway, "/v1/completions", wanted)
    assert status == 200, text
    assert text["object"] == "text_completion"
    assert text["usage"]["completion_tokens"] == 3
    status, refused = ask(gateway, "/v1/embeddings", {"model": "gpt-3.5-turbo", "input": "x"})
    assert (status, refused["error"]["code"]) == (404, "model_not_found")
    assert "completions" in refused["error"]["message"]
    assert ask(gateway, "/readyz") == (200, {"status": "ready", "problems": []})


def test_a_registration_file_is_served_by_itself(samples: Path, from_sources: Start) -> None:
    text = CHAT.replace("ggml-gpt4all-j.bin", str(samples / "other.bin")).replace("  template: chat-gpt4all\n", "")
    gateway = from_sources(text + SHORT)
    messages = [{"role": "user", "content": "hello"}]
    status, chat = ask(gateway, "/v1/chat/completions", {"model": "gpt-3.5-turbo", "messages": messages})
    assert (status, chat["usage"]["completion_tokens"]) == (200, 4), chat


def test_a_wrong_file_is_left_out_and_told(tmp_path: Path, parley_server: Start) -> None:
    (tmp_path / "bad.yaml").write_text("registration: {modle: b}\n")
    (tmp_path / "good.yaml").write_text("models: [{model: c, targets: [echo/echo]}]\n")
    gateway = parley_server(f"include: {tmp_path}/*.yaml\nmodels: [{{model: later, settings: {{model: none.gguf}}}}]\n")
    status, told = ask(gateway, "/readyz")
    assert (status, told["status"]) == (200, "degraded")
    [problem] = told["problems"]
    assert (problem["kind"], problem["line"], problem["column"]) == ("config", 1, 16)
    assert problem["file"] == str(tmp_path / "bad.yaml")
    assert 'unknown key "modle"' in problem["message"]
    words = "\n".join(gateway.stderr_lines())
    assert f"{tmp_path / 'bad.yaml'}:1:16: unknown key" in words
    assert "none.gguf: there is no such file" in words
    messages = [{"role": "user", "content": "hello there"}]
    status, answer = ask(gateway, "/v1/chat/completions", {"model": "c", "messages": messages})
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "hello there")
    status, answer = ask(gateway, "/v1/chat/completions", {"model": "later", "messages": messages})
    assert (status, answer["error"]["code"]) == (503, "upstream_error"), answer
    assert "there is no such file" in answer["error"]["message"]
