"""The official npm SDKs stream tools and pictures, each from providers of nine wires, by npm/providers.js."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.children import ROOT
from fixtures.parley import Gateway, start
from grid.features import words
from grid.parts import PNG
from grid.upstream import Upstream, configuration

# Providers that see, and call tools.
PROVIDERS = ("openai", "openai_chat", "azure", "anthropic", "gemini", "ollama", "mistral", "cohere", "bedrock")
STOPS = {
    "openai": ("tool_calls", "stop"),
    "anthropic": ("tool_use", "end_turn"),
    "genai": ("STOP", "STOP"),
    "ollama": ("stop", "stop"),
}


@pytest.fixture(scope="module")
def modules() -> Path:
    """Where the SDKs are installed."""
    told = subprocess.run([ROOT / "scripts/npm-packages"], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return ROOT / ".cache/npm/node_modules"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = start(sys.executable, tmp_path_factory.mktemp("npm"), configuration(upstream, []), {}, ())
    yield running
    running.stop()


@pytest.mark.parametrize("sdk", STOPS)
def test_tools_and_pictures_are_streamed(gateway: Gateway, upstream: Upstream, modules: Path, sdk: str) -> None:
    node = shutil.which("node")
    assert node, "node is missing: scripts/system-packages test"
    script = Path(__file__).parent / "npm/providers.js"
    command = [node, "--no-warnings", script, gateway.url, sdk, PNG, *PROVIDERS]
    env = {"PATH": os.environ["PATH"], "NODE_PATH": str(modules)}
    told = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert (told.returncode, told.stderr) == (0, "")
    found = json.loads(told.stdout)
    called, said = STOPS[sdk]
    for name in PROVIDERS:
        assert found[name]["tools"] == {"text": "", "calls": [["get_weather", {"city": "Paris"}]], "stop": called}, name
        assert found[name]["image"] == {"text": words(name), "calls": [], "stop": said}, name
    seen = upstream.take()
    assert len(seen) == 2 * len(PROVIDERS)
    assert all(one.stream for one in seen)
    for asked, pictured in zip(seen[::2], seen[1::2], strict=True):
        assert list(asked.tools) == ["get_weather"]
        ((kind, data),) = pictured.images
        assert (kind in ("image/png", ""), data.replace("-", "+").replace("_", "/")) == (True, PNG)
