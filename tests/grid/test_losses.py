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
# Names that a request does not hold: older words read as today's, the place of a file's name, a seal, a stored prompt.
NAMED_SO: dict[tuple[str, str], set[str]] = {
    ("OpenAI chat", "file, data"): {"name"},
    ("OpenAI chat", "functions"): {"tools"},
    ("OpenAI chat", "function_call"): {"tools", "tool_choice"},
    ("OpenAI responses", "file, data"): {"name"},
    ("OpenAI responses", "prompt"): {"content"},
    ("Anthropic", "redacted thinking"): {"thinking", "signature"},
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


def words(value: Any) -> set[str]:
    """Every member's name in a request."""
    if isinstance(value, list):
        return set().union(*map(words, value))
    return set(value).union(*map(words, value.values())) if isinstance(value, dict) else set()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_lost_is_named_in_the_callers_own_words(dialect: str) -> None:
    for fake in fakes.made():
        way = losses.Way(dialect, fake)
        for label, members in way.samples.items():
            for name in way.named(members):
                parts = set(re.findall(r"[A-Za-z_]+", name))
                known = words({**way.base, **members}) | NAMED_SO.get((dialect, label), set())
                assert parts <= known | UNSENT.get(dialect, set()), (fake.name, label, name)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_strict_refuses_what_would_be_dropped(dialect: str) -> None:
    for fake in fakes.made():
        way, strict = losses.Way(dialect, fake), losses.Way(dialect, fake, "strict")
        for label, members in way.samples.items():
            if way.fate(members) == "dropped":
                assert strict.fate(members) == "refused", (fake.name, label)
