"""What is tried again, and when; what earlier runs have written."""

import json
from pathlib import Path

import pytest

from parley.batches.journal import ForeignError, Journal, failed_path
from parley.batches.line import Line
from parley.batches.progress import Progress
from parley.batches.seen import Seen
from parley.batches.told import Spent, answer_line, spent
from parley.batches.work import Policy, Queue


def line(number: int) -> Line:
    return Line(number, f"r{number}", "/v1/embeddings", b"{}", "m")


def body(code: str) -> bytes:
    return json.dumps({"error": {"code": code}}).encode()


def queue(attempts: int = 3, until: float = 1000.0) -> Queue:
    made = Queue(Policy(attempts, first=1.0, most=8.0), lambda: 1.0, until)
    made.add([line(1), line(2)])
    return made


def test_a_line_is_tried_so_often_and_later_each_time() -> None:
    made, now, pauses = queue(), 0.0, []
    work = made.next(now)
    assert work is not None
    while (verdict := made.answered(work, 500, {}, body("upstream_error"), now)).again is not None:
        pauses.append(verdict.again)
        assert made.due() == now + verdict.again
        now += verdict.again
        assert made.next(now) is work
    assert pauses == [1.0, 2.0]
    assert work.tries == 3


@pytest.mark.parametrize(
    ("status", "code", "again"),
    [
        (400, "invalid_request", False),
        (404, "model_not_found", False),
        (501, "not_implemented", False),
        (502, "upstream_auth", False),
        (408, "", True),
        (429, "rate_limit_exceeded", True),
        (502, "upstream_unreachable", True),
        (529, "", True),
        (200, "", False),
    ],
)
def test_what_is_tried_again(status: int, code: str, again: bool) -> None:
    made = queue()
    work = made.next(0)
    assert work is not None
    headers = {b"x-should-retry": b"false"}
    assert (made.answered(work, status, headers, body(code), 0).again is not None) is again
    assert len(made) == 1 + again


def test_our_own_limits_are_waited_for_and_count_as_no_try() -> None:
    made, now = queue(attempts=1), 0.0
    work = made.next(now)
    assert work is not None
    for _ in range(20):
        verdict = made.answered(work, 429, {b"retry-after": b"3"}, body("rate_limited"), now)
        assert verdict.ours
        assert verdict.again is not None
        assert verdict.again >= 3
        now += verdict.again
        assert made.next(now) is work
    assert (work.tries, work.waits) == (0, 20)


def test_nothing_is_tried_behind_the_end() -> None:
    made = queue(until=10.0)
    work = made.next(0)
    assert work is not None
    assert made.answered(work, 503, {b"retry-after": b"60"}, b"", 0).again is None


def test_what_is_due_goes_before_what_is_fresh() -> None:
    made = queue()
    first = made.next(0)
    assert first is not None
    made.answered(first, 500, {}, b"", 0)
    assert made.retrying == 1
    assert made.next(2.0) is first
    second = made.next(2.0)
    assert second is not None
    assert second.line.number == 2
    assert made.next(2.0) is None


def test_usage_of_either_shape() -> None:
    chat = b'{"usage":{"prompt_tokens":3,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":1}}}'
    responses = b'{"usage":{"input_tokens":3,"output_tokens":4,"output_tokens_details":{"reasoning_tokens":2}}}'
    assert spent(chat) == Spent(3, 4, 1, 0)
    assert spent(responses) == Spent(3, 4, 0, 2)
    assert spent(b"<html>") == spent(b"[]") == Spent()


def test_an_answer_is_one_line_of_json() -> None:
    pretty = json.loads(answer_line("b", "c", 200, "r", b'{\n "a": 1\n}'))
    assert pretty["response"] == {"status_code": 200, "request_id": "r", "body": {"a": 1}}
    page = json.loads(answer_line("b", "c", 502, "r", b"<html>"))
    assert "<html>" in page["response"]["body"]["error"]["message"]


def test_a_journal_forgets_what_was_cut_off(tmp_path: Path) -> None:
    path, seen = tmp_path / "out.jsonl", Seen()
    journal = Journal(path)
    for name in ("a", "b"):
        journal.write(answer_line("x", name, 200, "x", b'{"usage":{"input_tokens":1,"output_tokens":2}}'))
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"custom_id":"c","resp')
    again = Journal(path)
    again.read(seen)
    assert (again.count, again.spent, path.read_bytes()) == (2, Spent(2, 4), whole)
    assert ("a" in seen, "c" in seen) == (True, False)
    assert failed_path(path).name == "out.failed.jsonl"


@pytest.mark.parametrize(
    "text",
    [
        "my thesis",
        '{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m"}}',
        '{"custom_id":"a","x":1}',
        '{"id":"b","custom_id":"a","response":null,"error":null}',
        '{"id":"b","custom_id":"a","response":{"body":{}},"error":null}',
    ],
)
def test_a_journal_is_not_mistaken_for_something_else(tmp_path: Path, text: str) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(f"{text}\n")
    with pytest.raises(ForeignError, match="line 1"):
        Journal(path).read(Seen())
    assert path.read_text() == f"{text}\n"


def test_what_earlier_runs_have_cost_is_not_known() -> None:
    fresh, again = Progress(3, (0, 0), 0.0), Progress(3, (2, 0), 0.0)
    for one in (fresh, again):
        one.settled(True, Spent(1, 1), 1.0)
        one.paid(5_000_000_000_000)
    told = [(one.summary(2.0)["cost_usd"], one.summary(2.0)["run_cost_usd"]) for one in (fresh, again)]
    assert told == [(5.0, 5.0), (None, 5.0)]
