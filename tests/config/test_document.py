"""YAML with positions: core scalars, duplicates, aliases, merges, syntax."""

import math
from pathlib import Path

import pytest

from parley.config import document as module
from parley.config.build import Builder, scalar
from parley.config.document import Document
from parley.config.problem import Problem
from parley.config.variables import Scope


def build(text: str, **env: str) -> tuple[object, list[Problem]]:
    document = Document(text, "c.yaml")
    return Builder(document, Scope(env, Path())).build(), document.problems


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("on", "on"), ("off", "off"), ("n", "n"), ("y", "y"), ("Yes", "Yes"),
        ("true", True), ("False", False), ("TRUE", True), ("tRue", "tRue"),
        ("", None), ("~", None), ("null", None), ("Null", None), ("nul", "nul"),
        ("12", 12), ("-3", -3), ("+4", 4), ("007", 7), ("0x1F", 31), ("0o17", 15), ("1_000", "1_000"),
        ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("2e3", 2000.0), ("-1.5E-1", -0.15), ("1.2.3", "1.2.3"),
        ("12:30:45", "12:30:45"), ("2024-01-02", "2024-01-02"), ("5xx", "5xx"), ("0x", "0x"), ("-", "-"),
        (".inf", math.inf), ("-.INF", -math.inf), ("1" * 500, "1" * 500),
    ],
)  # fmt: skip
def test_core_schema(text: str, value: object) -> None:
    made = scalar(text)
    assert made == value
    assert type(made) is type(value)


def test_plain_and_quoted_and_blocks() -> None:
    text = "a: 1\nb: '1'\nc: \"on\\n\"\nd: |\n  x\n  y\ne: [no, 2, {f: null}]\n408: key\nnull: k\n"
    value, problems = build(text)
    assert problems == []
    assert value == {
        "a": 1, "b": "1", "c": "on\n", "d": "x\ny\n", "e": ["no", 2, {"f": None}], "408": "key", "null": "k",
    }  # fmt: skip


def test_duplicate_keys_name_both_lines() -> None:
    value, problems = build("a: 1\nb:\n  x: 1\n  y: 2\n  x: 3\n")
    assert value == {"a": 1, "b": {"x": 1, "y": 2}}
    [problem] = problems
    assert (problem.line, problem.column) == (5, 3)
    assert problem.message == '"x" is given twice, on lines 3 and 5'
    assert problem.source == "  x: 3"


def test_anchors_aliases_and_merges() -> None:
    value, problems = build(
        "base: &b {x: 1, y: 2}\nmore: &m {y: 9, z: 3}\none: {<<: *b, y: 5}\ntwo: {<<: [*b, *m]}\nsame: *b\n"
    )
    assert problems == []
    assert value == {
        "base": {"x": 1, "y": 2}, "more": {"y": 9, "z": 3}, "one": {"x": 1, "y": 5},
        "two": {"x": 1, "y": 2, "z": 3}, "same": {"x": 1, "y": 2},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: &x [*x]", 1, 4, "may not contain itself"),
        ("a: {<<: 5}", 1, 9, "<< takes a mapping"),
        ("a: !!python/object:os.system x", 1, 4, "not understood"),
        ("a: !mine x", 1, 4, "the tag !mine"),
        ("? [1, 2]\n: 3", 1, 3, "a key must be text"),
        ("a: .nan", 1, 4, "infinite number or NaN"),
        ("a: *nobody", 1, 4, "undefined alias"),
        ("a: [1, 2", 1, 9, "not valid YAML"),
        ("a:\n\t- x", 2, 1, "not valid YAML"),
        ("é: 1\nb: é\ud800", 2, 5, "a character that YAML does not allow"),
        ("é: é \x07", 1, 6, "a character that YAML does not allow"),
        ("a: \x07", 1, 4, "a character that YAML does not allow"),
        ("[" * 80 + "]" * 80, 1, 62, "nested too deep"),
    ],
)
def test_mistakes_have_a_place(text: str, line: int, column: int, words: str) -> None:
    _, problems = build(text)
    assert [(problem.line, problem.column) for problem in problems] == [(line, column)]
    assert words in problems[0].message


def test_aliases_cannot_blow_up() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    _, problems = build("\n".join(levels))
    assert any("too large" in problem.message for problem in problems)


def test_places_of_keys_values_and_absent_things() -> None:
    document = Document("a:\n  - b: 1\n  - c:\nd: {e: 2}\n", "c.yaml")
    assert document.at(("a", 0, "b")) == (2, 8)
    assert document.at(("a", 0, "b"), key=True) == (2, 5)
    assert document.at(("a", 1, "c")) == (3, 5)
    assert document.at(("d", "missing")) == (4, 4)
    assert document.at(()) == (1, 1)
    document.prune([("a", 0)])
    assert document.at(("a", 0, "c")) == (3, 5)


def test_places_of_merged_members() -> None:
    document = Document("x: &x\n  k: 1\ny:\n  <<: *x\n", "c.yaml")
    assert document.at(("y", "k")) == (2, 6)


def test_columns_count_characters() -> None:
    document = Document("ключ: {é: 5}\n", "c.yaml")
    assert document.at(("ключ", "é")) == (1, 11)


def test_the_parser_in_python_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: &x {no: on, n: '1', z: 1}\nb: {<<: *x, z: [2, 3.5, ~]}\n"
    fast = build(text)
    places = Document(text, "c").at(("b", "z", 1))
    monkeypatch.setattr("yaml.__with_libyaml__", False)
    assert build(text) == fast
    assert Document(text, "c").at(("b", "z", 1)) == places == (2, 20)
    assert module.Document("a: [", "c").problems[0].line == 1


def test_byte_order_mark_and_line_ends() -> None:
    value, problems = build("\ufeffa: 1\r\nb: 2\r\n")
    assert (value, problems) == ({"a": 1, "b": 2}, [])
