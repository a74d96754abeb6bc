"""The configuration, read once more."""

from pathlib import Path

import pytest

from parley.cli.again import Again
from parley.cli.options import Source
from parley.cli.source import Found
from parley.settings import Settings


def read_by(path: Path) -> Again:
    """What was read from ``path`` at the start, to be read again."""
    return Again(Source(path), Found(settings=Settings(), path=path), {}, lambda settings: settings, 0.0)


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_that_was_emptied_is_no_configuration(tmp_path: Path, content: str) -> None:
    path = tmp_path / "parley.yaml"
    again = read_by(path)
    path.write_text(content)
    reading = again()
    assert [(one.file, one.line, one.message) for one in reading.problems] == [(str(path), 1, "the file is empty")]
    path.write_text("# Nothing but what is found.\n")
    assert again().problems == ()


def test_a_folder_is_no_empty_file(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("models: [{model: one, targets: [echo/echo]}]\n")
    reading = read_by(tmp_path)()
    assert reading.problems == ()
    assert "one" in {model for _, model in reading.settings.registrations}
