"""What is installed with Parley: exact versions of known files, nothing that runs by itself, no licence to buy."""

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
ENTRY = re.compile(r"^\S.*(?:\n[ \t]+.*)*", re.MULTILINE)


def entries(lock: Path) -> list[str]:
    found = [one for one in ENTRY.findall(lock.read_text()) if not one.startswith("#")]
    assert len(found) > 5
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_package_is_one_version_with_known_files(lock: Path) -> None:
    for entry in entries(lock):
        assert PINNED.match(entry), entry[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry[:80]
        assert " @ " not in entry.splitlines()[0]


def test_nothing_runs_without_being_imported() -> None:
    """Files that Python reads at every start may hold code."""
    for entry in entries(ROOT / "requirements/core.txt"):
        found = PINNED.match(entry)
        assert found is not None
        if "sys_platform" in entry.splitlines()[0]:
            continue
        files = distribution(found[1]).files or []
        assert not [file for file in files if file.suffix == ".pth"], found[1]
    assert not list((ROOT / "src").rglob("*.pth"))


def test_there_is_one_licence_and_no_key_for_it() -> None:
    assert (ROOT / "LICENSE").read_text().lstrip().startswith("Apache License")
    words = re.compile(r"licen[cs]e[_ -]?key|premium", re.IGNORECASE)
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "deploy").rglob("*.y*ml")]
    assert not [path.name for path in sources if words.search(path.read_text(encoding="utf-8"))]
