"""The benchmark's own arithmetic: bodies of exact sizes, costs of whole process trees, ratios and verdicts."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parent.parent / "bench"
MODULES = ("process", "workload", "gateways", "measure", "report")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules of bench/, which is a folder of scripts and not a package."""
    monkeypatch.syspath_prepend(str(BENCH))
    yield {name: import_module(name) for name in MODULES}
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("dialect", ["OPENAI", "ANTHROPIC"])
@pytest.mark.parametrize("size", [2_048, 100_000, 1_500_000])
@pytest.mark.parametrize("stream", [False, True])
def test_bodies_have_their_size_and_are_json(
    bench: dict[str, ModuleType], dialect: str, size: int, stream: bool
) -> None:
    workload = bench["workload"]
    content = workload.body(getattr(workload, dialect), size, stream)
    request = json.loads(content)
    assert len(content) == size
    assert request["model"] == "bench"
    assert request.get("stream", False) is stream


def test_an_image_fills_its_request(bench: dict[str, ModuleType]) -> None:
    workload = bench["workload"]
    request = json.loads(workload.body(workload.ANTHROPIC, workload.IMAGE))
    block = request["messages"][0]["content"][1]
    assert block["type"] == "image"
    assert len(block["source"]["data"]) > 0.99 * workload.IMAGE


def test_a_raw_request_states_its_length(bench: dict[str, ModuleType]) -> None:
    workload = bench["workload"]
    head, _, content = workload.raw_request(workload.ANTHROPIC, 80, b"{}").partition(b"\r\n\r\n")
    assert content == b"{}"
    assert head.split(b"\r\n")[0] == b"POST /v1/messages HTTP/1.1"
    assert b"Content-Length: 2" in head
    assert b"anthropic-version: 2023-06-01" in head


def test_costs_are_those_of_the_whole_tree(bench: dict[str, ModuleType]) -> None:
    process = bench["process"]
    burn = "import os, time\nwhile time.process_time() < 0.3: pass\n"
    # The child burns and ends, the parent burns and waits: both count.
    parent = f"import os, sys\nif not (pid := os.fork()):\n    exec({burn!r})\n    os._exit(0)\nos.waitpid(pid, 0)\n"
    code = f"{parent}exec({burn!r})\nprint('done', flush=True)\nsys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert 0.5 <= process.cpu_seconds(child.pid) < 5
        assert 1 < process.resident_mb(child.pid) < 200
        child.communicate(b"")


def test_a_stopped_process_leaves_no_child(bench: dict[str, ModuleType], tmp_path: Path) -> None:
    process = bench["process"]
    core = min(os.sched_getaffinity(0))
    log = tmp_path / "log"
    started = process.start(["sh", "-c", "sleep 60 & echo $!; wait"], core, log)
    with open(log) as lines:
        while not (line := lines.readline()).endswith("\n"):
            assert started.poll() is None
    process.stop(started)
    assert started.returncode is not None
    left = process._stat(line.strip())
    assert not left or left[0] == "Z"


def values(bench: dict[str, ModuleType]) -> dict[tuple[str, str], float]:
    report = bench["report"]
    return {
        (report.BASE, "c64.cpu_us"): 10.0,
        (report.VERBATIM, "c64.cpu_us"): 20.0,
        (report.TRANSLATED, "c64.cpu_us"): 90.0,
        (report.VERBATIM, "c1.p50_us"): 150.0,
        ("direct", "c1.p50_us"): 100.0,
        (report.VERBATIM, "c1.failed"): 2.0,
        (report.VERBATIM, "c16.failed"): 1.0,
    }


def test_the_page_shows_ratios_what_is_added_and_failures(bench: dict[str, ModuleType]) -> None:
    gateways = bench["gateways"]
    page = bench["report"].report(values(bench), list(gateways.SHORT), bench["measure"].Plan())
    lines = page.splitlines()
    [verbatim] = [line for line in lines if line.startswith("| Parley, verbatim | 20.0 |")]
    cells = [cell.strip() for cell in verbatim.strip("|").split("|")]
    assert cells[2] == "2.00"
    assert "50" in cells
    assert cells[-1] == "3"


def test_goals_are_judged(bench: dict[str, ModuleType]) -> None:
    report = bench["report"]
    goals = report.goals(report.Page(values(bench)))
    assert "| CPU per forwarded request, x nginx | <= 2.5 | 2.00 | reached |" in goals
    assert "| CPU per translated request, x nginx | <= 8 | 9.00 | missed |" in goals
    assert "| idle memory, MB | <= 80 | - | not measured |" in goals


def test_configurations_name_the_upstream(bench: dict[str, ModuleType], tmp_path: Path) -> None:
    gateways = bench["gateways"]
    for config in (gateways.nginx_config, gateways.parley_config, gateways.litellm_config):
        assert "127.0.0.1:4321" in config(1234, 4321, tmp_path)
    assert gateways.parley_config(1, 2, tmp_path, models=200).count("up/model-a") == 200
