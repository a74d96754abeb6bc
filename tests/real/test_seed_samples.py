"""The two sample files of the proposal of 2023, as they were written, load and answer; the weights under their names
are those of the tiny model. One name is two models: each operation has its own template."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from fixtures.children import bare_environment
from fixtures.parley import Gateway, start
from real import tiny

CHAT = """\
registration:
  endpoint: CreateChatCompletion
  model: gpt-3.5-turbo
local_paths:
  model: ggml-gpt4all-j.bin
  template: chat-gpt4all
  backend: gpt4all-j
  threads: 4
request_defaults:
  top_p: 0.7
  temperature: 0.2
  x-localai-extensions:
    top_k: 80
    roles: {system: system, assistant: assistant, user: user}
"""
COMPLETION = """\
registration:
  model: gpt-3.5-turbo
  endpoint: CreateCompletion
local_paths:
  model: ggml-gpt4all-j.bin
  template: completion-gpt4all
  backend: gptj
  threads: 4
request_defaults:
  top_p: 0.7
  temperature: 0.2
  x-localai-extensions:
    top_k: 80
"""
# In the manner of that time; the last word is what the tiny model answers to.
TEMPLATES = {"chat": "### Prompt:\n{{.Input}}\n### Response:\n<|assistant|>", "completion": "{{.Input}}<|assistant|>"}


@pytest.fixture(scope="module")
def folder(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("samples")
    (made / "gpt-3.5-turbo-chat.yaml").write_text(CHAT)
    (made / "gpt-3.5-turbo-completion.yaml").write_text(COMPLETION)
    (made / "ggml-gpt4all-j.bin").symlink_to(tiny_gguf)
    for name, text in TEMPLATES.items():
        (made / f"{name}-gpt4all.tmpl").write_text(text)
    return made


@pytest.fixture(scope="module")
def gateway(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The sources: they have the extra for models on this machine."""
    running = start(sys.executable, tmp_path_factory.mktemp("parley"), {"include": [str(folder)]}, {}, ())
    yield running
    running.stop()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def tokens(prompt: str) -> int:
    """Of a prompt without control words: its beginning, its bytes, and the word that asks for an answer. This kind of
    vocabulary writes a space as a sign of three bytes."""
    return len(prompt.replace(" ", "\u2581").encode()) + 2


def test_the_chat_answers_through_its_template(client: openai.OpenAI) -> None:
    turns = [{"role": "system", "content": "S"}, *tiny.user("hello")]
    answer = client.chat.completions.create(model="gpt-3.5-turbo", messages=turns)  # type: ignore[arg-type]
    assert answer.choices[0].message.content == tiny.HI
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == tokens("### Prompt:\nsystem S\nuser hello\n### Response:\n")
    parts = client.chat.completions.create(model="gpt-3.5-turbo", messages=turns, stream=True)  # type: ignore[call-overload]
    assert "".join(part.choices[0].delta.content or "" for part in parts) == tiny.HI


def test_the_completion_answers_through_another(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="gpt-3.5-turbo", prompt="hello")
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == (tiny.HI, "stop")
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == tokens("hello")


def test_what_is_not_registered_is_told(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="chat, completions") as missing:
        client.embeddings.create(model="gpt-3.5-turbo", input="x")
    assert missing.value.code == "model_not_found"
    assert [model.id for model in client.models.list()] == ["echo", "gpt-3.5-turbo"]


def parley(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "parley", *arguments]
    env = bare_environment(folder) | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=90)


def test_check_and_models_know_them(folder: Path) -> None:
    done = parley(folder, "check", ".")
    assert (done.returncode, done.stderr) == (0, ".: no problems, 1 provider, 3 registrations\n")
    listed = json.loads(parley(folder, "models", "--config", ".", "--json").stdout)
    ours = {one["endpoint"]: one["engine"] for one in listed if one["model"] == "gpt-3.5-turbo"}
    weights = str(folder / "ggml-gpt4all-j.bin")
    assert (ours["chat"], ours["completions"]) == (weights, weights)
