"""Files and batches by OpenAI's own client, against ``parley serve``: what is answered, refused, killed and resumed."""

import json
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types import Batch

from fixtures.children import eventually
from fixtures.counting import Counting
from fixtures.parley import Gateway, Start
from parley.serve import batching

CHAT = "/v1/chat/completions"
OVER = ("completed", "failed", "expired", "cancelled")
Client = Callable[..., openai.OpenAI]


@pytest.fixture
def client() -> Iterator[Client]:
    made: list[openai.OpenAI] = []

    def make(gateway: Gateway, key: str = "none") -> openai.OpenAI:
        made.append(openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0))
        return made[-1]

    yield make
    for one in made:
        one.close()


def line(number: Any, body: dict[str, Any] | None = None, url: str = CHAT) -> bytes:
    plain = {"model": "echo", "messages": [{"role": "user", "content": f"text {number}"}]}
    return json.dumps({"custom_id": f"r{number}", "method": "POST", "url": url, "body": body or plain}).encode() + b"\n"


def started(sdk: openai.OpenAI, data: bytes, endpoint: Any = CHAT, **more: Any) -> Batch:
    kept = sdk.files.create(file=("in.jsonl", data), purpose="batch")
    wanted: dict[str, Any] = {"completion_window": "24h", **more}
    return sdk.batches.create(input_file_id=kept.id, endpoint=endpoint, **wanted)


def over(sdk: openai.OpenAI, batch: Batch, seconds: float = 90.0) -> Batch:
    def look() -> Batch | None:
        found = sdk.batches.retrieve(batch.id)
        return found if found.status in OVER else None

    return eventually(look, seconds, "the batch is over")


def told(sdk: openai.OpenAI, id: str | None) -> list[dict[str, Any]]:
    return [] if id is None else [json.loads(one) for one in sdk.files.content(id).text.splitlines()]


def counts(batch: Batch) -> tuple[int, int, int]:
    assert batch.request_counts is not None
    return batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed


def config(path: Path, upstream: Counting | None = None, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"store": f"sqlite:///{path / 'parley.db'}", "batches": {"parallel": 4, "attempts": 3}}
    if upstream is not None:
        made["providers"] = {"slow": {"type": "openai", "base_url": upstream.url, "api_key": "k"}}
        made["models"] = [{"model": "echo", "targets": ["slow/m"], "retries": {"attempts": 1}}]
    return made | more


def test_the_example(parley_server: Start, client: Client, tmp_path: Path) -> None:
    sdk = client(parley_server(config(tmp_path)))
    batch = started(sdk, b"".join(map(line, range(250))), metadata={"what": "a test"})
    assert (batch.status, batch.object, batch.metadata) == ("validating", "batch", {"what": "a test"})
    done = over(sdk, batch)
    assert (done.status, counts(done), done.model, done.error_file_id) == ("completed", (250, 250, 0), "echo", None)
    assert done.usage is not None
    assert done.usage.total_tokens == 1000
    found = told(sdk, done.output_file_id)
    assert [one["custom_id"] for one in found] == [f"r{number}" for number in range(250)]
    assert {one["response"]["status_code"] for one in found} == {200}
    assert found[7]["response"]["body"]["choices"][0]["message"]["content"] == "text 7"
    assert found[7]["id"] == found[7]["response"]["request_id"]
    assert sdk.files.retrieve(done.output_file_id or "").purpose == "batch_output"
    assert [one.id for one in sdk.batches.list()] == [batch.id]


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/v1/completions", {"model": "echo", "prompt": "hi"}),
        ("/v1/embeddings", {"model": "echo", "input": "hi"}),
        ("/v1/responses", {"model": "echo", "input": "hi"}),
        ("/v1/images/generations", {"model": "echo", "prompt": "hi", "size": "256x256"}),
        ("/v1/moderations", {"model": "echo", "input": "hi"}),
    ],
)
def test_every_endpoint(parley_for_module: Start, client: Client, url: str, body: dict[str, Any]) -> None:
    sdk = client(parley_for_module({"models": [{"model": "echo", "targets": ["echo/echo"]}]}))
    done = over(sdk, started(sdk, line(1, body, url), url))
    assert (done.status, counts(done)) == ("completed", (1, 1, 0)), told(sdk, done.error_file_id)
    [found] = told(sdk, done.output_file_id)
    assert found["response"]["body"]


def test_a_wrong_file_is_told_line_by_line(parley_server: Start, client: Client, tmp_path: Path) -> None:
    sdk = client(parley_server(config(tmp_path)))
    data = line(1) + b"nope\n" + line(1) + line(2, url="/v1/embeddings") + b"\n" + line(3, {"messages": []})
    done = over(sdk, started(sdk, data))
    assert done.status == "failed"
    assert done.errors is not None
    assert done.errors.data is not None
    assert [(one.line, one.code, one.param) for one in done.errors.data] == [
        (2, "invalid_json_line", None),
        (3, "duplicate_custom_id", "custom_id"),
        (4, "mismatched_url", "url"),
        (6, "missing_required_parameter", "body.model"),
    ]
    assert (done.output_file_id, done.error_file_id) == (None, None)


def test_what_is_refused_at_once(parley_server: Start, client: Client, tmp_path: Path) -> None:
    sdk = client(parley_server(config(tmp_path)))
    kept = sdk.files.create(file=("in.jsonl", line(1)), purpose="batch")
    other = sdk.files.create(file=("in.jsonl", line(1)), purpose="user_data")
    wanted: list[tuple[str | None, dict[str, Any]]] = [
        ("endpoint", {"input_file_id": kept.id, "endpoint": "/v1/audio/speech", "completion_window": "24h"}),
        ("completion_window", {"input_file_id": kept.id, "endpoint": CHAT, "completion_window": "soon"}),
        ("input_file_id", {"input_file_id": "file-none", "endpoint": CHAT, "completion_window": "24h"}),
        ("input_file_id", {"input_file_id": other.id, "endpoint": CHAT, "completion_window": "24h"}),
    ]
    for param, body in wanted:
        with pytest.raises(openai.BadRequestError) as caught:
            sdk.batches.create(**body)
        assert caught.value.param == param
    with pytest.raises(openai.BadRequestError, match="user_data"):
        sdk.files.create(file=("a", b"x"), purpose="nothing")  # type: ignore[arg-type]
    for missing in (lambda: sdk.files.retrieve("file-x"), lambda: sdk.batches.cancel("batch_x")):
        with pytest.raises(openai.NotFoundError):
            missing()


def test_lists_and_files(parley_server: Start, client: Client, tmp_path: Path) -> None:
    sdk = client(parley_server(config(tmp_path)))
    data = bytes(range(256)) * 2000
    ids = [sdk.files.create(file=(f"f{number}", data), purpose="user_data").id for number in range(5)]
    assert [one.id for one in sdk.files.list(limit=2)] == ids[::-1]
    assert [one.id for one in sdk.files.list(limit=3, order="asc")] == ids
    assert sdk.files.list(purpose="batch").data == []
    assert sdk.files.content(ids[0]).read() == data
    assert sdk.files.delete(ids[0]).deleted
    with pytest.raises(openai.NotFoundError):
        sdk.files.content(ids[0])
    folder = tmp_path / "parley.db-files"
    assert sorted(path.name for path in folder.iterdir()) == sorted(ids[1:])
    after = {"anchor": "created_at", "seconds": 3600}
    kept = sdk.files.create(file=("a", b"x"), purpose="user_data", expires_after=after)  # type: ignore[arg-type]
    assert kept.expires_at == kept.created_at + 3600


def test_failures_are_tried_again_and_then_told(
    parley_server: Start, client: Client, counting: Counting, tmp_path: Path
) -> None:
    counting.wrong = {"text 1": [500], "text 2": [500] * 9, "text 3": [400] * 9}
    sdk = client(parley_server(config(tmp_path, counting)))
    done = over(sdk, started(sdk, b"".join(map(line, range(5)))))
    assert (done.status, counts(done)) == ("completed", (5, 3, 2))
    assert [counting.asked[f"text {number}"] for number in range(5)] == [1, 2, 3, 1, 1]
    found = told(sdk, done.error_file_id)
    assert [(one["custom_id"], one["response"]["status_code"]) for one in found] == [("r2", 500), ("r3", 400)]
    assert all(one["response"]["body"]["error"]["message"] for one in found)


def test_cancelled(parley_server: Start, client: Client, counting: Counting, tmp_path: Path) -> None:
    counting.pause = 0.2
    sdk = client(parley_server(config(tmp_path, counting)))
    batch = started(sdk, b"".join(map(line, range(500))))
    eventually(lambda: counts(sdk.batches.retrieve(batch.id))[1] > 10, 30, "some are done")
    with pytest.raises(openai.ConflictError):
        sdk.files.delete(batch.input_file_id)
    assert sdk.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    done = over(sdk, batch)
    total, completed, failed = counts(done)
    assert (done.status, total, failed) == ("cancelled", 500, 0)
    assert 10 < completed < 500
    answered, others = told(sdk, done.output_file_id), told(sdk, done.error_file_id)
    assert (len(answered), len(others)) == (completed, 500 - completed)
    assert {one["error"]["code"] for one in others} == {"batch_cancelled"}
    assert len({one["custom_id"] for one in answered + others}) == 500
    with pytest.raises(openai.APIStatusError) as caught:
        sdk.batches.cancel(over(sdk, started(sdk, line(1))).id)
    assert caught.value.status_code == 409


def test_expired(parley_server: Start, client: Client, counting: Counting, tmp_path: Path) -> None:
    counting.pause = 0.1
    sdk = client(parley_server(config(tmp_path, counting)))
    done = over(sdk, started(sdk, b"".join(map(line, range(500))), completion_window="2s"))
    total, completed, _ = counts(done)
    assert (done.status, total) == ("expired", 500)
    assert len(told(sdk, done.output_file_id)) == completed
    assert {one["error"]["code"] for one in told(sdk, done.error_file_id)} == {"batch_expired"}


def test_kills_lose_and_double_nothing(
    parley_server: Start, client: Client, counting: Counting, tmp_path: Path
) -> None:
    counting.pause = 0.01
    lines, parallel, kills = 1500, 4, 3
    setting = config(tmp_path, counting)
    gateway = parley_server(setting)
    batch = started(client(gateway), b"".join(map(line, range(lines))))
    for life in range(1, kills + 1):
        wanted = lines * life // (kills + 2)
        eventually(lambda wanted=wanted: len(counting.asked) > wanted, 30, "it is under way")  # type: ignore[misc]
        gateway.signal(signal.SIGKILL)
        gateway.wait(30)
        gateway = parley_server(setting)
    sdk = client(gateway)
    done = over(sdk, batch, 150)
    assert (done.status, counts(done)) == ("completed", (lines, lines, 0))
    found = Counter(one["custom_id"] for one in told(sdk, done.output_file_id))
    assert found == Counter(f"r{number}" for number in range(lines))
    # What was being asked when it was killed had to be asked again, and nothing else.
    assert sum(counting.asked.values()) <= lines + kills * 2 * parallel
    eventually(lambda: _rows(tmp_path, "batch_results") == 0, 30, "results are gone once they are in the files")
    assert _rows(tmp_path, "batch_chunks") == 0


def _rows(path: Path, table: str) -> int:
    with sqlite3.connect(path / "parley.db") as raw:
        [(count,)] = raw.execute(f"SELECT count(*) FROM {table}").fetchall()
    raw.close()
    return int(count)


def test_a_stop_hands_over_at_once(parley_server: Start, client: Client, counting: Counting, tmp_path: Path) -> None:
    counting.pause = 0.01
    setting = config(tmp_path, counting)
    first, second = parley_server(setting), parley_server(setting)
    batch = started(client(first), b"".join(map(line, range(800))))
    eventually(lambda: len(counting.asked) > 200, 30, "it is under way")
    assert first.stop() == 0
    sdk, began = client(second), time.monotonic()
    done = over(sdk, batch)
    # Those of a process that is gone are taken over after thirty seconds.
    assert time.monotonic() - began < batching.LEASE_SECONDS - batching.BEAT_SECONDS
    assert counts(done) == (800, 800, 0)
    assert counting.asked == Counter({f"text {number}": 1 for number in range(800)})


def test_several_gateways_ask_each_line_once(
    parley_server: Start, client: Client, counting: Counting, postgres: Any, tmp_path: Path
) -> None:
    counting.pause = 0.01
    setting = config(tmp_path, counting) | {"store": postgres.url(postgres.fresh())}
    gateways = [parley_server(setting) for _ in range(3)]
    sdk = client(gateways[0])
    batch = started(sdk, b"".join(map(line, range(1200))))
    done = over(sdk, batch, 150)
    assert (done.status, counts(done)) == ("completed", (1200, 1200, 0))
    assert counting.asked == Counter({f"text {number}": 1 for number in range(1200)})
    # Any of them tells of it, and has the files.
    found = told(client(gateways[2]), done.output_file_id)
    assert [one["custom_id"] for one in found] == [f"r{number}" for number in range(1200)]


def test_lines_are_asked_by_their_key(parley_server: Start, client: Client, tmp_path: Path) -> None:
    setting = config(tmp_path) | {"auth": {"admin_key": "admin-key-of-the-test", "required": True}}
    gateway = parley_server(setting)
    import urllib.request

    def made(name: str, **more: Any) -> str:
        body = json.dumps({"name": name, **more}).encode()
        headers = {"authorization": "Bearer admin-key-of-the-test", "content-type": "application/json"}
        request = urllib.request.Request(f"{gateway.url}/admin/api/keys", body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(json.loads(answer.read())["key"])

    keys = {"one": made("one", models=["echo"]), "two": made("two", models=["other"])}
    eventually(lambda: _lists(client(gateway, keys["two"])), 30, "the keys are known")
    one, two = client(gateway, keys["one"]), client(gateway, keys["two"])
    first, second = over(one, started(one, line(1))), over(two, started(two, line(1)))
    assert (counts(first), counts(second)) == ((1, 1, 0), (1, 0, 1))
    assert told(two, second.error_file_id)[0]["response"]["status_code"] == 403
    with pytest.raises(openai.NotFoundError):
        two.batches.retrieve(first.id)
    with pytest.raises(openai.NotFoundError):
        two.files.content(first.output_file_id or "")
    assert [found.id for found in two.batches.list()] == [second.id]
    with pytest.raises(openai.AuthenticationError):
        client(gateway, "wrong").files.create(file=("a", b"x" * 100_000), purpose="batch")


def _lists(sdk: openai.OpenAI) -> bool:
    try:
        return sdk.batches.list().data == []
    except openai.AuthenticationError:
        return False
