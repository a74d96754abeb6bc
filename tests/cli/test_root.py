"""The command itself: what there is, what there is not yet, and how quickly it says so."""

import os
import subprocess
import sys

import pytest

import parley
from parley.cli.root import COMMANDS, NOT_YET, outcome

BUILT = [
    "serve",
    "run",
    "models",
    "check",
    "keys",
    "store",
    "logs",
    "batch",
    "nodes",
    "import",
    "publish",
    "consume",
    "openapi",
]


def test_the_version(capsys):
    assert outcome(["--version"]) == 0
    assert capsys.readouterr().out == f"parley {parley.__version__}\n"


def test_help_lists_what_is_built_and_nothing_else(capsys):
    assert outcome(["--help"]) == 0
    shown = capsys.readouterr().out
    listed = [line.split()[0] for line in shown.partition("Commands:\n")[2].splitlines()]
    assert (
        listed
        == list(COMMANDS)
        == [
            "serve",
            "run",
            "models",
            "check",
            "keys",
            "store",
            "logs",
            "batch",
            "nodes",
            "import",
            "publish",
            "consume",
            "openapi",
        ]
    )


@pytest.mark.parametrize("command", sorted(NOT_YET))
def test_commands_to_come_say_so(command, capsys):
    assert outcome([command, "list", "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert (
        f"parley {command} is not available yet. Available: serve, run, models, check, keys, store, logs, batch, nodes,"
        " import, publish, consume, openapi." in err
    )


@pytest.mark.parametrize(
    "args", [["kesy"], ["--nonsense"], ["run"], ["serve", "--workers", "many"], ["run", "m", "--url"]]
)
def test_what_is_not_understood_is_a_usage_error(args, capsys):
    assert outcome(args) == 2
    assert "Error: " in capsys.readouterr().err


@pytest.mark.parametrize("command", ["models", "check", "keys list", "logs", "nodes", "batch status", "batch run a b"])
def test_a_store_is_named_by_its_url(command, folder, capsys):
    (folder / "a").write_text("")
    assert outcome([*command.split(), "--store", "x"]) == 2
    assert "a store is written as sqlite:///FILE or postgresql://" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["models", "check", "keys list"])
def test_commands_take_the_configuration_and_another_store(command, folder, capsys):
    (folder / "other.yaml").write_text("store: sqlite:///named.db\n")
    assert outcome([*command.split(), "--config", "other.yaml", "--store", "sqlite:///mine.db"]) == 0
    assert "named.db" not in "".join(capsys.readouterr())


def test_colour_only_where_it_is_wanted(folder, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert outcome(["serve", "--env-file", "none"]) == 2
    assert "\x1b[" in capsys.readouterr().err
    monkeypatch.setenv("NO_COLOR", "1")
    assert outcome(["serve", "--env-file", "none"]) == 2
    assert "\x1b[" not in capsys.readouterr().err


RUN_AND_LIST = """
import sys
from parley.cli.root import outcome
outcome(sys.argv[1:])
print(*sys.modules, file=sys.stderr)
"""
COSTLY = {"asyncio", "msgspec", "yaml", "uvicorn", "starlette", "httptools", "http.client", "ssl", "parley.config"}


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_telling_the_version_and_the_commands_imports_no_machinery(option):
    done = subprocess.run([sys.executable, "-c", RUN_AND_LIST, option], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "click" in loaded
    assert not loaded & COSTLY


def test_importing_the_package_imports_nothing():
    code = "import sys; before = set(sys.modules); import parley; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["parley"]


def test_a_reader_that_leaves_early_is_no_traceback():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "parley", "check", "--schema"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert done.returncode == 1
    assert done.stderr == ""


WRITES = [
    ["--version"], ["--help"], ["run", "--help"], ["check", "--schema"], ["check", "--json"], ["models"],
    ["run", "echo", "hi"], ["run", "echo", "hi", "--json"],
]  # fmt: skip


@pytest.mark.parametrize("args", WRITES, ids=" ".join)
def test_a_full_disk_is_told_in_one_line(args, folder):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "parley", *args], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "Error: cannot write to stdout: No space left on device.\n"


def test_a_closed_stdout_is_told_in_one_line(folder):
    closed = ["sh", "-c", 'exec "$0" -m parley "$@" >&-', sys.executable]
    done = subprocess.run([*closed, "run", "echo", "hi"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "Error: cannot write to stdout: Bad file descriptor.\n"
    done = subprocess.run([*closed, "check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == "no configuration file: no problems, 1 provider, 1 registration\n"


def test_what_was_printed_is_what_was_sent(folder):
    text = "".join(f"\u00e9 {number}\n" for number in range(2000))
    done = subprocess.run(
        [sys.executable, "-m", "parley", "run", "echo"], input=text.encode(), capture_output=True, check=True
    )
    assert done.stdout.decode() == text
