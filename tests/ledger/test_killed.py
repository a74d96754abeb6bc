"""A gateway that is killed while it serves: every answer that was given is in the ledger, once.

But for those that left in the very moment of the kill: the last one of each connection may not be written down yet.
"""

import http.client
import json
import signal
import sqlite3
import threading
from collections import Counter
from pathlib import Path

from fixtures.children import eventually
from fixtures.parley import Gateway, Start

SUMS = (
    "SELECT sum(requests), sum(cost), sum(input) FROM ledger_sums s JOIN ledger_courses c ON c.id = s.course"
    " WHERE span = 3600 AND c.kind = 'each'"
)
ASKED = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "one two three"}]})


def ask(gateway: Gateway, name: str) -> bool:
    """Whether it was answered."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    try:
        headers = {"content-type": "application/json", "x-request-id": name}
        connection.request("POST", "/v1/chat/completions", ASKED, headers)
        answer = connection.getresponse()
        return answer.status == 200 and bool(answer.read())
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def written(path: Path) -> Counter[str]:
    with sqlite3.connect(path) as raw:
        found = Counter(row[0] for row in raw.execute("SELECT request_id FROM ledger"))
    raw.close()
    return found


def test_every_answer_is_there_once_after_kills(parley_server: Start, tmp_path: Path) -> None:
    path = tmp_path / "parley.db"
    config = {"store": f"sqlite:///{path}", "prices": {"echo/echo": {"input": 1, "output": 2}}}
    answered: list[str] = []
    for life in range(3):
        gateway = parley_server(config)
        over = threading.Event()

        def callers(gateway: Gateway = gateway, over: threading.Event = over, life: int = life) -> None:
            number = 0
            me = threading.get_ident()
            while not over.is_set():
                number += 1
                name = f"{life}-{me}-{number}"
                if ask(gateway, name):
                    answered.append(name)

        threads = [threading.Thread(target=callers) for _ in range(4)]
        for thread in threads:
            thread.start()
        before = len(answered)
        eventually(lambda before=before: len(answered) > before + 100, 30, "answers")
        gateway.signal(signal.SIGKILL)
        gateway.child.process.wait(30)
        over.set()
        for thread in threads:
            thread.join()
    last = parley_server(config)
    wanted = set(answered)
    eventually(lambda: wanted <= written(path).keys(), 30, "all that was answered is written")
    assert last.stop() == 0
    assert set(written(path).values()) == {1}
    assert not list((tmp_path / "parley.db-ledger").iterdir())
    with sqlite3.connect(path) as raw:
        (sums,) = raw.execute(SUMS)
        (rows,) = raw.execute("SELECT count(*), sum(cost), sum(input) FROM ledger")
    raw.close()
    assert sums == rows
    assert rows[1] == rows[0] * (3 * 1 + 3 * 2) * 10**6
