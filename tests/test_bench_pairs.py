"""The benchmark's pairs: canned answers that their wires read, requests of exact size, one pair measured, the page."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from parley import ir
from parley.wire import load

BENCH = Path(__file__).parent.parent / "bench"
MODULES = (
    *("process", "workload", "gateways", "measure", "report", "sections", "run"),
    *("answers", "callers", "pairs_report", "pairs"),
)
WIRES = (
    *("openai_chat", "openai_responses", "anthropic", "gemini", "ollama"),
    *("mistral", "cohere", "bedrock", "tgi", "oip_generate"),
)
CALLERS = ("openai_chat", "openai_responses", "anthropic", "gemini", "ollama")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules of bench/, which is a folder of scripts and not a package."""
    monkeypatch.syspath_prepend(str(BENCH))
    yield {name: import_module(name) for name in MODULES}
    for name in MODULES:
        sys.modules.pop(name, None)


def dechunked(data: bytes) -> bytes:
    """The body of a chunked answer."""
    _, _, rest = data.partition(b"\r\n\r\n")
    made = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            assert rest == b"\r\n"
            return made
        made += rest[:length]
        assert rest[length : length + 2] == b"\r\n"
        rest = rest[length + 2 :]


@pytest.mark.parametrize("words", [2, 64])
@pytest.mark.parametrize("wire", WIRES)
def test_the_wire_reads_its_canned_answer(bench: dict[str, ModuleType], wire: str, words: int) -> None:
    answers = bench["answers"]
    [answer] = [answer for answer in answers.ANSWERS if answer.wire == wire]
    decoder = load(wire).stream_decoder()
    events = [*decoder.feed(dechunked(b"".join(answers.writes(answer, words)))), *decoder.close()]
    deltas = [event.text for event in events if isinstance(event, ir.Delta)]
    assert [text for text in deltas if text] == [answers.WORD] * words
    assert isinstance(events[-1], ir.End)


@pytest.mark.parametrize("wire", WIRES)
def test_a_word_is_a_write_and_only_the_last_write_is_marked(bench: dict[str, ModuleType], wire: str) -> None:
    answers = bench["answers"]
    [answer] = [answer for answer in answers.ANSWERS if answer.wire == wire]
    few, many = answers.writes(answer, 8), answers.writes(answer, 64)
    assert len(many) - len(few) == 56
    assert [answer.mark.encode() in piece for piece in many] == [*[False] * (len(many) - 1), True]


def test_every_wire_and_dialect_is_there(bench: dict[str, ModuleType]) -> None:
    roads = [(caller.wire, answer.wire) for answer, asking in bench["pairs"].chosen([]) for caller in asking]
    wanted = {(caller, wire) for wire in WIRES for caller in CALLERS if wire != "openai_responses"}
    assert len(roads) == len(set(roads))
    assert set(roads) == wanted | {("openai_responses", "openai_responses")}


@pytest.mark.parametrize("wire", CALLERS)
def test_callers_ask_for_a_stream_in_2048_bytes(bench: dict[str, ModuleType], wire: str) -> None:
    [caller] = [caller for caller in bench["callers"].CALLERS if caller.wire == wire]
    content = caller.body("tgi-8")
    assert len(content) == 2_048
    request = json.loads(content)
    named = request.get("model", caller.dialect("tgi-8").path)
    assert "tgi-8" in named
    assert request.get("stream", "streamGenerateContent" in named) is True


def test_a_line_gives_what_a_request_and_a_chunk_cost(bench: dict[str, ModuleType]) -> None:
    assert bench["pairs"].line(8, 180.0, 264, 2740.0) == (100.0, 10.0)


def test_the_time_that_a_process_ran_is_counted_finely(bench: dict[str, ModuleType]) -> None:
    ran, cpu = bench["process"].ran_seconds, bench["process"].cpu_seconds
    before, coarsely = ran(os.getpid()), cpu(os.getpid())
    sum(range(4_000_000))
    spent = ran(os.getpid()) - before
    assert spent > 0.005
    assert abs(spent - (cpu(os.getpid()) - coarsely)) < 0.1


def test_the_section_judges_the_dearest_pair(bench: dict[str, ModuleType]) -> None:
    report = bench["pairs_report"]
    costs = {
        ("nginx", "tgi"): report.Cost(40.0, 12.0),
        ("nginx", "cohere"): report.Cost(60.0, 8.0),
        ("Anthropic", "tgi"): report.Cost(300.0, 35.0),
        ("Ollama", "tgi"): report.Cost(400.0, 20.0),
    }
    text = report.section(costs, "once")
    assert "| CPU per request, x nginx | <= 10 | Ollama -> tgi | 8.00 | 2 of 2 | reached |" in text
    assert "| CPU per chunk, x nginx | <= 3 | Anthropic -> tgi | 3.50 | 1 of 2 | missed |" in text
    assert "| tgi | 40.0 | - | - | 6.00 | - | 8.00 |" in text
    assert "| tgi | 12.0 | - | - | 3.50 | - | 2.00 |" in text


def test_each_command_keeps_what_the_other_wrote(bench: dict[str, ModuleType]) -> None:
    sections = bench["sections"]
    first = sections.put("# Page\n", "pairs 1")
    assert "# Page" in first
    assert "pairs 1" in first
    second = sections.put(first, "pairs 2")
    assert second == first.replace("pairs 1", "pairs 2")
    third = sections.renewed(second, "# Other")
    assert third == second.replace("# Page", "# Other")
    assert sections.renewed("# Page\n", "# Other") == "# Other\n"


# Parley goes without a compiler, the benchmark does not.
if COMPILER := shutil.which("gcc"):

    @pytest.fixture(scope="session")
    def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The folder of the compiled programs."""
        folder = tmp_path_factory.mktemp("programs")
        for name in ("upstream", "streams"):
            command = [str(COMPILER), "-Wall", "-Wextra", "-Werror", "-o", str(folder / name), str(BENCH / f"{name}.c")]
            subprocess.run(command, check=True)
        return folder

    def test_a_pair_is_measured(
        bench: dict[str, ModuleType], programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The sources' Parley stands for the product, and the upstream itself for nginx, which forwards to it."""
        core = min(os.sched_getaffinity(0))
        for module, name in (("run", "LOAD_CORE"), ("workload", "LOAD_CORE"), ("measure", "GATEWAY_CORE")):
            monkeypatch.setattr(bench[module], name, core)
        pairs, plan = bench["pairs"], bench["measure"].Plan(interval_ms=4)
        extent = pairs.Extent(seconds=0.1, streams=20, few=4, many=16)
        command = (sys.executable, "-m", "parley", *bench["gateways"].PARLEY.command[1:])
        here = dataclasses.replace(bench["gateways"].PARLEY, command=command, env={"HOME": str(tmp_path)})
        canned = bench["answers"].save(tmp_path / "answers", extent.lengths)
        with bench["run"].upstream(programs, tmp_path, plan, canned) as port:
            ground = bench["measure"].Bench(programs, tmp_path, port, plan)
            with bench["measure"].running(ground, here, pairs.config(port, extent.lengths)) as (process, at, _):
                nginx = pairs.Server(ground, extent, os.getpid(), port, as_is=True)
                parley = pairs.Server(ground, extent, process.pid, at)
                roads = pairs.checked(pairs.roads(nginx, parley, pairs.chosen(["ollama:bedrock"])), extent.lengths)
                assert [row for row, *_ in roads] == ["nginx", "Ollama"]
                costs = pairs.one_round(roads)
        assert list(costs) == [("nginx", "bedrock"), ("Ollama", "bedrock")]
        few = costs["Ollama", "bedrock"].request + extent.few * costs["Ollama", "bedrock"].chunk
        # Microseconds of a stream in plain Python.
        assert 50 < few < 500_000
