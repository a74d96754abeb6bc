"""``parley models``: what can be asked for and what answers it."""

import json
import re

import pytest

from cli.scripted import answer
from parley.cli.root import outcome

CONFIG = """\
providers:
  mine: {type: openai, base_url: "http://127.0.0.1:9/v1"}
models:
  - {model: fast, targets: [mine/big, echo/echo]}
  - {model: mixed, endpoint: chat, strategy: weighted, targets: [{to: mine/a, weight: 3}, mine/b]}
"""


def table(out):
    return [re.split(r"  +", line) for line in out.splitlines()]


def test_what_answers_in_the_order_of_the_file(folder, capsys):
    (folder / "parley.yaml").write_text(CONFIG)
    assert outcome(["models"]) == 0
    out, err = capsys.readouterr()
    lines = table(out)
    assert lines[0] == ["MODEL", "ANSWERED BY", "ENDPOINTS"]
    assert [line[:2] for line in lines[1:]] == [
        ["fast", "mine/big, then echo/echo (fallback)"],
        ["mixed", "mine/a x3, mine/b x1 (weighted)"],
        ["echo", "echo/echo"],
        ["mine/*", "mine/*"],
    ]
    assert lines[2][2] == "chat"
    assert lines[4][2].startswith("chat, completions, responses")
    assert err == ""


def test_what_a_provider_offers_and_what_becomes_chat(folder, capsys):
    (folder / "parley.yaml").write_text("""\
providers:
  mine: {type: anthropic, base_url: "http://127.0.0.1:9/v1"}
models:
  - {model: m, targets: [mine/a]}
  - {model: m, endpoint: responses, targets: [mine/b]}
""")
    assert outcome(["models"]) == 0
    assert table(capsys.readouterr().out)[1:3] == [
        ["m", "mine/a", "chat, completions"],
        ["m", "mine/b", "responses"],
    ]


def test_models_of_this_machine(folder, capsys):
    (folder / "parley.yaml").write_text("models: [{model: m, settings: {model: sub/w.gguf, embeddings: true}}]\n")
    assert outcome(["models"]) == 0
    out, err = capsys.readouterr()
    assert table(out)[1] == ["m", "local/m (w.gguf)", "chat, completions, responses, embeddings"]
    assert "w.gguf: there is no such file" in err
    assert "local#" not in out + err
    assert outcome(["models", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told[0]["engine"] == str(folder / "sub" / "w.gguf")
    assert (told[0]["endpoint"], told[0]["targets"]) == ("chat", ["local/m"])


def test_json_for_programs(folder, capsys):
    (folder / "my.yaml").write_text(CONFIG)
    assert outcome(["models", "--config", "my.yaml", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(dict.fromkeys(one["model"] for one in told)) == ["fast", "mixed", "echo", "mine/*"]
    assert [one for one in told if one["model"] == "mixed"] == [
        {
            "endpoint": "chat",
            "model": "mixed",
            "strategy": "weighted",
            "targets": ["mine/a", "mine/b"],
            "weights": [3, 1],
            "engine": None,
            "capabilities": [{"embeddings": True}, {"embeddings": True}],
        }
    ]


def test_a_key_in_the_environment_makes_a_provider(folder, capsys, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "gsk-secret-123456")
    assert outcome(["models", "--no-discover"]) == 0
    out, err = capsys.readouterr()
    assert "groq/*" in out
    assert "secret" not in out + err


def test_a_bad_variable_leaves_its_provider_out_and_is_told(folder, capsys, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "gsk\nsecret")
    assert outcome(["models", "--no-discover"]) == 0
    out, err = capsys.readouterr()
    assert "groq" not in out
    assert "GROQ_API_KEY" in err
    assert "secret" not in err


def test_a_wrong_file_is_told_on_stderr(folder, capsys):
    (folder / "parley.yaml").write_text("lisen: []\n")
    assert outcome(["models"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "parley.yaml:1:1" in err
    assert "parley.yaml has 1 problem; nothing was started." in err


def test_model_servers_of_this_machine_are_found(folder, gateway, capsys, monkeypatch):
    there = gateway(answer(b'{"object": "list", "data": [{"id": "tiny"}, {"id": "odd\\u001b[31m"}]}'))
    monkeypatch.setattr("parley.config.discover.usual_ports", lambda: (("vllm", int(there.url.rpartition(":")[2])),))
    assert outcome(["models"]) == 0
    out, _ = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["echo", "vllm/tiny", "vllm/odd\u241b[31m"]
    monkeypatch.setenv("VLLM_BASE_URL", "http://127.0.0.1:9")
    assert outcome(["models"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["echo", "vllm/*"]
    monkeypatch.delenv("VLLM_BASE_URL")
    (folder / "parley.yaml").write_text("models: []\n")
    assert outcome(["models"]) == 0
    assert "vllm" not in capsys.readouterr().out


LIST = {"object": "list", "data": [{"id": "a/b", "owned_by": "mine"}, {"id": "c", "created": 1}]}


def test_a_running_gateway_is_asked(gateway, capsys):
    there = gateway(answer(json.dumps(LIST).encode()))
    assert outcome(["models", "--url", there.url]) == 0
    assert there.head.startswith("get /v1/models ")
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["MODEL", "OWNED", "BY"],
        ["a/b", "mine"],
        ["c"],
    ]


def test_a_running_gateway_in_json(gateway, capsys):
    assert outcome(["models", "--json", "--url", gateway(answer(json.dumps(LIST).encode())).url]) == 0
    assert json.loads(capsys.readouterr().out) == LIST["data"]


@pytest.mark.parametrize(
    ("reply", "ends"),
    [
        (answer(b'{"error": {"message": "no key", "code": "unauthorized"}}', "401 Unauthorized"), 4),
        (answer(b"<html>", "502 Bad Gateway"), 5),
        (answer(b"[]"), 5),
        (answer(b"<html>"), 5),
    ],
)
def test_a_gateway_that_does_not_list(gateway, capsys, reply, ends):
    assert outcome(["models", "--url", gateway(reply).url]) == ends
    out, err = capsys.readouterr()
    assert out == ""
    assert "Error: " in err
