"""The page on Dapr does what it says: its component file, its command and its ten lines, as they are written."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.children import free_port
from fixtures.parley import Start
from fixtures.peer import Peer, peer
from real.test_dapr_sdk import answer

PAGE = (Path(__file__).parents[2] / "docs/dapr.md").read_text("utf-8").partition("## Where it is served")[0]


def block(language: str) -> str:
    """The one block of the page's beginning in that language."""
    [found] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


@pytest.fixture
def provider() -> Iterator[Peer]:
    with peer(answer) as found:
        yield found


def test_ten_lines(parley_server: Start, provider: Peer, tmp_path: Path) -> None:
    folder = tmp_path / "components"
    folder.mkdir()
    # Only the key is not told on the page.
    (folder / "openai.yaml").write_text(block("yml").replace("sk-...", "sk-test"))
    [command] = [line for line in block("sh").splitlines() if line.startswith("parley serve")]
    assert command.endswith("--components components")
    port = free_port()
    args = ["--components", str(folder), "--grpc", f"127.0.0.1:{port}"]
    running = parley_server({}, env={"OPENAI_BASE_URL": f"{provider.url}/v1"}, args=args)
    lines = block("python")
    assert len([line for line in lines.splitlines() if line]) <= 10
    done = subprocess.run(
        [sys.executable, "-c", lines],
        env={**os.environ, "DAPR_HTTP_PORT": str(running.port), "DAPR_GRPC_PORT": str(port)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "What is Dapr?\n"
    assert provider.last.body["model"] == "gpt-4o-mini"
    assert provider.last.headers["authorization"] == "Bearer sk-test"
