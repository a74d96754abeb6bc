"""Whether requests are slower where the ledger is long: one gateway on a store with many rows, one on an empty one,
asked in turns; in every other turn questions about usage are asked meanwhile.

Usage: python -m bench.ledger_load FULL_STORE [TURNS]      (FULL_STORE: a SQLite file made by bench.ledger)
"""

import contextlib
import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from bench.process import free_port

EACH = 150
BODY = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "hi"}]}).encode()
QUESTIONS = ("usage?by=key&from=90d", "usage?by=day,model&from=90d", "requests?limit=100")


@contextlib.contextmanager
def gateway(store: Path, said: Path) -> Iterator[int]:
    """The port of a gateway on that store."""
    port = free_port()
    command = [sys.executable, "-m", "parley", "serve", "--store", f"sqlite:///{store}", "--no-discover"]
    with said.open("wb") as out:
        child = subprocess.Popen([*command, "--listen", f"127.0.0.1:{port}"], stdout=out, stderr=out)
    try:
        while not ready(port):
            time.sleep(0.1)
            assert child.poll() is None, said.read_text()
        yield port
    finally:
        child.terminate()
        child.wait()


def ready(port: int) -> bool:
    """Whether it answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def turn(port: int) -> list[float]:
    """Milliseconds of some requests, one after the other on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    took = []
    for _ in range(EACH):
        begun = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", BODY, {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        took.append((time.perf_counter() - begun) * 1000)
        assert answer.status == 200
    connection.close()
    return took


@contextlib.contextmanager
def questions(port: int) -> Iterator[list[float]]:
    """Somebody asks about usage all the time; milliseconds of each question."""
    over = threading.Event()
    took: list[float] = []

    def ask() -> None:
        while not over.is_set():
            for question in QUESTIONS:
                begun = time.perf_counter()
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/admin/api/{question}", timeout=60) as answer:
                    answer.read()
                took.append((time.perf_counter() - begun) * 1000)
            over.wait(0.05)

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        yield took
    finally:
        over.set()
        asker.join()


def told(name: str, took: list[float]) -> None:
    """One line of what came out."""
    ordered = sorted(took)
    line = " ".join(f"p{of} {ordered[int(len(ordered) * of / 100)]:8.2f} ms" for of in (50, 90, 99))
    sys.stdout.write(f"{name:34} {len(ordered):6} {line}\n")
    sys.stdout.flush()


def main(full: Path, turns: int) -> None:
    """All turns, then the table."""
    took: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with gateway(full, place / "full.log") as long, gateway(place / "empty.db", place / "empty.log") as short:
            ports = {"many rows": long, "empty": short}
            for port in ports.values():
                turn(port)
            for number in range(turns):
                for name, port in ports.items() if number % 2 else reversed(ports.items()):
                    took.setdefault(name, []).extend(turn(port))
                    with questions(port) as asked:
                        took.setdefault(f"{name}, questions meanwhile", []).extend(turn(port))
                    took.setdefault(f"questions to {name}", []).extend(asked)
    for name in sorted(took):
        told(name, took[name])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10)
