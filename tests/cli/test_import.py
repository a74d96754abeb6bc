"""``parley import``: what another program's models become, and what is told instead."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from parley.cli.root import outcome
from parley.config import Loaded, load
from parley.settings import EVERY, EXTENSIONS, Engine, Target, Timeouts

LUNA = """\
name: luna
description: A model.
backend: llama-cpp
context_size: 700
threads: 10
f16: true
mmap: yes
mmlock: off
gpu_layers: -1
mmproj: eyes.gguf
lora_adapter: l.gguf
lora_scale: 0.5
stopwords: ["USER:", "1e3", "on"]
cutstrings: ["a+"]
trimspace: ["Answer: "]
roles: {user: "USER:", assistant_function_call: "X", system: "${S}"}
template: {chat: chat, use_tokenizer_template: true}
known_usecases: [FLAG_CHAT, completion, image]
function: {grammar: {disable: true}}
parameters:
  model: luna.gguf
  temperature: 0.3
  top_k: 80
  seed: -1
  max_tokens: 0
  repeat_penalty: 1.1
  batch: 32
  presence_penalty: loud
  lucky_number: 7
"""


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return name


def told(err: str, model: str) -> list[str]:
    """The notes on one model."""
    mark = f": {model}: "
    return [line.partition(mark)[2] for line in err.splitlines() if mark in line]


def imported(folder: Path, capsys: Any, *texts: str) -> tuple[Loaded, str, dict[str, Any]]:
    """What is made of files, loaded where it says; with what was told and the text's own data."""
    names = [write(folder, f"models/{index}.yaml", text) for index, text in enumerate(texts)]
    assert outcome(["import", *names]) == 0
    out, err = capsys.readouterr()
    (folder / "parley.yaml").write_text(out)
    loaded = load(folder / "parley.yaml", {"CLOUD_KEY": "k"})
    assert (loaded.problems, loaded.rejected) == ((), ())
    return loaded, err, yaml.safe_load(out)


def test_the_same_as_json(folder, capsys):
    write(folder, "luna.yaml", LUNA)
    assert outcome(["import", "luna.yaml"]) == 0
    plain = yaml.safe_load(capsys.readouterr().out)
    assert outcome(["import", "--json", "luna.yaml"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out) == plain
    (folder / "parley.yaml").write_text(out)
    assert load(folder / "parley.yaml", {}).problems == ()


def test_a_model_with_its_weights(folder, capsys):
    loaded, err, data = imported(folder, capsys, LUNA)
    models = folder / "models"
    registration = loaded.settings.registrations[EVERY, "luna"]
    assert loaded.settings.providers[registration.targets[0].provider].engine == Engine(
        model=str(models / "luna.gguf"),
        backend="llama-cpp",
        mmproj=str(models / "eyes.gguf"),
        lora=((str(models / "l.gguf"), 0.5),),
        threads=10,
        context_size=700,
        gpu_layers=999,
        batch=32,
        mmap=True,
        mlock=False,
    )
    assert registration.defaults == {
        "temperature": 0.3,
        EXTENSIONS: {
            "top_k": 80,
            "repeat_penalty": 1.1,
            "stopwords": ["USER:", "1e3", "on"],
            "cutstrings": ["a+"],
            "trimstrings": ["Answer: "],
            "roles": {"user": "USER:", "system": "${S}"},
        },
    }
    assert data["models"][0]["settings"]["model"] == "models/luna.gguf"
    assert [line.partition(" is not carried over")[0] for line in told(err, "luna")] == [
        "the use image",
        "template.chat",
        "presence_penalty",
        "parameters.lucky_number",
        "roles.assistant_function_call",
        "f16",
        "function.grammar",
    ]


def test_the_output_passes_the_check(folder, capsys):
    (folder / "luna.gguf").write_bytes(b"GGUF\3\0\0\0")
    write(folder, "luna.yaml", "name: luna\nparameters: {model: luna.gguf, top_p: 0.9}\n")
    assert outcome(["import", "luna.yaml"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("# Made by parley import of luna.yaml\n")
    (folder / "parley.yaml").write_text(out)
    assert outcome(["check"]) == 0


def test_a_proxy_becomes_a_provider(folder, capsys):
    cloud = """\
name: my claude
backend: cloud-proxy
proxy:
  upstream_url: https://api.anthropic.com/v1/messages
  provider: anthropic
  mode: passthrough
  api_key_env: CLOUD_KEY
  upstream_model: claude-x
  request_timeout_seconds: 30
  cache_prompt: true
limits: {max_concurrent: 4}
parameters: {temperature: 1}
"""
    odd = "name: odd\nproxy: {upstream_url: 'https://h.example/api/talk?v=2', api_key_file: k.txt}\n"
    write(folder, "models/k.txt", "secret\n")
    loaded, err, _ = imported(folder, capsys, cloud, odd)
    claude, other = loaded.settings.providers["my-claude"], loaded.settings.providers["odd"]
    assert (claude.type, claude.endpoints, claude.keys) == ("anthropic", ("https://api.anthropic.com/v1",), ("k",))
    assert (claude.timeouts, claude.max_concurrency) == (Timeouts(total=30.0), 4)
    registration = loaded.settings.registrations["chat", "my claude"]
    assert registration.targets == (Target("my-claude", "claude-x"),)
    assert registration.defaults == {"temperature": 1}
    assert told(err, "my claude") == [
        "set CLOUD_KEY in the environment before serving",
        "proxy.cache_prompt is not carried over",
    ]
    assert (other.type, other.endpoints, other.keys) == ("openai", ("https://h.example/api",), ("secret",))
    assert other.paths["chat"] == "/talk?v=2"
    assert loaded.settings.registrations["chat", "odd"].targets == (Target("odd", "odd"),)


def test_aliases_and_lists_and_documents(folder, capsys):
    text = """\
- {name: one, parameters: {model: a.gguf}}
- {name: two, alias: one}
---
name: three
alias: two
---
name: four
alias: nobody
"""
    loaded, err, data = imported(folder, capsys, text)
    assert [(one["model"], one.get("alias")) for one in data["models"]] == [("one", None), ("two", "one")]
    assert loaded.settings.registrations[EVERY, "two"].targets == loaded.settings.registrations[EVERY, "one"].targets
    assert told(err, "three") == ['left out: an alias of "two", not imported']
    assert told(err, "four") == ['left out: an alias of "nobody", not imported']


@pytest.mark.parametrize(
    ("usecases", "endpoint", "embeddings"),
    [
        ("[chat]", "chat", False),
        ("[completion]", "completions", False),
        ("[llm]", EVERY, False),
        ("[embeddings]", "embeddings", True),
        ("[chat, embeddings]", EVERY, True),
        ("[]", EVERY, False),
    ],
)
def test_uses_become_endpoints(folder, capsys, usecases, endpoint, embeddings):
    text = f"name: m\nknown_usecases: {usecases}\nparameters: {{model: a.gguf}}\n"
    loaded, _, _ = imported(folder, capsys, text)
    registration = loaded.settings.registrations[endpoint, "m"]
    engine = loaded.settings.providers[registration.targets[0].provider].engine
    assert engine is not None
    assert engine.embeddings is embeddings


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("name: m\nbackend: diffusers\nparameters: {model: a}", "left out: the backend 'diffusers' is not available"),
        ("name: m\nparameters: {top_k: 1}", "left out: it names no weights (parameters.model)"),
        ("name: m\ndisabled: true\nparameters: {model: a}", "left out: it is disabled"),
        ("name: m\nknown_usecases: [tts]\nparameters: {model: a}", "the use tts is not carried over"),
        ("name: m\nproxy: {provider: openai}", "left out: its proxy has no upstream_url"),
        ("name: m\nsystem_prompt: be kind\nparameters: {model: a}", "system_prompt is not carried over"),
        ("name: m\ngrammar: 'file:x'\nparameters: {model: a}", "grammar is not carried over: it would be read as a"),
        ("name: m\nparameters: {model: 'huggingface://a/b/c.gguf'}", "nothing is downloaded: get huggingface://a/b"),
        ("name: m\nknown_usecases: [embeddings]\nparameters: {model: a, top_k: 1}", "top_k is not carried over"),
        ("name: m\nproxy: {upstream_url: 'ftp://h/v1'}", "left out: expected a URL that begins with http"),
        ("name: m\nproxy: {upstream_url: 'http://h/v1/chat/completions', provider: x}", "left out: unknown provider"),
        ("name: m\ngpu_layers: true\nparameters: {model: a}", "gpu_layers is not carried over: its value"),
        ("name: m\ncontext_size: many\nparameters: {model: a}", "context_size is not carried over: its value"),
    ],
)
def test_what_is_left_out_is_told(folder, capsys, text, note):
    _, err, _ = imported(folder, capsys, text)
    assert any(line.startswith(note) for line in told(err, "m")), err


def test_the_same_name_twice(folder, capsys):
    loaded, err, _ = imported(folder, capsys, *(f"name: m\nparameters: {{model: {name}.gguf}}" for name in "ab"))
    [provider] = [one for one in loaded.settings.providers.values() if one.engine is not None]
    assert provider.engine.model.endswith("a.gguf")
    assert told(err, "m") == ["left out: models/0.yaml has a model of the same name"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("registration: {model: a}", "1:1: this is a configuration of Parley already"),
        ("models: []", "1:1: this is a configuration of Parley already"),
        ("hello: 1", "1:1: not a configuration that can be imported"),
        ("- 5", "1:1: not a configuration that can be imported"),
        ("name: [", "2:1: not valid YAML"),
    ],
)
def test_what_cannot_be_imported(folder, capsys, text, message):
    write(folder, "a.yaml", text + "\n")
    assert outcome(["import", "a.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"a.yaml:{message}" in err


def test_the_rest_is_printed_where_one_file_cannot_be_read(folder, capsys):
    write(folder, "a.yaml", "name: m\nparameters: {model: a.gguf}")
    assert outcome(["import", "none.yaml", "a.yaml"]) == 2
    out, err = capsys.readouterr()
    assert "model: m" in out
    assert "none.yaml: cannot read it" in err
    assert outcome(["import"]) == 2
