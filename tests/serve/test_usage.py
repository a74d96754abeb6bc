"""The usage pages of a running gateway: sums and single requests, as JSON and CSV, for admins alone."""

import csv
import http.client
import io
import json
from typing import Any

import pytest

from fixtures.children import eventually
from fixtures.parley import Gateway, Start

KEY = {"authorization": "Bearer root"}


def ask(gateway: Gateway, path: str, method: str = "GET", body: Any = None, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def chat(gateway: Gateway, model: str, text: str) -> int:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return ask(gateway, "/v1/chat/completions", "POST", body, **KEY)[0]


def told(gateway: Gateway, path: str) -> dict[str, Any]:
    status, body = ask(gateway, path, **KEY)
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


@pytest.fixture
def gateway(parley_server: Start, tmp_path: Any) -> Gateway:
    config = {
        "store": f"sqlite:///{tmp_path}/parley.db",
        "auth": {"admin_key": "root", "required": True},
        "models": [{"model": "priced", "targets": ["echo/a"]}, {"model": "unpriced", "targets": ["echo/b"]}],
        "prices": {"echo/a": {"input": 0.15, "output": 0.6}},
    }
    made = parley_server(config)
    for model in ("priced", "priced", "unpriced"):
        assert chat(made, model, "one two three") == 200
    assert chat(made, "nothing", "x") == 404
    assert ask(made, "/v1/chat/completions", "POST", {"model": "priced"})[0] == 401
    eventually(lambda: len(told(made, "/admin/api/requests")["data"]) == 4, 30, "four requests are written down")
    return made


def test_usage_and_requests(gateway: Gateway) -> None:
    (every,) = told(gateway, "/admin/api/usage")["data"]
    assert (every["requests"], every["errors"], every["unpriced"]) == (4, 1, 1)
    assert every["cost"] == 2 * (3 * 0.15 + 3 * 0.6) / 10**6
    by_model = {row["model"]: row for row in told(gateway, "/admin/api/usage?by=model")["data"]}
    assert by_model["priced"]["cost"] == 0.0000045
    assert by_model["unpriced"]["cost"] is None
    assert by_model[""]["errors"] == 1
    assert set(told(gateway, "/admin/api/usage")["prices"]) == {"package", "version", "date"}
    status, body = ask(gateway, "/admin/api/usage?by=day,model&format=csv", **KEY)
    rows = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
    assert (status, {row["model"]: row["cost"] for row in rows}["priced"]) == (200, "0.0000045")

    page = told(gateway, "/admin/api/requests?limit=3")
    assert [row["model"] for row in page["data"]] == ["nothing", "unpriced", "priced"]
    (oldest,) = told(gateway, f"/admin/api/requests?limit=3&before={page['next']}")["data"]
    assert (oldest["model"], oldest["target"], oldest["cost"]) == ("priced", "echo/a", 0.00000225)

    assert told(gateway, "/admin/api/requests?key=auth.admin_key&operation=createChatCompletion&failed=0")["data"]
    wrong = ("requests?failed=maybe", "usage?model=a&model=b", "usage?from=2099-01-01")
    for path in (
        "usage?by=colour",
        "usage?from=x",
        "usage?colour=red",
        "requests?limit=0",
        "requests?before=zz",
        *wrong,
    ):
        status, body = ask(gateway, f"/admin/api/{path}", **KEY)
        assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_request"), path
    for path in ("usage", "requests"):
        assert ask(gateway, f"/admin/api/{path}")[0] == 401
    assert 'parley_cost_unknown_total{model="unpriced",provider="echo"} 1.0' in metrics(gateway)
    assert "parley_ledger_dropped_total 0.0" in metrics(gateway)


def test_what_was_refused_counts_for_its_model_and_makes_no_price_known(parley_server: Start, tmp_path: Any) -> None:
    gateway = parley_server(
        {
            "store": f"sqlite:///{tmp_path}/parley.db",
            "auth": {"admin_key": "root", "required": True},
            "models": [{"model": "few", "targets": ["echo/a"]}, {"model": "none", "targets": ["echo/b"]}],
            "quotas": {"models": {"few": {"requests": 1}, "echo/b": {"requests": 1}}},
        }
    )
    assert [chat(gateway, "few", "one two") for _ in range(3)] == [200, 429, 429]
    assert [chat(gateway, "echo/b", "one") for _ in range(2)] == [200, 429]
    assert chat(gateway, "nothing", "x") == 404
    eventually(lambda: len(told(gateway, "/admin/api/requests")["data"]) == 6, 60, "six requests are written down")
    found = {row["model"]: row for row in told(gateway, "/admin/api/usage?by=model")["data"]}
    assert {name: (row["requests"], row["errors"]) for name, row in found.items()} == {
        "few": (3, 2), "echo/b": (2, 1), "": (1, 1),
    }  # fmt: skip
    assert (found["few"]["cost"], found["few"]["unpriced"], found[""]["cost"]) == (None, 1, 0)
    assert [row["error"] for row in told(gateway, "/admin/api/requests?model=few")["data"]] == ["rate_limited"] * 2 + [
        None
    ]


def metrics(gateway: Gateway) -> str:
    return ask(gateway, "/metrics", **KEY)[1].decode()


def test_a_gateway_without_a_store_writes_nothing_down(parley_server: Start) -> None:
    gateway = parley_server({})
    assert chat(gateway, "echo", "x") == 200
    folder = gateway.path.parent
    assert [path.name for path in folder.rglob("*parley*") if "ledger" in path.name or path.suffix == ".db"] == []
