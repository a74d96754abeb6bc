"""docs/pains.md names tests that there are, for every pain."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs/pains.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (P\d\d) \|[^|]*\| (.*) \|$", PAGE, re.MULTILINE))
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
ALL = [f"P{number:02}" for number in range(1, 31)]


def functions(file: Path) -> set[str]:
    """Names of the tests in a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    made = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, made) and node.name.startswith("test_")}


def test_every_pain_is_on_the_page() -> None:
    assert list(ROWS) == ALL


@pytest.mark.parametrize("pain", ALL)
def test_its_tests_are_there(pain: str) -> None:
    said = ROWS[pain]
    named = NAMED.findall(said)
    assert said.count("::") == len(named)
    assert named or said.startswith("not yet")
    for file, name in named:
        assert name in functions(TESTS / file), f"{file}::{name}"
