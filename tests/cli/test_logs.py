"""``parley logs``: what is printed of the requests in a store, and how it is asked for."""

import csv
import io
import json
import time

import pytest
from msgspec.structs import replace

from parley.cli import logs as command
from parley.cli.root import outcome
from parley.store import ledger
from parley.store.ledger import Row, Span
from parley.store.link import linked
from parley.store.place import place_of

URL = "sqlite:///parley.db"
NEW_YEAR = 1_767_225_600.25
ROW = Row(
    at=NEW_YEAR, request_id="req_1", key="key_a", key_name="alice", tags={"team": "blue"}, dialect="openai",
    operation="chat", model="fast", provider="openai", target="openai/gpt", status=200, outcome="ok", kind="",
    attempts=1, ms=12.5, ttfb_ms=3.25, stream=False, bytes_out=100, estimated=False, replayed=False, cost=1_500_000,
    input=10, output=5, cached=4, cache_write=None, reasoning=None, audio_input=None, audio_output=None, images=None,
    seconds=None,
)  # fmt: skip
FAILED = replace(
    ROW, at=NEW_YEAR + 60, request_id="req_2", key="", key_name="", model="\x1b[31m=bad", target="", provider="",
    status=404, outcome="error", kind="model_not_found", cost=None, estimated=True, tags={},
)  # fmt: skip


def put(*rows, place=0):
    link = linked(place_of(URL), 1.0)
    named = [(int(row.at * 1000 + row.ms).to_bytes(6) + (place + n).to_bytes(10), row) for n, row in enumerate(rows)]
    with link.transaction(writes=True):
        ledger.write(link, Span("journal", place, place + 100), named)
    link.close()


@pytest.fixture
def logs(folder, capsys):
    def run(*args, store=URL):
        code = outcome(["logs", *args, "--store", store])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_without_a_store_it_says_so(logs, folder):
    code, out, err = logs()
    assert (code, out) == (1, "")
    assert "there is no store at" in err
    assert list(folder.iterdir()) == []


def test_a_store_without_requests_says_so(logs):
    put()
    assert logs() == (0, "", "No such request was written down.\n")
    assert logs("--json")[1] == "[]\n"


def test_a_line_for_each_the_newest_last(logs):
    put(ROW, FAILED)
    code, out, err = logs()
    head, first, second = out.splitlines()
    assert (code, err) == (0, "")
    assert head.split()[:3] == ["TIME", "KEY", "MODEL"]
    assert first.split() == [
        "2026-01-01T00:00:00.250Z", "alice", "fast", "openai/gpt", "200", "12.5", "10", "5", "0.000002",
    ]  # fmt: skip
    assert second.split()[-2:] == ["?", "model_not_found"]
    assert "~10" in second
    assert "\x1b" not in out


def test_as_json(logs):
    put(ROW, FAILED)
    first, second = json.loads(logs("--json")[1])
    assert first["cost"] == 0.0000015
    assert '"cost":0.0000015' in logs("--json")[1]
    assert (first["key"], first["tags"], first["cached_tokens"], first["reasoning_tokens"]) == (
        "key_a", {"team": "blue"}, 4, None,
    )  # fmt: skip
    assert (second["cost"], second["key"], second["usage"], second["error"]) == (
        None, None, "estimated", "model_not_found",
    )  # fmt: skip


def test_only_some(logs):
    put(ROW, FAILED, replace(ROW, at=NEW_YEAR + 120, request_id="req_3", key="key_b"))

    def ids(*args):
        code, out, err = logs("--json", *args)
        assert code == 0, err
        return [row["request_id"] for row in json.loads(out)]

    assert ids("-n", "1") == ["req_3"]
    assert ids("--key", "key_a") == ["req_1"]
    assert ids("--key", "alice") == ["req_1", "req_3"]
    assert ids("--key", "alice", "--outcome", "ok") == ["req_1", "req_3"]
    assert ids("--key", "nobody") == []
    assert ids("--operation", "createChatCompletion", "-n", "1") == ["req_3"]
    assert ids("--outcome", "error") == ["req_2"]
    assert ids("--status", "404") == ["req_2"]
    assert ids("--request", "req_1") == ["req_1"]
    assert ids("--since", "2026-01-01T00:00:30Z", "--until", "2026-01-01T00:01:30Z") == ["req_2"]
    assert ids("--since", "1m") == []


@pytest.mark.parametrize(
    ("args", "word"),
    [(("--since", "yesterday"), "no time"), (("--export", "csv", "-f"), "--export"), (("--export", "xml"), "xml")],
)
def test_what_cannot_be_meant(logs, args, word):
    put(ROW)
    code, out, err = logs(*args)
    assert (code, out) == (2, "")
    assert word in err


def test_everything_goes_into_a_table(logs, monkeypatch):
    monkeypatch.setattr(command, "PAGE", 2)
    put(*(replace(ROW, at=NEW_YEAR + n, request_id=f"req_{n}") for n in range(5)), FAILED)
    rows = list(csv.DictReader(io.StringIO(logs("--export", "csv")[1], newline="")))
    assert [row["request_id"] for row in rows] == ["req_0", "req_1", "req_2", "req_3", "req_4", "req_2"]
    assert (rows[0]["cost"], rows[0]["cached_tokens"], rows[0]["reasoning_tokens"]) == ("0.0000015", "4", "")
    assert rows[-1]["cost"] == ""
    assert [row["request_id"] for row in json.loads(logs("--export", "json", "-n", "3")[1])] == [
        "req_0",
        "req_1",
        "req_2",
    ]
    assert json.loads(logs("--export", "json", "--key", "nobody")[1]) == []


def test_no_cell_of_a_table_is_a_formula(logs):
    put(replace(FAILED, model="=1+1"))
    (row,) = csv.DictReader(io.StringIO(logs("--export", "csv")[1], newline=""))
    assert row["model"] == "'=1+1"


def test_it_follows(logs, monkeypatch):
    put(ROW)
    late = replace(ROW, at=NEW_YEAR - 1, request_id="late")
    steps = [lambda: put(replace(FAILED, at=NEW_YEAR + 5), place=100), lambda: None, lambda: put(late, place=200)]

    def sleep(seconds):
        assert seconds == command.LOOK_SECONDS
        if not steps:
            raise KeyboardInterrupt
        steps.pop(0)()

    monkeypatch.setattr(time, "sleep", sleep)
    code, out, _ = logs("-f", "--json")
    assert code == 130
    assert [json.loads(line)["request_id"] for line in out.splitlines()] == ["req_1", "req_2", "late"]
