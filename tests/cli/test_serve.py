"""``parley serve``: what it refuses, what it says, how it ends."""

import json
import shlex
import signal
import socket
import subprocess
import sys

import pytest

from fixtures.children import Child, bare_environment, eventually, free_port
from parley.cli import banner
from parley.cli.options import Source
from parley.cli.root import outcome
from parley.cli.source import find


@pytest.mark.parametrize("address", ["0.0.0.0:4242", "[::]:4242", "192.0.2.1:80", "gateway.example:80"])
def test_an_address_others_can_reach_is_refused(folder, capsys, address):
    assert outcome(["serve", "--no-discover", "--listen", "127.0.0.1:1", "--listen", address]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"refusing to listen on {address}" in err
    assert "--public" in err


def test_a_public_address_of_the_file_is_refused_as_well(folder, capsys):
    (folder / "my.yaml").write_text("listen: 0.0.0.0:4242\n")
    assert outcome(["serve", "my.yaml"]) == 2
    assert "refusing to listen on 0.0.0.0:4242" in capsys.readouterr().err


def test_a_wrong_file_does_not_serve(folder, capsys):
    (folder / "my.yaml").write_text("lisen: []\n")
    assert outcome(["serve", "my.yaml"]) == 2
    err = capsys.readouterr().err
    assert "my.yaml:1:1" in err
    assert "my.yaml has 1 problem; nothing was started." in err


def test_what_was_found_is_said_without_secrets(folder, monkeypatch):
    (folder / "my.yaml").write_text(
        'providers: {mine: {type: openai, base_url: "http://127.0.0.1:9/v1", api_key: sk-secret-1}}\n'
        "models: [{model: fast, targets: [mine/big]}]\n"
    )
    monkeypatch.setenv("GROQ_API_KEY", "gsk-secret-2")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    said = list(banner.before(find(Source(folder / "my.yaml"))))
    assert said[1] == f"configuration: {folder / 'my.yaml'}"
    assert [line.split(None, 1) for line in said[3:-1]] == [
        ["openai", "OPENAI_BASE_URL in the environment"],
        ["groq", "GROQ_API_KEY in the environment"],
        ["echo", "built in, needs no account"],
        ["mine", str(folder / "my.yaml")],
    ]
    assert said[-1] == "models: fast"
    assert "secret" not in "".join(said)


def test_the_lines_to_paste_ask_the_first_model_of_the_file(folder):
    (folder / "my.yaml").write_text('models: [{model: "it\'s", targets: [echo/echo]}]\n')
    *_, curl, sdk = banner.after(find(Source(folder / "my.yaml")), ("0.0.0.0:4242",))
    words = shlex.split(curl)
    assert words[:2] == ["curl", "http://127.0.0.1:4242/v1/chat/completions"]
    assert json.loads(words[-1])["model"] == "it's"
    python, option, code = shlex.split(sdk)
    assert (python, option) == ("python", "-c")
    assert 'base_url="http://127.0.0.1:4242/v1"' in code
    compile(code, "pasted", "exec")


def test_without_a_file_they_ask_echo(folder):
    *_, curl, _ = banner.after(find(Source(discover=False)), ("127.0.0.1:1",))
    assert json.loads(shlex.split(curl)[-1])["model"] == "echo"


@pytest.fixture
def serving(tmp_path):
    """Starts ``parley serve`` and waits for its address."""
    children = []

    def start(*args: str) -> tuple[Child, str]:
        port = free_port()
        command = [sys.executable, "-m", "parley", "serve", "--no-discover", "--listen", f"127.0.0.1:{port}", *args]
        child = Child(command, bare_environment(tmp_path), tmp_path)
        children.append(child)
        eventually(lambda: any("listening on" in line for line in child.err), 30, "listening")
        return child, f"http://127.0.0.1:{port}"

    yield start
    for child in children:
        child.end(30)


def test_serve_run_and_models_together(serving, folder, capsys):
    child, url = serving()
    assert outcome(["run", "echo", "Hello there", "--url", url]) == 0
    assert capsys.readouterr().out == "Hello there\n"
    assert outcome(["models", "--url", url]) == 0
    assert "echo" in capsys.readouterr().out.split()
    eventually(lambda: any("python -c" in line for line in child.err), 30, "the last line")
    assert any(f"curl {url}/v1/chat/completions" in line for line in child.err)
    assert list(child.out) == []


def test_the_line_for_python_works_as_it_is_printed(serving, tmp_path):
    child, _ = serving()
    line = eventually(lambda: next((one for one in child.err if "python -c" in one), None), 30, "the last line")
    _, *rest = shlex.split(line)
    done = subprocess.run([sys.executable, *rest], env=bare_environment(tmp_path), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"Say hello.\n", b"")


@pytest.mark.parametrize(("number", "ends"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_stops_when_told(serving, number, ends):
    child, _ = serving()
    child.process.send_signal(number)
    assert child.process.wait(30) == ends
    assert not any("Traceback" in line for line in child.err)


def test_an_address_given_twice_is_one_address(serving):
    port = free_port()
    child, _ = serving("--listen", f"127.0.0.1:{port}", "--listen", f"127.0.0.1:{port}")
    assert sum("listening on" in line for line in child.err) == 2


def test_an_address_that_is_taken(folder, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        assert outcome(["serve", "--no-discover", "--listen", address]) == 1
    err = capsys.readouterr().err
    assert address in err
    assert "--listen" in err
