"""What crosses: docs/losses.md says what the code does, and nothing is lost in silence."""

import re
from typing import Any

import pytest

from grid import fakes, losses
from grid.samples_more import DIALECTS, GEMINI_OURS, RESPONSES_OURS
from parley.wire import load

# What may leave no trace, and why that is no loss.
ASIDE = {
    ("OpenAI responses", "include"): "what is asked for is in every answer that has it",
    ("Gemini", "includeThoughts"): "thoughts are in every answer that has them",
    ("Anthropic", "thinking adaptive"): "models that think there decide so themselves",
    ("Anthropic", "service_tier"): "auto is what is done there unasked",
}
# What a dialect means where a request says nothing.
UNSENT = {"OpenAI completions (legacy)": {"max_tokens"}}
PLACED = {"model", "stream", "stream_options"}
OURS = {"OpenAI responses": RESPONSES_OURS, "Gemini": GEMINI_OURS}


@pytest.fixture(scope="module")
def tables() -> dict[str, dict[str, list[str]]]:
    return {dialect: losses.table(dialect) for dialect in DIALECTS}


def test_nothing_is_lost_in_silence(tables: dict[str, dict[str, list[str]]]) -> None:
    aside = {(dialect, label) for dialect, rows in tables.items() for label, fates in rows.items() if "aside" in fates}
    assert aside == set(ASIDE)


def test_every_refusal_names_its_field(tables: dict[str, dict[str, list[str]]]) -> None:
    fates = {fate for rows in tables.values() for row in rows.values() for fate in row}
    assert fates <= {"✓", "as it is", "refused", "dropped", "aside"}


def test_the_page_says_what_the_code_does(tables: dict[str, dict[str, list[str]]]) -> None:
    made = losses.page(tables)
    if losses.WRITE:
        losses.PAGE.write_text(made, encoding="utf-8")
    assert losses.PAGE.read_text(encoding="utf-8") == made, "make tables writes it anew"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_member_of_a_dialect_is_tried(dialect: str) -> None:
    name, _, base, samples = DIALECTS[dialect]
    tried = {member for members in samples.values() for member in members} | set(base)
    snake = {member for member in load(name).known if "_" in member} if name == "gemini" else set()
    assert load(name).known - snake - tried - PLACED - OURS.get(dialect, set()) == set()


def holds(value: Any, path: str) -> bool:
    """Whether a request has something at that very path."""
    for step in re.findall(r"[^.\[\]]+|\[\d+\]", path):
        if step.startswith("["):
            index = int(step[1:-1])
            if not isinstance(value, list) or index >= len(value):
                return False
            value = value[index]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            return False
    return True


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_lost_is_named_by_its_very_path(dialect: str) -> None:
    for fake in fakes.made():
        way = losses.Way(dialect, fake)
        for label, members in way.samples.items():
            for name in way.named(members):
                there = holds({**way.base, **members}, name) or name in UNSENT.get(dialect, set())
                assert there, (fake.name, label, name)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_strict_refuses_what_would_be_dropped(dialect: str) -> None:
    for fake in fakes.made():
        way, strict = losses.Way(dialect, fake), losses.Way(dialect, fake, "strict")
        for label, members in way.samples.items():
            if way.fate(members) == "dropped":
                assert strict.fate(members) == "refused", (fake.name, label)
