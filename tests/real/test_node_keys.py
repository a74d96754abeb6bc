"""Keys of workers: whose a project is, and who may register what with which."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.children import bare_environment, eventually
from fixtures.parley import Start
from real.node_parts import NOT_HERE, OK, ONE, PROJECT, SAID, Node, bad
from real.worker import Worker, worker


@pytest.fixture
def made() -> Iterator[Worker]:
    with worker() as running:
        yield running


def keys(python: str, folder: Path, *args: str) -> Any:
    command = [python, "-m", "parley", "keys", *args, "--json", "--store", f"sqlite:///{folder}/parley.db"]
    done = subprocess.run(command, env=bare_environment(folder), cwd=folder, capture_output=True, check=True)
    return json.loads(done.stdout)["key"]


@pytest.fixture(scope="module")
def guarded(
    parley_for_module: Start, parley_python: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Node, dict[str, dict[str, str]]]:
    """A node with keys, and their headers."""
    folder = tmp_path_factory.mktemp("keys")
    create = {
        "caller": [],
        "root": ["--kind", "admin"],
        "gpu": ["--kind", "node"],
        "other": ["--kind", "node"],
        "narrow": ["--kind", "node", "--models", "node/Mine/*"],
    }
    shown = {
        name: {"authorization": f"Bearer {keys(parley_python, folder, 'create', name, *more)}"}
        for name, more in create.items()
    }
    config = {
        "node": {"probe": "1h", "projects": {"Reserved*": ["gpu"], "Both": ["gpu", "other"]}},
        "addresses": {"nodes": ["127.0.0.0/8", "192.0.2.0/24"]},
    }
    return Node(parley_for_module(config, args=["--store", f"sqlite:///{folder}/parley.db"])), shown


FAR = {"model": "far", "api": "http://192.0.2.7:1/v1/chat/completions"}


def test_an_address_elsewhere_takes_a_key_for_nodes(guarded: tuple[Node, dict[str, dict[str, str]]]) -> None:
    node, shown = guarded
    body = {"project": "Far", "models": [FAR]}
    assert node.post("ai/project/register", body) == bad(1001, NOT_HERE)
    assert node.post("ai/project/register", body, **shown["caller"]) == bad(1001, NOT_HERE)
    wrong = node.post("ai/project/register", body, authorization="Bearer wrong")
    assert wrong == (401, {"code": 1010, "message": "a valid key is required"})
    near = {"project": "Far", "models": [ONE]}
    assert node.post("ai/project/register", near, authorization="Bearer wrong") == wrong
    assert node.post("ai/project/register", body, **shown["gpu"]) == (200, OK)
    metadata = {"project": "Far", "models": [{"model": "m", "api": "http://169.254.169.254/x"}]}
    assert node.post("ai/project/register", metadata, **shown["gpu"]) == bad(1001, NOT_HERE)
    assert node.post("ai/project/unregister", {"project": "Far"}, **shown["gpu"]) == (200, OK)


def test_loopback_takes_none_even_where_callers_need_one(
    guarded: tuple[Node, dict[str, dict[str, str]]], made: Worker
) -> None:
    node, shown = guarded
    node.register(made, "m")
    assert node.chat("m") == (401, {"code": 1010, "message": "a valid key is required"})
    body = {"project": PROJECT, "model": "m", "messages": SAID}
    assert node.post("chat/completion/proxy", body, **shown["caller"]).status == 200
    assert node.get("id") == (401, {"code": 1010, "message": "a valid key is required"})
    assert node.get("id", **shown["caller"]).status == 200
    assert node.post("ai/project/unregister", {"project": PROJECT}) == (200, OK)


def test_what_a_key_registered_is_its_own(guarded: tuple[Node, dict[str, dict[str, str]]]) -> None:
    node, shown = guarded
    mine = {"project": "Owned", "models": [ONE]}
    taken = (403, {"code": 1010, "message": "it was registered by another key"})
    assert node.post("ai/project/register", mine, **shown["gpu"]) == (200, OK)
    for headers in ({}, shown["other"]):
        assert node.post("ai/project/register", mine, **headers) == taken
        assert node.post("ai/project/register", {"project": "Owned"}, **headers) == taken
        assert node.post("ai/project/unregister", {"project": "Owned"}, **headers) == taken
        assert node.post("ai/model/register", {"project": "Owned", **ONE}, **headers) == taken
        assert node.post("ai/model/unregister", {"project": "Owned", "model": "m"}, **headers) == taken
        assert node.post("ai/project/heartbeat", {"project": "Owned"}, **headers) == taken
        # Nor does a new place of its model, or another model, take part in it.
        assert node.post("ai/model/register", {"project": "Owned", **ONE, "cid": "b"}, **headers) == taken
        assert node.post("ai/model/register", {"project": "Owned", **ONE, "model": "n"}, **headers) == taken
    assert node.post("ai/model/register", {"project": "Owned", **ONE, "cid": "b"}, **shown["gpu"]) == (200, OK)
    assert node.post("ai/project/register", mine, **shown["gpu"]) == (200, OK)
    assert node.post("ai/project/unregister", {"project": "Owned"}, **shown["root"]) == (200, OK)


def test_a_project_without_an_owner_is_the_first_keys(guarded: tuple[Node, dict[str, dict[str, str]]]) -> None:
    node, shown = guarded
    body = {"project": "Free", "models": [ONE]}
    taken = (403, {"code": 1010, "message": "it was registered by another key"})
    assert node.post("ai/project/register", body) == (200, OK)
    assert node.post("ai/model/register", {"project": "Free", **ONE, "cid": "b"}) == (200, OK)
    assert node.post("ai/project/register", body, **shown["gpu"]) == (200, OK)
    assert node.post("ai/project/register", body) == taken
    assert node.post("ai/project/unregister", {"project": "Free"}, **shown["gpu"]) == (200, OK)


def test_keys_that_share_a_project_have_each_their_part(guarded: tuple[Node, dict[str, dict[str, str]]]) -> None:
    node, shown = guarded
    taken = (403, {"code": 1010, "message": "it was registered by another key"})

    def there() -> list[str]:
        own = node.get("id", **shown["caller"]).body["peer_id"]
        found = node.post("ai/project/peer", {"node_id": own}, **shown["caller"]).body["data"]
        return sorted(one["CID"] for one in found.get("Both", []))

    mine, theirs = [{"project": "Both", "models": [{**ONE, "cid": cid}]} for cid in ("a", "b")]
    assert node.post("ai/project/register", mine, **shown["gpu"]) == (200, OK)
    assert node.post("ai/project/register", theirs, **shown["other"]) == (200, OK)
    assert there() == ["a", "b"]
    assert node.post("ai/project/register", mine, **shown["other"]) == taken
    assert node.post("ai/project/unregister", {"project": "Both"}, **shown["gpu"]) == (200, OK)
    assert there() == ["b"]
    assert node.post("ai/project/unregister", {"project": "Both"}, **shown["other"]) == (200, OK)


def test_a_project_may_be_for_some_keys_alone(guarded: tuple[Node, dict[str, dict[str, str]]]) -> None:
    node, shown = guarded
    refused = (403, {"code": 1010, "message": "this project may not be registered with this key, or needs one"})
    reserved = {"project": "Reserved-1", "models": [ONE]}
    assert node.post("ai/project/register", reserved) == refused
    assert node.post("ai/project/register", reserved, **shown["other"]) == refused
    assert node.post("ai/project/register", reserved, **shown["gpu"]) == (200, OK)
    assert node.post("ai/project/unregister", {"project": "Reserved-1"}, **shown["gpu"]) == (200, OK)
    assert node.post("ai/project/register", {"project": "Else", "models": [ONE]}, **shown["narrow"]) == refused
    assert node.post("ai/project/register", {"project": "Mine", "models": [ONE]}, **shown["narrow"]) == (200, OK)
    assert node.post("ai/project/unregister", {"project": "Mine"}, **shown["narrow"]) == (200, OK)


def test_a_callers_key_for_one_model_holds_wherever_it_is(
    guarded: tuple[Node, dict[str, dict[str, str]]], made: Worker, parley_python: str
) -> None:
    node, shown = guarded
    node.register(made, "m", "other")
    folder = node.gateway.path.parent
    listed = [line for line in node.gateway.child.process.args if str(line).startswith("sqlite:")]  # type: ignore[union-attr]
    store = Path(str(listed[0]).removeprefix("sqlite:///")).parent
    one = {"authorization": f"Bearer {keys(parley_python, store, 'create', 'one', '--models', f'node/{PROJECT}/m')}"}
    assert folder != store
    body = {"project": PROJECT, "messages": SAID, "node_id": node.get("id", **shown["caller"]).body["peer_id"]}

    def asked(model: str) -> int:
        return node.post("chat/completion", {**body, "model": model}, **one).status

    eventually(lambda: asked("m") == 200, 30, "the key is known")
    assert asked("other") == 403
    assert node.post("ai/project/unregister", {"project": PROJECT}) == (200, OK)
