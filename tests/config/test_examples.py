"""The examples of the reference page are configurations that load."""

import re
from pathlib import Path

import pytest

from parley.config import load_text

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_loads(text: str, tmp_path: Path) -> None:
    (tmp_path / "second.key").write_text("two\n")
    loaded = load_text(text, {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "one"}, folder=tmp_path)
    assert loaded.problems == ()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2
    assert load_text(EXAMPLES[0], {}).problems
