"""``import parley`` is cheap: it loads no server, no client and no parser, and touches no network."""

import resource
import subprocess
import sys

import pytest

LIMIT_SECONDS = 0.150
TRIES = 5
HEAVY = (
    "uvicorn",
    "starlette",
    "aiohttp",
    "botocore",
    "jsonschema",
    "yaml",
    "anthropic",
    "openai",
    "asyncio",
    "ssl",
    "prometheus_client",
)

# Runs in a fresh interpreter: the audit hook sees every socket that anything opens, in C or in Python.
WATCHED_IMPORT = """
import sys
seen = []
sys.addaudithook(lambda name, args: seen.append(name) if name.startswith("socket.") else None)
import parley
print(",".join(sorted(set(seen))))
print(",".join(sorted(set(sys.modules))))
"""


def run_python(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True, timeout=90).stdout


def test_it_opens_no_socket_and_imports_nothing_heavy() -> None:
    sockets, modules = run_python("-c", WATCHED_IMPORT).splitlines()
    assert sockets == ""
    loaded = set(modules.split(","))
    assert "parley" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_audit_hook_would_have_seen_a_socket() -> None:
    opened = WATCHED_IMPORT.replace("import parley", "import socket; socket.socket().close()")
    assert "socket.__new__" in run_python("-c", opened).splitlines()[0]


@pytest.mark.parametrize("module", ["parley", "parley.settings"])
def test_it_is_fast(module: str) -> None:
    timed = f"import time; begun = time.process_time(); import {module}; print(time.process_time() - begun)"
    assert min(float(run_python("-c", timed)) for _ in range(TRIES)) < LIMIT_SECONDS


def test_a_whole_interpreter_with_it_starts_quickly() -> None:
    def seconds(code: str) -> float:
        begun = computed()
        run_python("-c", code)
        return computed() - begun

    def computed() -> float:
        """By all processes that were started here: what the machine does besides does not count."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    bare = min(seconds("pass") for _ in range(TRIES))
    assert min(seconds("import parley") for _ in range(TRIES)) - bare < LIMIT_SECONDS
