"""The README's examples, run as they stand against ``parley serve`` without configuration or keys."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
PARLEY = [sys.executable, "-m", "parley"]
EXAMPLES = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in EXAMPLES if language == "python"]
SHELL = [code for language, code in EXAMPLES if language == "sh"]
YAML = [code for language, code in EXAMPLES if language == "yaml"]
DEFAULT = "127.0.0.1:4242"


def bare_environment(home: Path, **more: str) -> dict[str, str]:
    """No keys, no proxies, no one's settings."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "NO_COLOR": "1"} | more


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("serve")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with subprocess.Popen(
        [*PARLEY, "serve", "--listen", address],
        cwd=folder,
        env=bare_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert any("listening on" in line for line in process.stdout)
            yield address
        finally:
            process.terminate()
            process.communicate(timeout=30)


def test_there_is_something_to_run() -> None:
    assert len(PYTHON) == 2
    assert len(YAML) == 1
    assert [code for code in SHELL if code.startswith("curl")]


@pytest.mark.parametrize("code", PYTHON, ids=["openai", "anthropic"])
def test_the_sdk_lines_answer(address: str, code: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code.replace(DEFAULT, address)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=bare_environment(tmp_path),
    )
    assert done.stderr == ""
    assert done.stdout == "Hello, Parley\n"


def test_the_curl_line_answers(address: str) -> None:
    [line] = [code for code in SHELL if code.startswith("curl")]
    words = shlex.split(line.replace(DEFAULT, address).replace("\\\n", ""))
    options = dict(zip(words[2::2], words[3::2], strict=True))
    name, _, value = options["-H"].partition(": ")
    request = urllib.request.Request(words[1], options["-d"].encode(), {name: value})
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
    assert response.status == 200
    assert answer["choices"][0]["message"]["content"] == "Hello, Parley"


def test_the_terminal_line_answers(tmp_path: Path) -> None:
    [line] = re.findall(r"`\.cache/product/bin/parley (run [^`]+)`", README)
    done = subprocess.run(
        [*PARLEY, *shlex.split(line)],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
        cwd=tmp_path,
        env=bare_environment(tmp_path),
    )
    assert done.stdout == "Hello, Parley\n"


def test_the_configuration_is_right(tmp_path: Path) -> None:
    file = tmp_path / "parley.yaml"
    file.write_text(YAML[0])
    keys = {"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "sk-2"}
    done = subprocess.run(
        [*PARLEY, "check", str(file)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=bare_environment(tmp_path, **keys),
    )
    assert done.returncode == 0, done.stdout + done.stderr
