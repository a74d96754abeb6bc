"""The systemd unit, judged by systemd's own checker."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

UNIT = Path(__file__).parents[2] / "deploy/parley.service"


def test_systemd_takes_it(tmp_path: Path):
    checker = shutil.which("systemd-analyze")
    assert checker is not None, "scripts/system-packages installs it"
    # What it starts must be there to be checked.
    text = UNIT.read_text().replace("/opt/parley/bin/parley", str(Path(sys.executable).with_name("parley")))
    placed = tmp_path / UNIT.name
    placed.write_text(text)
    checked = subprocess.run([checker, "verify", str(placed)], capture_output=True, text=True, check=False)
    ours = [line for line in checked.stderr.splitlines() if UNIT.name in line]
    assert checked.returncode == 0, checked.stderr
    assert not ours


def test_a_mistake_in_it_would_be_seen(tmp_path: Path):
    placed = tmp_path / UNIT.name
    placed.write_text(UNIT.read_text().replace("Restart=on-failure", "Restart=perhaps"))
    checker = shutil.which("systemd-analyze")
    assert checker is not None
    checked = subprocess.run([checker, "verify", str(placed)], capture_output=True, text=True, check=False)
    assert "perhaps" in checked.stderr


def test_open_streams_have_their_time():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(UNIT)
    from parley.serve.server import DRAIN_SECONDS

    assert int(unit["Service"]["TimeoutStopSec"]) >= DRAIN_SECONDS + 10
    assert unit["Service"]["DynamicUser"] == "yes"
