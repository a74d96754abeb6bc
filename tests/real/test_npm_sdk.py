"""OpenAI's official npm SDK asks the echo model and a model on this machine, by npm/surface.js."""

import base64
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.children import ROOT
from fixtures.parley import BUILDS, Gateway, start
from real import tiny

TEXT = "one two three"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()[:10]
PLACES = [*(("echo", build) for build, python in BUILDS.items() if python), ("tiny", "sources")]
Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def modules() -> Path:
    """Where the SDK is installed."""
    told = subprocess.run([ROOT / "scripts/npm-packages"], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return ROOT / ".cache/npm/node_modules"


@pytest.fixture(scope="module", params=PLACES, ids="-".join)
def asked(
    request: pytest.FixtureRequest, tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Gateway]]:
    """A model, and the gateway that has it; the model of this machine only on the sources, as they have its extra."""
    model, build = request.param
    served: dict[str, Any] = {"settings": {"model": str(tiny_gguf), "threads": 1, "embeddings": True}}
    if model == "echo":
        served = {"targets": ["echo/echo"]}
    config = {"models": [{"model": model, **served}]}
    running = start(BUILDS[build], tmp_path_factory.mktemp("npm"), config, {}, ())
    yield model, running
    running.stop()


@pytest.fixture
def ask(asked: tuple[str, Gateway], modules: Path) -> Ask:
    """``ask(task, *words)``: what the script prints."""
    model, gateway = asked
    node = shutil.which("node")
    assert node, "node is missing: scripts/system-packages test"

    def call(task: str, *words: str) -> dict[str, Any]:
        script = Path(__file__).parent / "npm/surface.js"
        env = {"PATH": os.environ["PATH"], "NODE_PATH": str(modules)}
        command = [node, "--no-warnings", script, gateway.url, model, task, *words]
        told = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=90)
        assert (told.returncode, told.stderr) == (0, "")
        found: dict[str, Any] = json.loads(told.stdout)
        return found

    return call


def said(asked: tuple[str, Gateway]) -> tuple[str, str]:
    """A text to send, and what that model answers."""
    return ("COUNT", tiny.COUNT) if asked[0] == "tiny" else (TEXT, TEXT)


def only(model: str) -> pytest.MarkDecorator:
    """Runs where that model is."""
    return pytest.mark.parametrize(
        "asked", [place for place in PLACES if place[0] == model], indirect=True, ids="-".join
    )


def test_chat(ask: Ask, asked: tuple[str, Gateway]) -> None:
    text, answer = said(asked)
    found = ask("chat", text)
    assert found.pop("target").endswith(f"/{asked[0]}")
    assert found == {"whole": answer, "streamed": answer, "final": answer}


@only("tiny")
def test_tools(ask: Ask) -> None:
    found = ask("tools")
    call = found["call"]
    assert found["finish_reason"] == "tool_calls"
    assert (call["name"], json.loads(call["arguments"])) == tiny.PARIS
    assert found["done"] == [list(tiny.PARIS)]
    assert found["then"] == tiny.HI


def test_responses(ask: Ask, asked: tuple[str, Gateway]) -> None:
    text, answer = said(asked)
    found = ask("responses", text)
    assert [found[name] for name in ("text", "streamed", "again", "stored")] == [answer] * 4
    assert found["numbers"] == list(range(len(found["numbers"])))
    assert found["types"] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert found["roles"] == ["user", "assistant", "user"]
    assert (found["gone"]["name"], found["gone"]["status"]) == ("NotFoundError", 404)


def test_conversations(ask: Ask, asked: tuple[str, Gateway]) -> None:
    found = ask("conversations", said(asked)[0])
    assert found == {"roles": ["user", "user", "assistant"], "one": "before", "metadata": {"c": "d"}, "deleted": True}


def test_embeddings(ask: Ask) -> None:
    found = ask("embeddings", "<|assistant|> one")
    assert any(found["plain"])
    assert found["packed"] == pytest.approx(found["plain"], abs=1e-6)
    data = base64.b64decode(found["raw"])
    assert list(struct.unpack(f"<{len(data) // 4}f", data)) == pytest.approx(found["plain"], abs=1e-6)


def test_completions(ask: Ask, asked: tuple[str, Gateway]) -> None:
    text, answer = ("<|assistant|>", tiny.HI) if asked[0] == "tiny" else (TEXT, TEXT)
    assert ask("completions", text) == {"whole": answer, "streamed": answer}


@only("echo")
def test_images_audio_and_judgements(ask: Ask) -> None:
    found = ask("media", TEXT)
    assert (found.pop("image")[:10], found.pop("edited")[:10]) == (PNG, PNG)
    assert found == {
        "events": ["image_generation.partial_image", "image_generation.completed"],
        "kind": "audio/wav",
        "written": TEXT,
        "heard": TEXT,
        "flagged": False,
    }


def test_models(ask: Ask, asked: tuple[str, Gateway]) -> None:
    found = ask("models")
    assert (asked[0] in found["listed"], found["one"]) == (True, asked[0])


def test_errors(ask: Ask, asked: tuple[str, Gateway]) -> None:
    found = ask("errors")
    told = {"name": "InternalServerError", "status": 501, "code": "not_implemented", "type": "not_implemented_error"}
    refused = told | {"param": None, "retry": "false"}
    assert [found[name] for name in ("upload", "list", "tune", "store")] == [refused] * 4
    assert (found["nobody"]["name"], found["nobody"]["code"]) == ("NotFoundError", "model_not_found")
    assert (found["field"]["status"], found["field"]["param"]) == (400, "dimensions")
