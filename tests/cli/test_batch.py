"""``parley batch``: what is asked, written and printed; how it ends; what another run takes up."""

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fixtures.children import Child, bare_environment, eventually, free_port
from fixtures.counting import Counting
from parley.cli.root import outcome


def request(number: int, model: str = "echo", **members: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": f"text {number}"}]}
    return {"custom_id": f"r{number}", "method": "POST", "url": "/v1/chat/completions", "body": body} | members


def written(folder: Path, *requests: Any) -> Path:
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in requests))
    return path


def answers(path: Path) -> dict[str, Any]:
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({one["custom_id"] for one in found}) == len(found)
    return {one["custom_id"]: one for one in found}


def summary(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    out, _ = capsys.readouterr()
    found: dict[str, Any] = json.loads(out)
    return found


def test_in_this_process(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(folder, *map(request, range(250)))
    assert outcome(["batch", "run", str(path), "out.jsonl", "--no-discover"]) == 0
    told = summary(capsys)
    assert (told["total"], told["completed"], told["failed"], told["left"]) == (250, 250, 0, 0)
    assert (told["input_tokens"], told["failed_file"]) == (500, None)
    found = answers(folder / "out.jsonl")
    assert set(found) == {f"r{number}" for number in range(250)}
    assert found["r9"]["response"]["body"]["choices"][0]["message"]["content"] == "text 9"
    assert not (folder / "out.failed.jsonl").exists()


def test_what_failed_is_apart_and_asked_again_only_if_wanted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(folder, request(1), request(2, "nobody"))
    command = ["batch", "run", str(path), "out.jsonl", "--no-discover"]
    assert outcome(command) == 1
    assert summary(capsys)["failed_file"] == "out.failed.jsonl"
    assert answers(folder / "out.failed.jsonl")["r2"]["response"]["status_code"] == 404
    assert outcome(command) == 1
    told = summary(capsys)
    assert (told["completed"], told["failed"]) == (1, 1)
    written(folder, request(1), request(2))
    assert outcome([*command, "--retry-failed"]) == 0
    assert set(answers(folder / "out.jsonl")) == {"r1", "r2"}
    assert outcome(["batch", "status", "out.jsonl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["completed"] == 2


def test_a_wrong_file_is_told_and_nothing_is_begun(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(folder, request(1), request(1), request(3, url="/v1/nothing"))
    assert outcome(["batch", "run", str(path), "out.jsonl", "--no-discover"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{path}:2: " in err
    assert f"{path}:3: " in err
    assert [one.name for one in folder.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize("text", ["my thesis\n", '{"a":1}\n'])
def test_another_file_is_not_written_to(folder: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (folder / "out.jsonl").write_text(text)
    path = written(folder, request(1))
    assert outcome(["batch", "run", str(path), "out.jsonl", "--no-discover"]) == 2
    assert "line 1 of out.jsonl" in capsys.readouterr().err
    assert (folder / "out.jsonl").read_text() == text
    assert outcome(["batch", "run", str(path), str(path), "--no-discover"]) == 2


def test_a_gateway_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(folder, *(request(number) for number in range(100)))
    address = f"127.0.0.1:{free_port()}"
    assert outcome(["batch", "run", str(path), "out.jsonl", "--url", address]) == 6
    out, err = capsys.readouterr()
    assert out == ""
    assert f"http://{address}/v1 cannot be reached" in err
    # Nothing was asked, and no line is taken for one that has failed.
    assert (folder / "out.jsonl").read_bytes() == b""
    assert not (folder / "out.failed.jsonl").exists()


def test_at_a_gateway(
    folder: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARLEY_API_KEY", "pk-1")
    counting.wrong = {"text 3": [500]}
    path = written(folder, *(request(number, f"team/m{number % 3}") for number in range(30)))
    assert outcome(["batch", "run", str(path), "out.jsonl", "--url", counting.url]) == 0
    assert summary(capsys)["output_tokens"] == 60
    assert len(answers(folder / "out.jsonl")) == 30
    assert counting.asked["text 3"] == 2
    assert counting.keys == {"Bearer pk-1"}
    assert counting.models == {f"team/m{number}" for number in range(3)}


def test_killed_and_interrupted_it_goes_on_where_it_was(folder: Path, counting: Counting) -> None:
    counting.pause = 0.01
    path = written(folder, *map(request, range(600)))
    command = [sys.executable, "-m", "parley", "batch", "run", str(path), "out.jsonl"]
    command += ["--url", counting.url, "--parallel", "4"]

    def run() -> Child:
        return Child(command, bare_environment(folder), folder)

    for wanted, number, code in ((150, signal.SIGKILL, -9), (350, signal.SIGINT, 130)):
        child = run()
        eventually(lambda wanted=wanted: len(counting.asked) > wanted, 30, "it is under way")  # type: ignore[misc]
        child.process.send_signal(number)
        assert child.process.wait(30) == code
        child.end()
    child = run()
    assert child.process.wait(30) == 0
    assert json.loads(child.first_line(5))["completed"] == 600
    assert "Traceback" not in "\n".join(child.err)
    child.end()
    assert set(answers(folder / "out.jsonl")) == {f"r{number}" for number in range(600)}
    # What was under way at the kill was asked again; an interrupt waits for it.
    assert sum(Counter(counting.asked).values()) <= 600 + 4


def test_status_of_what_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(["batch", "status", "--store", f"sqlite:///{folder / 'none.db'}"]) == 1
    assert outcome(["batch", "status", "nothing.jsonl"]) == 2
    assert not (folder / "none.db").exists()


def test_where_nothing_can_be_written_nothing_is_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(folder, *map(request, range(3)))
    assert outcome(["batch", "run", str(path), "nowhere/out.jsonl", "--no-discover"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "nowhere/out.jsonl cannot be written" in err
    assert "Traceback" not in err


def test_requests_are_not_taken_for_answers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(folder, *map(request, range(3)))
    other = folder / "other.jsonl"
    other.write_bytes(path.read_bytes())
    assert outcome(["batch", "run", str(path), "other.jsonl", "--no-discover"]) == 2
    assert "is no answer of a batch" in capsys.readouterr().err
    assert other.read_bytes() == path.read_bytes()


def test_faults_that_are_not_shown_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(folder, *[request(number, url="/v1/nothing") for number in range(12)])
    assert outcome(["batch", "run", str(path), "out.jsonl", "--no-discover"]) == 2
    assert "... and 2 more" in capsys.readouterr().err
