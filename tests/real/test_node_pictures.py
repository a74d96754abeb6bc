"""Pictures through a node, and a gateway that is the worker of other nodes."""

import json
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fixtures.parley import Gateway, Start
from real.node_parts import SAID, Node
from real.worker import PIXEL, Worker, worker


@pytest.fixture(scope="module")
def node(parley_for_module: Start, tmp_path_factory: pytest.TempPathFactory) -> Node:
    store = tmp_path_factory.mktemp("node") / "parley.db"
    config = {"node": {"id": "node-a"}, "addresses": {"fetch": ["127.0.0.1"]}}
    return Node(parley_for_module(config, args=["--store", f"sqlite:///{store}"]))


@pytest.fixture
def drawing(node: Node) -> Iterator[Worker]:
    with worker() as made:
        node.register(made, "SuperImage", kind=1, project="Pictures")
        yield made


def test_pictures(node: Node, drawing: Worker) -> None:
    body = {"project": "Pictures", "model": "SuperImage", "prompt": "otter", "n": 1, "size": "64x64", "step": 9}
    answer = node.post("image/gen/proxy", {**body, "width": 64, "height": 64, "response_format": "b64_json"})
    assert answer == (200, {"created": 5, "data": [{"b64_json": "QUJD"}]})
    del body["project"]
    assert drawing.sent[0].json == {**body, "width": 64, "height": 64, "response_format": "b64_json"}
    drawing.picture = {"b64_json": "", "url": "https://example.org/x.png", "revised_prompt": "an otter"}
    answer = node.post("image/gen", {"node_id": "node-a", "project": "Pictures", **body})
    shown = {"url": "https://example.org/x.png", "revised_prompt": "an otter"}
    assert answer == (200, {"created": 5, "data": [shown]})
    found = httpx2.post(
        f"{node.gateway.url}/v1/images/generations", json={"model": "node/Pictures/SuperImage", "prompt": "otter"}
    )
    assert found.json()["data"] == [shown]


def test_a_picture_on_this_disk_leaves_as_data(node: Node, drawing: Worker, tmp_path: Path) -> None:
    file = tmp_path / "out put.png"
    file.write_bytes(PIXEL)
    for url in (str(file), f"file://{str(file).replace(' ', '%20')}"):
        drawing.picture = {"url": url}
        answer = node.post("image/gen/proxy", {"project": "Pictures", "model": "SuperImage", "prompt": "x"})
        assert answer.body["data"] == [{"b64_json": b64encode(PIXEL).decode()}]


@pytest.mark.parametrize("name", ["/etc/passwd", "secret.png", "none.png", "images", "relative.png"])
def test_what_is_no_picture_does_not_leave(node: Node, drawing: Worker, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(b"-----BEGIN PRIVATE KEY-----")
    (tmp_path / "images").mkdir()
    url = name if name in ("/etc/passwd", "relative.png") else str(tmp_path / name)
    drawing.picture = {"url": url}
    answer = node.post("image/gen/proxy", {"project": "Pictures", "model": "SuperImage", "prompt": "x"})
    assert (answer.status, answer.body["code"]) == (500, 1007)
    assert name.strip("/") not in json.dumps(answer.body)


@pytest.fixture
def editing(node: Node) -> Iterator[Worker]:
    with worker() as made:
        node.register(made, "SuperImage", kind=2, project="Edits")
        yield made


def parts_of(sent: Any) -> dict[str, tuple[str | None, bytes]]:
    from parley.multipart import parse

    parts = parse(sent.body, sent.headers["content-type"].encode())
    return {part.name: (part.filename, bytes(part.data)) for part in parts}


def test_an_edit_by_a_form(node: Node, editing: Worker) -> None:
    url = f"{node.gateway.url}/api/v0/image/edit/proxy?project=Edits&model=SuperImage"
    fields = {"prompt": "a beret", "n": "1", "model": "other"}
    answer = httpx2.post(url, data=fields, files={"image": ("a.png", PIXEL, "image/png")})
    assert answer.json()["data"] == [{"b64_json": "QUJD"}]
    assert parts_of(editing.sent[0]) == {
        "prompt": (None, b"a beret"),
        "n": (None, b"1"),
        "model": (None, b"SuperImage"),
        "image": ("a.png", PIXEL),
    }
    pinned = f"{node.gateway.url}/api/v0/image/edit?project=Edits&model=SuperImage"
    assert httpx2.post(pinned, files={"image": ("a.png", PIXEL)}).json()["message"] == "empty node_id"
    assert httpx2.post(f"{pinned}&node_id=node-a", files={"image": ("a.png", PIXEL)}).status_code == 200
    assert httpx2.post(f"{pinned}&node_id=node-b", files={"image": ("a.png", PIXEL)}).json()["code"] == 1007


def test_an_edit_without_a_form(node: Node, editing: Worker) -> None:
    found = node.post("image/edit/proxy?project=Edits&model=SuperImage", "nothing", **{"content-type": "text/plain"})
    assert found == (422, {"code": 1001, "message": "Parameter error"})
    assert editing.sent == []


def edited(node: Node, image: str, **more: Any) -> Any:
    body = {"project": "Edits", "model": "SuperImage", "image": image, "prompt": "a beret", "n": 2, **more}
    return node.post("image/edit/proxy", body)


def test_an_edit_in_json(node: Node, editing: Worker) -> None:
    data = f"data:image/png;base64,{b64encode(PIXEL).decode()}"
    assert edited(node, data, width=64).status == 200
    assert edited(node, f"{editing.url}/picture.png", mask=data).status == 200
    first, second = (parts_of(sent) for sent in editing.sent)
    assert first == {
        "model": (None, b"SuperImage"),
        "prompt": (None, b"a beret"),
        "n": (None, b"2"),
        "width": (None, b"64"),
        "image": ("image.png", PIXEL),
    }
    assert (second["image"], second["mask"]) == (("image.png", PIXEL), ("mask.png", PIXEL))
    assert "/picture.png" in editing.looks


@pytest.mark.parametrize(
    ("image", "status", "words"),
    [
        ("http://127.0.0.1:{port}/elsewhere", 400, "redirect"),
        ("http://127.0.0.1:{port}/large", 413, "larger than"),
        ("http://127.0.0.1:{port}/none", 400, "status 404"),
        ("http://localhost:{port}/picture.png", 400, "may not be fetched"),
        ("http://0x7f000001:{port}/picture.png", 400, "may not be fetched"),
        ("http://[::ffff:127.0.0.1]:{port}/picture.png", 400, "may not be fetched"),
        ("http://10.0.0.1/picture.png", 400, "may not be fetched"),
        ("http://169.254.169.254/latest", 400, "may not be fetched"),
        ("http://user@127.0.0.1:{port}/picture.png", 400, "may not be fetched"),
        ("file:///etc/passwd", 400, "may not be fetched"),
        ("data:image/png;base64,***", 400, "base64"),
        ("", 400, "image is required"),
    ],
)
def test_pictures_that_are_not_fetched(node: Node, editing: Worker, image: str, status: int, words: str) -> None:
    found = edited(node, image.format(port=editing.server_address[1]))
    assert (found.status, words in found.body["message"]) == (status, True), found
    assert editing.sent == []
    assert "/picture.png" not in editing.looks


CURL = ["curl", "-sS", "--max-time", "20"]
# As the document of the model interface prints them, at the address where a worker stands here.
PRINTED = {
    "chat/completions": """{
    "model": "Llama3-8B",
    "messages": [
      {
        "role": "system",
        "content": "You are a helpful assistant."
      },
      {
        "role": "user",
        "content": "Hello!"
      }
    ],
    "stream": false
  }""",
    "images/generations": """{
    "model": "SuperImage",
    "prompt": "A cute baby sea otter",
    "n": 1,
    "size": "1024x1024",
    "width": 1024,
    "height": 1024
  }""",
    "images/edits": """{
    "model": "SuperImage",
    "image": "https://...",
    "prompt": "A cute baby sea otter wearing a beret",
    "n": 1,
    "size": "1024x1024",
    "width": 1024,
    "height": 1024
  }""",
}


@pytest.fixture
def otters(parley_server: Start) -> Iterator[tuple[Gateway, Worker]]:
    """A Parley that is a worker itself, of models that are at another worker."""
    with worker() as made:
        models = [
            {"model": "Llama3-8B", "targets": ["echo/echo"]},
            {"model": "SuperImage", "targets": ["node/a/SuperImage"]},
        ]
        gateway = parley_server({"models": models, "addresses": {"fetch": ["127.0.0.1"]}})
        told = [
            {"model": "SuperImage", "api": f"{made.url}/v1/images/generations", "type": 1, "cid": "1"},
            {"model": "SuperImage", "api": f"{made.url}/v1/images/edits", "type": 2, "cid": "2"},
        ]
        assert Node(gateway).post("ai/project/register", {"project": "a", "models": told}).status == 200
        yield gateway, made


def printed(gateway: Gateway, path: str, **changes: str) -> tuple[str, Any]:
    """The headers and the object of the printed line."""
    body = PRINTED[path]
    for found, written in changes.items():
        assert found in body
        body = body.replace(found, written)
    line = [*CURL, "-i", f"{gateway.url}/node/v1/{path}", "-H", "Content-Type: application/json", "-d", body]
    done = subprocess.run(line, capture_output=True, check=True, text=True)
    head, _, answer = done.stdout.partition("\r\n\r\n" if "\r\n\r\n" in done.stdout else "\n\n")
    return head, json.loads(answer)


def test_the_printed_lines(otters: tuple[Gateway, Worker]) -> None:
    gateway, made = otters
    head, answer = printed(gateway, "chat/completions")
    assert "content-type: application/json\n" in head.replace("\r", "") + "\n"
    assert (answer["code"], answer["message"]) == (0, "success")
    assert answer["choices"][0]["message"]["content"] == "Hello!"
    assert set(answer["usage"]) >= {"prompt_tokens", "completion_tokens", "total_tokens"}
    head, answer = printed(gateway, "images/generations")
    assert (answer["code"], answer["message"], answer["data"]) == (0, "success", [{"b64_json": "QUJD"}])
    sent = {"model": "SuperImage", "prompt": "A cute baby sea otter", "n": 1, "size": "1024x1024"}
    assert made.sent[-1].json == {**sent, "width": 1024, "height": 1024}
    head, answer = printed(gateway, "images/edits", **{"https://...": f"{made.url}/picture.png"})
    assert (answer["code"], answer["message"], answer["data"]) == (0, "success", [{"b64_json": "QUJD"}])
    assert parts_of(made.sent[-1])["image"] == ("image.png", PIXEL)
    head, answer = printed(gateway, "images/edits")
    assert answer["code"] == 1001
    done = subprocess.run([*CURL, f"{gateway.url}/node/v1/models"], capture_output=True, check=True)
    listed = json.loads(done.stdout)
    assert listed["project"] == "parley"
    urls = {(one["model"], one["url"].removeprefix(gateway.url)) for one in listed["data"]}
    assert ("Llama3-8B", "/node/v1/chat/completions") in urls
    assert ("SuperImage", "/node/v1/images/edits") in urls
    assert ("SuperImage", "/node/v1/chat/completions") not in urls or "echo" in str(urls)


def test_a_worker_streams_as_usual_does(otters: tuple[Gateway, Worker]) -> None:
    gateway, _ = otters
    body = {"model": "Llama3-8B", "messages": SAID, "stream": True}
    answer = httpx2.post(f"{gateway.url}/node/v1/chat/completions", json=body)
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.text.endswith("data: [DONE]\n\n")
    refused = httpx2.post(f"{gateway.url}/node/v1/chat/completions", json={"model": "none", "messages": SAID})
    assert (refused.status_code, refused.headers["content-type"]) == (404, "application/json")
    assert refused.json()["code"] == 1007 or refused.json()["code"] == 1017


def test_one_node_is_the_worker_of_another(otters: tuple[Gateway, Worker], parley_server: Start) -> None:
    gateway, _ = otters
    node = Node(parley_server({}))
    assert node.register_model(f"{gateway.url}/node/v1/chat/completions", "Llama3-8B").status == 200
    answer = node.chat("Llama3-8B")
    assert (answer.status, answer.body["choices"][0]["message"]["content"]) == (200, "hi")
    refused = node.register_model(f"{gateway.url}/node/v1/chat/completions", "none")
    assert refused.status == 200
    assert node.chat("none").body["code"] in (1007, 1017)
