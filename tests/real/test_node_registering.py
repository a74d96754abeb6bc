"""Who may register what at a node, how long it holds, and what a node tells of itself."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fixtures.children import bare_environment, eventually
from fixtures.parley import Start
from real.node_parts import API, NOT_HERE, OK, ONE, PROJECT, Node, bad
from real.worker import Worker, worker

NO_IP = "parse ip from model api failed"
NOT_EXISTED = {"code": 0, "message": "not existed"}


@pytest.fixture(scope="module")
def node(parley_for_module: Start) -> Node:
    return Node(parley_for_module({"node": {"id": "node-a", "probe": "1h"}}))


@pytest.fixture
def made() -> Iterator[Worker]:
    with worker() as running:
        yield running


@pytest.mark.parametrize(
    ("path", "body", "code", "message"),
    [
        ("ai/project/register", "{", 1002, "Parsing error"),
        ("ai/project/register", "[]", 1002, "Parsing error"),
        ("ai/project/register", {"project": 5}, 1002, "Parsing error"),
        ("ai/project/register", {"project": "p", "models": {}}, 1002, "Parsing error"),
        ("ai/project/register", {"project": "p", "models": [1]}, 1002, "Parsing error"),
        ("ai/project/register", {"project": "p", "models": [{**ONE, "type": "0"}]}, 1002, "Parsing error"),
        ("ai/project/register", {"project": "p", "models": [{**ONE, "cid": 1}]}, 1002, "Parsing error"),
        ("ai/project/register", {"project": "p", "models": [ONE], "ttl": "1"}, 1002, "Parsing error"),
        ("ai/project/register", {"project": "p", "models": [ONE], "ttl": 0}, 1001, "ttl must be seconds above 0"),
        ("ai/project/register", {}, 1001, "project name can not be empty"),
        ("ai/project/register", {"project": "", "models": [ONE]}, 1001, "project name can not be empty"),
        ("ai/project/register", {"project": "p", "models": [{"api": API}]}, 1001, "model name can not be empty"),
        ("ai/project/register", {"project": "p", "models": [{"model": "m"}]}, 1001, "model api can not be empty"),
        ("ai/project/register", {"project": "p", "models": [ONE, {**ONE, "api": "http://h/x"}]}, 1001, NO_IP),
        ("ai/model/register", {}, 1001, "project name can not be empty"),
        ("ai/model/register", {"project": "p"}, 1001, "model name can not be empty"),
        ("ai/model/register", {"project": "p", "model": "m"}, 1001, "model api can not be empty"),
        ("ai/model/register", {"project": "p", "model": "m", "api": "nothing"}, 1001, "invalid URL for the model api"),
        ("ai/project/unregister", {}, 1001, "project name can not be empty"),
        ("ai/model/unregister", {"project": "p"}, 1001, "model name can not be empty"),
        ("ai/project/heartbeat", {}, 1001, "project name can not be empty"),
        ("ai/project/heartbeat", "x", 1002, "Parsing error"),
        ("peer", {}, 1001, "empty node_id"),
        ("host/info", "{", 1002, "Parsing error"),
        ("ai/project/peer", {"node_id": ""}, 1001, "empty node_id"),
    ],
)
def test_every_refusal(node: Node, path: str, body: Any, code: int, message: str) -> None:
    assert node.post(path, body) == bad(code, message)
    assert node.get("ai/projects/list").body == {"data": []}


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("169.254.169.254", NOT_HERE),
        ("10.0.0.1", NOT_HERE),
        ("192.0.2.1", NOT_HERE),
        ("0.0.0.0", NOT_HERE),
        ("0x7f000001", NO_IP),
        ("2130706433", NO_IP),
        ("127.1", NO_IP),
        ("[::ffff:127.0.0.1]", NO_IP),
        ("rebinding.localtest.me", NO_IP),
        ("127.0.0.1.nip.io", NO_IP),
        ("metadata.google.internal", NO_IP),
    ],
)
def test_addresses_that_nobody_may_register(node: Node, made: Worker, host: str, said: str) -> None:
    api = f"http://{host}:{made.server_address[1]}/v1/chat/completions"
    assert node.register_model(api, "m") == bad(1001, said)
    assert made.looks == []
    assert made.sent == []
    assert node.gateway.metric("parley_rejected_total", 'reason="ssrf"') >= 1


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"x-forwarded-for": "203.0.113.9"},
        {"forwarded": "for=203.0.113.9"},
        {"via": "1.1 proxy"},
    ],
)
def test_only_programs_of_this_machine_need_no_key(node: Node, headers: dict[str, str]) -> None:
    body = {"project": "p", "models": [ONE]}
    assert node.post("ai/project/register", body, **headers) == bad(1001, NOT_HERE)
    assert node.post("ai/project/unregister", {"project": "p"}, **headers) == bad(1001, NOT_HERE)


def test_our_own_address_is_no_worker(node: Node) -> None:
    answer = node.register_model(f"{node.gateway.url}/v1/chat/completions", "loop")
    assert answer == bad(1001, "the url is the node's own address")


def test_the_forms_of_older_nodes(node: Node) -> None:
    body = {"PROJECT": "old", "Models": [{"Model": "a", "API": API}, {"Model": "b", "API": API, "Type": 1}]}
    assert node.post("ai/project/register", body) == (200, OK)
    assert node.get("ai/projects/models?project=old").body == {"data": ["a", "b"]}
    told = node.post("ai/project/peer", {"node_id": "node-a"}).body["data"]["old"]
    assert told == [
        {"Model": "a", "API": API, "Type": 0, "CID": "", "Idle": 0},
        {"Model": "b", "API": API, "Type": 1, "CID": "", "Idle": 0},
    ]
    assert node.post("ai/project/register", {"project": "old", "models": [{"model": "b", "api": API}]}) == (200, OK)
    assert node.get("ai/projects/models?project=old").body == {"data": ["b"]}
    assert node.post("ai/project/register", {"project": "old"}) == (200, OK)
    assert node.get("ai/projects/list").body == {"data": []}
    assert node.post("ai/project/unregister", {"project": "old"}) == (200, NOT_EXISTED)


def test_one_model_at_a_time(node: Node) -> None:
    assert node.register_model(API, "m", cid="a") == (200, OK)
    assert node.register_model(API, "m", cid="b", type=1) == (200, OK)
    assert node.post("ai/model/unregister", {"project": PROJECT, "model": "m"}) == (200, NOT_EXISTED)
    assert node.post("ai/model/unregister", {"project": PROJECT, "model": "m", "cid": "a"}) == (200, OK)
    (left,) = node.post("ai/project/peer", {"node_id": "node-a"}).body["data"][PROJECT]
    assert (left["CID"], left["Type"]) == ("b", 1)
    assert node.post("ai/project/unregister", {"project": PROJECT}) == (200, OK)
    assert node.post("ai/project/peer", {"node_id": "node-a"}).body == {"data": {}}


def test_who_a_node_is(node: Node) -> None:
    answer = node.get("id")
    assert answer.body["peer_id"] == "node-a"
    assert answer.body["protocol_version"] == "aicn/0.0.1"
    assert answer.body["agent_version"].startswith("parley/")
    assert node.post("peer", {"node_id": "node-a"}) == answer
    assert node.post("peer", {"node_id": "other"}) == (504, {"code": 1005, "message": "Processing timeout"})
    assert node.get("peers").body == {"data": ["node-a"]}
    host = node.post("host/info", {"node_id": "node-a"}).body
    assert set(host) == {"os", "cpu", "memory", "disk", "gpu"}
    assert host["os"]["os"] in ("linux", "darwin")
    assert host["memory"]["total_physical_bytes"] > 1 << 20
    assert host["cpu"][0]["total_threads"] > 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "rendezvous/peers"),
        ("GET", "swarm/peers"),
        ("GET", "swarm/addrs"),
        ("GET", "pubsub/peers"),
        ("GET", "bootstrap/list"),
        ("POST", "swarm/connect"),
        ("POST", "swarm/disconnect"),
        ("POST", "bootstrap/add"),
        ("POST", "bootstrap/rm"),
    ],
)
def test_what_only_libp2p_has(node: Node, method: str, path: str) -> None:
    answer = httpx2.request(method, f"{node.gateway.url}/api/v0/{path}")
    assert (answer.status_code, answer.json()) == (500, {"code": 1011, "message": "Unsupported function"})


def test_questions_that_are_wrong(node: Node) -> None:
    assert node.get("ai/projects/list?number=-1") == bad(1001, "invalid number")
    assert node.get("ai/projects/list?number=x") == bad(1002, "Parsing error")
    assert node.get("ai/projects/models") == bad(1001, "empty project")
    assert node.get("ai/projects/peers") == bad(1001, "empty project")
    assert node.get("ai/projects/peers?project=p") == bad(1001, "empty model")
    assert node.get("none").status == 404
    assert node.get("none").body["code"] == 1001
    assert node.get("chat/completion").status == 405


def test_metrics_are_where_nodes_have_them(node: Node) -> None:
    text = httpx2.get(f"{node.gateway.url}/api/v0/debug/metrics/prometheus").text
    assert "# TYPE parley_requests_total counter" in text


def test_a_time_to_live_and_a_heartbeat(node: Node) -> None:
    node.post("ai/project/register", {"project": "brief", "models": [ONE], "ttl": 600})
    node.post("ai/project/register", {"project": "lasting", "models": [ONE]})
    assert node.post("ai/project/heartbeat", {"project": "none"}) == (200, NOT_EXISTED)
    for _ in range(3):
        assert node.post("ai/project/heartbeat", {"project": "brief"}) == (200, OK)
    node.post("ai/project/register", {"project": "brief", "models": [ONE], "ttl": 2})
    eventually(lambda: node.get("ai/projects/list").body == {"data": ["lasting"]}, 30, "the end of its time")
    assert node.post("ai/project/unregister", {"project": "lasting"}) == (200, OK)


def test_who_was_told_our_name_may_use_it_tomorrow(parley_server: Start, tmp_path: Path) -> None:
    store = ["--store", f"sqlite:///{tmp_path}/parley.db"]
    names = []
    for _ in range(2):
        node = Node(parley_server({}, args=store))
        names.append(node.id)
        node.gateway.stop()
    assert names[0] == names[1]


def test_a_large_project_may_be_registered_again(node: Node) -> None:
    models = [{"model": f"m{number}", "api": "http://127.0.0.1:1/x"} for number in range(5100)]
    for _ in range(2):
        assert node.post("ai/project/register", {"project": "Large", "models": models}) == (200, OK)
    more = {"project": "More", "models": models}
    assert node.post("ai/project/register", more) == bad(1001, "more than 10000 models are registered")
    assert node.post("ai/project/unregister", {"project": "Large"}) == (200, OK)


def test_registrations_survive_a_restart(parley_server: Start, made: Worker, tmp_path: Path) -> None:
    store = ["--store", f"sqlite:///{tmp_path}/parley.db"]
    first = Node(parley_server({}, args=store))
    first.register(made, "m", "other")
    assert first.post("ai/model/unregister", {"project": PROJECT, "model": "other"}).status == 200
    name = first.id
    first.gateway.stop()
    second = Node(parley_server({}, args=store))
    assert second.id == name
    assert second.get(f"ai/projects/models?project={PROJECT}").body == {"data": ["m"]}
    assert second.chat("m").status == 200
    second.gateway.stop()
    assert made.sent[-1].json["model"] == "m"


def test_processes_of_one_gateway_share_registrations(parley_server: Start, made: Worker, tmp_path: Path) -> None:
    store = ["--store", f"sqlite:///{tmp_path}/parley.db", "--workers", "2"]
    node = Node(parley_server({}, args=store))
    node.register(made, "m")
    # Whoever is told that it is registered may ask any of them at once.
    assert {node.chat("m").status for _ in range(12)} == {200}
    assert node.post("ai/project/unregister", {"project": PROJECT}).status == 200
    assert {node.chat("m").status for _ in range(12)} == {500}


def test_the_command_lists_nodes(parley_server: Start, parley_python: str, made: Worker, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/parley.db"
    config = {"models": [{"model": "fast", "targets": ["echo/echo"], "share": True}]}
    node = Node(parley_server(config, args=["--store", store]))
    node.register(made, "m", cid="gpu-1")
    assert node.chat("m").status == 200

    def run(*args: str) -> Any:
        command = [parley_python, "-m", "parley", "nodes", *args]
        return subprocess.run(
            command, env=bare_environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False
        )

    told = json.loads(run("--json", "--url", node.gateway.url).stdout)["nodes"]
    (own,) = told
    assert (own["node"], own["self"]) == (node.id, True)
    found = {(model["project"], model["model"], model["operation"]) for model in own["models"]}
    assert (PROJECT, "m", "chat") in found
    assert ("parley", "fast", "chat") in found
    (known,) = (model for model in own["models"] if model["model"] == "m")
    assert (known["cid"], known["ok"], known["in_flight"], known["calls"]) == ("gpu-1", True, 0, 1)
    assert known["latency"] > 0
    table = run("--url", node.gateway.url).stdout.splitlines()
    assert table[0].split() == ["NODE", "PROJECT", "MODEL", "TYPE", "IN", "FLIGHT", "LATENCY", "HEALTH", "SINCE"]
    (line,) = (line for line in table if "gpu-1" in line)
    assert f"{node.id} (this one)" in line
    assert " ok " in line
    node.gateway.stop()
    gone = run("--url", node.gateway.url)
    assert (gone.returncode, gone.stdout) == (6, "")
    (kept,) = json.loads(run("--json", "--stored", "--store", store).stdout)["nodes"]
    assert [(model["model"], model["ok"]) for model in kept["models"]] == [("m", None)]


def test_a_changed_configuration_holds_for_nodes_too(parley_server: Start, made: Worker) -> None:
    node = Node(parley_server({"addresses": {"nodes": []}}))
    api = f"{made.url}/v1/chat/completions"
    assert node.register_model(api, "m") == bad(1001, NOT_HERE)
    models = "models: [{model: fast, targets: [node/DecentralGPT/m]}]"
    node.gateway.path.write_text(f"addresses: {{nodes: [127.0.0.0/8]}}\n{models}\n")
    eventually(lambda: node.register_model(api, "m").status == 200, 30, "the new configuration")
    assert node.openai("fast").headers["x-parley-target"] == f"node/{PROJECT}/m"
    node.gateway.path.write_text("models: []\n")
    eventually(lambda: node.openai("fast").status_code == 404, 30, "the next one")
    assert node.openai(f"node/{PROJECT}/m").status_code == 200
