"""The page for operators: all of its commands, in one shell and in their order, against Parley as it stands here."""

import os
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

from fixtures.children import bare_environment, free_port
from fixtures.postgres import Postgres
from parley.keys import is_key

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "operating.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
URL = "postgresql://parley:secret@127.0.0.1/parley"
# Between blocks: what comes behind it belongs to the next one.
MARK = "=== "
SECONDS = 120


@pytest.fixture(scope="module")
def told(postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder that it was done in, and what was printed by each block."""
    folder = tmp_path_factory.mktemp("operating")
    ports = {name: str(free_port()) for name in ("4242", "4243")}

    def meant(text: str) -> str:
        text = text.replace(URL, postgres_server.url(database))
        return re.sub("|".join(ports), lambda found: ports[found[0]], text)

    database = postgres_server.fresh()
    for name, text in re.findall(r"^```yaml\n# (\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        (folder / name).write_text(meant(text))
    shim = folder / "bin/parley"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m parley "$@"\n')
    shim.chmod(0o755)
    blocks = [text for kind, text in BLOCKS if kind == "sh"]
    script = "".join(f"echo '{MARK}'\n{meant(text)}" for text in blocks)
    env = {**bare_environment(folder), "PATH": f"{shim.parent}:{os.environ['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}"]
    with (folder / "out").open("w+b") as out:
        done = subprocess.run(command, cwd=folder, env=env, stdout=out, stderr=out, timeout=SECONDS, check=False)
        out.seek(0)
        said = out.read().decode()
    logs = "\n".join(path.read_text()[-2000:] for path in sorted(folder.glob("*.log")))
    assert done.returncode == 0, f"{said[-3000:]}\n{logs}"
    return folder, [meant_back(part, ports) for part in said.split(f"{MARK}\n")[1:]]


def meant_back(text: str, ports: dict[str, str]) -> str:
    for name, port in ports.items():
        text = text.replace(port, name)
    return text


def of(said: list[str], words: str) -> str:
    """What the block printed that has these words in it."""
    blocks = [text for kind, text in BLOCKS if kind == "sh"]
    (number,) = [number for number, text in enumerate(blocks) if words in text]
    return said[number]


def test_everything_on_the_page_is_run(told: tuple[Path, list[str]]) -> None:
    _, said = told
    assert len(said) == len([kind for kind, _ in BLOCKS if kind == "sh"]) >= 12
    assert {kind for kind, _ in BLOCKS} == {"sh", "yaml", "console", "nginx"}


def test_keys_were_made_and_asked_with(told: tuple[Path, list[str]]) -> None:
    folder, said = told
    for name in ("alice", "alice.new", "ops", "prometheus", "carol"):
        assert is_key((folder / f"{name}.key").read_text().strip()), name
    made = of(said, "keys create alice")
    assert '"content":"Hello"' in made
    assert re.search(r"^alice +key_\w+ +caller", made, re.MULTILINE)
    assert '"name":"bob"' in (folder / "bob.json").read_text()
    assert '"data":[' in of(said, "bob.json")


def test_what_was_used_is_told(told: tuple[Path, list[str]]) -> None:
    folder, said = told
    used = of(said, "parley logs -n 5")
    assert '"spent": 3e-06' in used or '"spent": 0.000003' in used, used
    assert '"cost":0.000003' in used
    assert len((folder / "day.csv").read_text().splitlines()) >= 2
    assert '"status":"loaded"' in of(said, "admin/api/reload")
    assert int(of(said, "grep -c").split()[-1]) >= 10


def test_copies_hold_what_was_there(told: tuple[Path, list[str]]) -> None:
    folder, said = told
    kept = of(said, "store recover --force")
    assert re.search(r"^alice +key_", kept, re.MULTILINE)
    assert re.search(r"^prometheus +key_", kept, re.MULTILINE)
    assert re.search(r"^carol +key_", of(said, "pg_restore"), re.MULTILINE)
    assert (folder / "parley.dump").stat().st_size > 0


def test_two_gateways_hold_one_budget(told: tuple[Path, list[str]]) -> None:
    folder, _ = told
    assert (folder / "answers").read_text().split() == ["200", "200", "200", "429"]


def test_nothing_that_was_logged_holds_a_secret(told: tuple[Path, list[str]]) -> None:
    folder, said = told
    secrets = [path.read_text().strip() for path in folder.glob("*.key")]
    logs = "".join(path.read_text() for path in folder.glob("*.log")) + "".join(said)
    assert "request.end" in logs
    assert not [secret for secret in secrets if secret in logs]


def test_links_lead_somewhere() -> None:
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            path, _, place = urllib.parse.unquote(target).partition("#")
            if target.startswith(("http://", "https://")):
                continue
            found = (DOCS / path).resolve() if path else page
            assert found.exists(), (page.name, target)
            if place and found.suffix == ".md":
                assert place in anchors(found.read_text(encoding="utf-8")), (page.name, target)


def anchors(text: str) -> set[str]:
    """Names of headings, as they are linked to."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
