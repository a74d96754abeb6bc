"""The container file: its style, and that everything it names is there. ``make image`` builds it."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy/Containerfile"


def hadolint(path: Path) -> subprocess.CompletedProcess[str]:
    checker = Path(sys.executable).with_name("hadolint")
    return subprocess.run([str(checker), "--no-color", str(path)], capture_output=True, text=True, check=False)


def test_hadolint_finds_nothing():
    checked = hadolint(FILE)
    assert checked.returncode == 0, checked.stdout


def test_hadolint_would(tmp_path: Path):
    bad = tmp_path / "Containerfile"
    bad.write_text("FROM python\nRUN apt-get install gcc\n")
    assert hadolint(bad).returncode != 0


def test_everything_that_is_copied_is_there():
    text = FILE.read_text()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.M):
        *sources, _ = line.split()
        for name in sources:
            assert (ROOT / name).exists(), name
    for name in re.findall(r"--requirement (\S+)", text):
        assert (ROOT / name).exists(), name


def test_it_runs_without_rights_and_is_asked_whether_it_lives():
    text = FILE.read_text()
    assert re.search(r"^USER \d+:\d+$", text, re.M)
    assert "/livez" in text
    assert 'ENTRYPOINT ["parley", "serve"]' in text
