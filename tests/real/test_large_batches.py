"""Files larger than the memory that may be used for them. ``make batch-lines`` takes a million lines."""

import http.client
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.parley import Gateway, Start

LINES = int(os.environ.get("PARLEY_LINES", "30000"))
GROWTH = 100
BOUNDARY = "a-boundary-of-the-test"
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
).encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


def lines(count: int, text: int) -> Iterator[bytes]:
    filler = "x" * text
    for number in range(count):
        body = {"model": "echo", "messages": [{"role": "user", "content": f"{number} {filler}"}]}
        made = {"custom_id": f"request-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        yield json.dumps(made).encode() + b"\n"


def form(path: Path, count: int, text: int) -> int:
    with path.open("wb") as file:
        file.write(HEAD)
        for line in lines(count, text):
            file.write(line)
        file.write(TAIL)
    return path.stat().st_size


def asked(gateway: Gateway, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def megabytes(gateway: Gateway, name: str) -> float:
    """Of its memory: VmRSS now, VmHWM at its highest."""
    found = Path(f"/proc/{gateway.pid}/status").read_text().splitlines()
    return int(next(line for line in found if line.startswith(name)).split()[1]) / 1024


def stored(gateway: Gateway, path: Path, size: int) -> tuple[int, Any]:
    with path.open("rb") as file:
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        return asked(gateway, "POST", "/v1/files", file, content_type=kind, content_length=str(size))


@pytest.fixture
def gateway(parley_server: Start, tmp_path: Path) -> Gateway:
    store = f"sqlite:///{tmp_path / 'parley.db'}"
    made = parley_server({"store": store, "log": {"requests": False}, "batches": {"parallel": 2}})
    # What everything needs once is loaded.
    assert asked(made, "GET", "/v1/files")[0] == 200
    return made


def begun(gateway: Gateway, kept: Any, seconds: float) -> Any:
    wanted = {"input_file_id": kept["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    status, batch = asked(gateway, "POST", "/v1/batches", json.dumps(wanted))
    assert status == 200, batch
    until, slowest = time.monotonic() + seconds, 0.0
    while batch["status"] == "validating":
        assert time.monotonic() < until
        time.sleep(0.02)
        began = time.monotonic()
        _, batch = asked(gateway, "GET", f"/v1/batches/{batch['id']}")
        slowest = max(slowest, time.monotonic() - began)
    # Whoever asks for something else meanwhile is answered.
    assert slowest < 20
    assert asked(gateway, "POST", f"/v1/batches/{batch['id']}/cancel")[0] in (200, 409)
    return batch


def test_many_lines_in_little_memory(gateway: Gateway, tmp_path: Path) -> None:
    size = form(tmp_path / "form", LINES, 40)
    before = megabytes(gateway, "VmRSS")
    status, kept = stored(gateway, tmp_path / "form", size)
    assert (status, kept["bytes"]) == (200, size - len(HEAD) - len(TAIL)), kept
    batch = begun(gateway, kept, 300)
    assert (batch["errors"], batch["request_counts"]["total"]) == (None, LINES)
    assert megabytes(gateway, "VmHWM") - before < GROWTH


def test_two_hundred_megabytes(gateway: Gateway, tmp_path: Path) -> None:
    size = form(tmp_path / "form", 2100, 100_000)
    assert size > 200 * 1024 * 1024
    before = megabytes(gateway, "VmRSS")
    status, kept = stored(gateway, tmp_path / "form", size)
    assert (status, kept["bytes"]) == (200, size - len(HEAD) - len(TAIL)), kept
    assert megabytes(gateway, "VmHWM") - before < 30
    assert begun(gateway, kept, 120)["request_counts"]["total"] == 2100
    assert megabytes(gateway, "VmHWM") - before < GROWTH


def test_an_upload_that_breaks_off_leaves_nothing(gateway: Gateway, tmp_path: Path) -> None:
    folder = tmp_path / "parley.db-files"
    for text in (HEAD + b"x" * 100_000, HEAD.replace(b"purpose", b"nothing") + b"x" + TAIL):
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
        kind = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        connection.request("POST", "/v1/files", text, kind)
        assert connection.getresponse().status == 400
        connection.close()
    assert list(folder.iterdir()) == []
