"""``parley run`` in this process: the same gateway, without a port."""

import json
import signal
import subprocess
import sys

import pytest

from cli.scripted import HOLD, answer, delta, stream
from fixtures.children import bare_environment
from parley.cli.root import outcome

CONFIG = """\
providers:
  mine: {{type: openai, base_url: "{url}/v1", api_key: sk-secret-0123456789}}
models:
  - {{model: fast, targets: [mine/big], defaults: {{temperature: 0.5}}, retries: {{attempts: 1}}}}
"""


def parley(*args: str, cwd, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "parley", *args]
    return subprocess.run(command, cwd=cwd, input=stdin, env=bare_environment(cwd), capture_output=True, check=False)


def test_echo_needs_nothing(folder, capsys):
    assert outcome(["run", "echo", "Hello  there,\nyou", "--no-discover"]) == 0
    assert capsys.readouterr() == ("Hello  there,\nyou\n", "")


@pytest.mark.parametrize("prompt", [[], ["-"]])
def test_the_prompt_from_stdin(tmp_path, prompt):
    done = parley("run", "echo", *prompt, cwd=tmp_path, stdin="Grüße\n\n".encode())
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, "Grüße\n", b"")


def test_stdin_is_not_read_where_a_prompt_is_given(tmp_path):
    done = parley("run", "echo", "given", cwd=tmp_path, stdin=b"not this")
    assert (done.returncode, done.stdout) == (0, b"given\n")


@pytest.mark.parametrize(("stdin", "told"), [(b"", "there is no prompt"), (b"\xff", "not UTF-8")])
def test_a_prompt_that_is_none(tmp_path, stdin, told):
    done = parley("run", "echo", cwd=tmp_path, stdin=stdin)
    assert (done.returncode, done.stdout) == (2, b"")
    assert told in done.stderr.decode()


def test_an_empty_prompt_is_a_prompt(folder, gateway, capsys):
    there = gateway(stream(delta("ok", "stop"), "[DONE]"))
    (folder / "parley.yaml").write_text(CONFIG.format(url=there.url))
    assert outcome(["run", "fast", ""]) == 0
    assert there.body["messages"] == [{"role": "user", "content": ""}]


def test_the_configuration_decides_what_is_sent(folder, gateway, capsys):
    there = gateway(stream(delta("Hel"), delta("lo"), delta("", "stop"), "[DONE]"))
    (folder / "my.yaml").write_text(CONFIG.format(url=there.url))
    assert outcome(["run", "fast", "Hi", "--system", "Be brief.", "--config", "my.yaml"]) == 0
    assert capsys.readouterr() == ("Hello\n", "")
    assert "authorization: bearer sk-secret-0123456789" in there.head
    assert (there.body["model"], there.body["temperature"]) == ("big", 0.5)
    assert there.body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]


def test_json_prints_the_answer_object(folder, capsys):
    assert outcome(["run", "echo", "one two", "--json", "--no-discover"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["choices"][0]["message"]["content"] == "one two"
    assert told["usage"]["completion_tokens"] == 2


def test_a_model_nobody_knows(folder, capsys):
    assert outcome(["run", "nonsense", "x", "--no-discover"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "nonsense" in err
    assert "parley models" in err


@pytest.mark.parametrize(
    ("reply", "ends"),
    [
        (answer(b'{"error": {"message": "bad key sk-secret-0123456789"}}', "401 Unauthorized"), 4),
        (answer(b'{"error": {"message": "broken"}}', "500 Internal Server Error"), 5),
        (answer(b'{"error": {"message": "too long"}}', "400 Bad Request"), 5),
        (stream(delta("half")), 5),
    ],
)
def test_what_a_provider_does_wrong(folder, gateway, capsys, reply, ends):
    (folder / "parley.yaml").write_text(CONFIG.format(url=gateway(reply).url))
    assert outcome(["run", "fast", "x"]) == ends
    out, err = capsys.readouterr()
    assert "Error: " in err
    assert "sk-secret" not in out + err


def test_a_provider_that_is_not_there(folder, gateway, capsys):
    gone = gateway()
    gone.close()
    (folder / "parley.yaml").write_text(CONFIG.format(url=gone.url))
    assert outcome(["run", "fast", "x"]) == 6
    assert "Error: " in capsys.readouterr().err


def test_local_servers_are_searched_only_for_names_nobody_knows(folder, gateway, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr("parley.config.discover.discover", lambda: asked.append("this machine") or ())
    assert outcome(["run", "echo", "x"]) == 0
    assert asked == []
    assert outcome(["run", "vllm/tiny", "x"]) == 2
    assert asked == ["this machine"]


@pytest.mark.parametrize("remote", [True, False])
def test_interrupted(tmp_path, gateway, remote):
    there = gateway(stream(delta("first "), ended=False), HOLD)
    (tmp_path / "parley.yaml").write_text(CONFIG.format(url=there.url))
    command = [sys.executable, "-m", "parley", "run", "fast", "x", *(["--url", there.url] if remote else [])]
    with subprocess.Popen(
        command, cwd=tmp_path, env=bare_environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout.read(6) == b"first "
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 130
        assert b"Traceback" not in child.stderr.read()
