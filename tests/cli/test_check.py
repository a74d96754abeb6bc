"""``parley check``: places, ways out, exit codes."""

import json
import os

import pytest

from cli.scripted import answer
from parley.cli.root import outcome

GOOD = """\
providers:
  mine: {type: openai, base_url: "URL/v1", api_key: sk-secret-0123456789}
models:
  - {model: fast, targets: [mine/big]}
"""
BAD = """\
lisen: [127.0.0.1:4242]
providers:
  mine: {type: openai, base_url: "http://127.0.0.1:9/v1", api_key: sk-secret-0123456789, timeout: 3s}
models:
  - {model: fast, targets: [mien/big]}
"""


def column(line: int, word: str) -> int:
    return BAD.splitlines()[line - 1].index(word) + 1


def test_a_good_file(folder, capsys):
    (folder / "my.yaml").write_text(GOOD.replace("URL", "http://127.0.0.1:9"))
    assert outcome(["check", "my.yaml"]) == 0
    assert capsys.readouterr() == ("", "my.yaml: no problems, 2 providers, 2 registrations\n")


@pytest.mark.parametrize("args", [["check", "my.yaml"], ["check", "--config", "my.yaml"]])
def test_every_problem_with_its_place_and_the_way_out(folder, capsys, args):
    (folder / "my.yaml").write_text(BAD)
    assert outcome(args) == 2
    out, err = capsys.readouterr()
    assert [line.split(" ")[0] for line in out.splitlines() if line.startswith("my.yaml")] == [
        "my.yaml:1:1:",
        f"my.yaml:3:{column(3, 'timeout')}:",
        f"my.yaml:5:{column(5, 'mien')}:",
    ]
    assert 'did you mean "listen"?' in out
    assert "^" in out
    assert "sk-secret" not in out + err
    assert err == "my.yaml: 3 problems\n"


def test_the_file_of_the_current_folder_is_the_default(folder, capsys):
    (folder / "parley.yaml").write_text("lisen: []\n")
    assert outcome(["check"]) == 2
    assert "parley.yaml:1:1" in capsys.readouterr().out


def test_no_file_at_all_is_no_problem(folder, capsys):
    assert outcome(["check", "--no-discover"]) == 0
    assert capsys.readouterr().err == "no configuration file: no problems, 1 provider, 1 registration\n"


@pytest.mark.parametrize(("name", "words"), [("missing.yaml", "cannot read it"), (".", "no .yaml or .yml file")])
def test_a_file_that_cannot_be_read(folder, capsys, name, words):
    assert outcome(["check", name]) == 2
    assert words in capsys.readouterr().out


def test_included_files_and_missing_weights_count(folder, capsys):
    (folder / "parley.yaml").write_text("include: models\nmodels: [{model: a, settings: {model: none.gguf}}]\n")
    (folder / "models").mkdir()
    (folder / "models" / "bad.yaml").write_text("registration: {modle: b}\n")
    (folder / "models" / "good.yaml").write_text("models: [{model: c, targets: [echo/echo]}]\n")
    assert outcome(["check"]) == 2
    out, err = capsys.readouterr()
    assert "models/bad.yaml:1:16: unknown key" in out
    assert "none.gguf: there is no such file" in out
    assert err == "parley.yaml: 2 problems\n"
    assert outcome(["check", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["problems"]) == (False, [])
    assert [one["file"] for one in told["rejected"]] == ["models/bad.yaml"]
    assert [one["file"] for one in told["absent"]] == ["parley.yaml"]
    assert outcome(["models"]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["a", "c", "echo"]
    assert "Left out, whole or in part, because of these problems: models/bad.yaml." in err


def test_a_folder_of_registrations(folder, capsys):
    (folder / "a.yaml").write_text("models: [{model: c, targets: [echo/echo]}]\n")
    assert outcome(["check", "."]) == 0
    assert capsys.readouterr().err == ".: no problems, 1 provider, 2 registrations\n"


def test_two_files_are_one_too_many(folder, capsys):
    assert outcome(["check", "a.yaml", "--config", "b.yaml"]) == 2
    assert "a.yaml" in capsys.readouterr().err


def test_json_for_programs(folder, capsys):
    (folder / "my.yaml").write_text(BAD)
    assert outcome(["check", "my.yaml", "--json"]) == 2
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert (told["file"], told["ok"], err) == ("my.yaml", False, "")
    assert [(one["line"], one["column"]) for one in told["problems"]] == [
        (1, 1),
        (3, column(3, "timeout")),
        (5, column(5, "mien")),
    ]
    assert told["problems"][0]["hint"] == 'did you mean "listen"?'


def test_the_schema(capsys):
    assert outcome(["check", "--schema"]) == 0
    assert "json-schema.org" in json.loads(capsys.readouterr().out)["$schema"]


def test_variables_come_from_the_environment_file_after_the_environment(folder, capsys, monkeypatch):
    (folder / "my.yaml").write_text(GOOD.replace("URL", "${BASE}").replace("fast", '"${NAME}"'))
    (folder / "my.env").write_text("BASE=http://127.0.0.1:9\nNAME='from file'\n")
    environ = {**os.environ, "NAME": "from shell"}
    monkeypatch.setattr("os.environ", environ)
    assert outcome(["check", "my.yaml"]) == 2
    assert "BASE" in capsys.readouterr().out
    assert outcome(["models", "--config", "my.yaml", "--env-file", "my.env"]) == 0
    assert "from shell" in capsys.readouterr().out
    assert environ["BASE"] == "http://127.0.0.1:9"


def test_live_asks_the_providers_of_the_targets(folder, gateway, capsys):
    there = gateway(answer(b'{"data": []}'))
    (folder / "my.yaml").write_text(GOOD.replace("URL", there.url))
    assert outcome(["check", "my.yaml", "--live"]) == 0
    assert there.head.startswith("get /v1/models ")
    assert "bearer sk-secret-0123456789" in there.head
    out, _ = capsys.readouterr()
    assert out.startswith(f"mine  {there.url}/v1  reachable (200")
    assert "sk-secret" not in out


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_live_with_a_provider_that_is_not_there(folder, gateway, capsys, as_json):
    gone = gateway()
    gone.close()
    (folder / "my.yaml").write_text(GOOD.replace("URL", gone.url))
    assert outcome(["check", "my.yaml", "--live", *as_json]) == 6
    out, _ = capsys.readouterr()
    if as_json:
        [told] = json.loads(out)["providers"]
        assert (told["provider"], told["reachable"], told["failure"]) == ("mine", False, "upstream_unreachable")
    else:
        assert "mine" in out
        assert "not reachable" in out


def test_live_with_a_refused_key(folder, gateway, capsys):
    (folder / "my.yaml").write_text(GOOD.replace("URL", gateway(answer(b"{}", "401 Unauthorized")).url))
    assert outcome(["check", "my.yaml", "--live"]) == 4
    assert "refuses the key" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "wire"), [("tei", "native"), ("worker", "openai"), ("kserve", "infer")])
def test_live_with_wires_that_are_more_or_less_than_chat(folder, gateway, capsys, kind, wire):
    there = gateway(answer(b"{}", "404 Not Found"))
    provider = f"providers: {{mine: {{type: {kind}, wire: {wire}, base_url: {there.url}}}}}\n"
    endpoint = "rerank" if kind == "tei" else "chat"
    models = f"models: [{{model: m, endpoint: {endpoint}, targets: [mine/x]}}]\n"
    (folder / "my.yaml").write_text(provider + models)
    assert outcome(["check", "my.yaml", "--live"]) == 0
    assert "reachable (404" in capsys.readouterr().out
