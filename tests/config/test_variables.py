"""References to variables and files in string values."""

from pathlib import Path

import pytest

from parley.config.build import Builder, Missing
from parley.config.document import Document
from parley.config.variables import Scope, UnfilledError, fill

ENV = {"A": "one", "EMPTY": "", "N": "5", "TRICK": "${A}"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"), ("x${A}y${A}", "xoneyone"), ("${EMPTY}", ""), ("${EMPTY:-d}", "d"), ("${NONE:-d}", "d"),
        ("${NONE:-}", ""), ("${A:-d}", "one"), ("${NONE:-a:b/c}", "a:b/c"), ("os.environ/A", "one"), ("env.A", "one"),
        ("$${A}", "${A}"), ("$A", "$A"), ("${TRICK}", "${A}"), ("see env.A", "see env.A"), ("env.A.b", "env.A.b"),
        ("100$", "100$"),
    ],
)  # fmt: skip
def test_fill(text: str, value: str) -> None:
    assert fill(text, Scope(ENV, Path()), []) == value


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        ("${NONE}", 0, "NONE is not set"), ("ab${NONE}", 2, "NONE is not set"),
        ("os.environ/NONE", 0, "NONE is not set"),
        ("env.NONE", 0, "NONE is not set"), ("${A", 0, "not a reference"), ("${1}", 0, "not a reference"),
        ("${}", 0, "not a reference"), ("${A:?no}", 0, "not a reference"),
    ],
)  # fmt: skip
def test_what_cannot_be_filled(text: str, offset: int, words: str) -> None:
    with pytest.raises(UnfilledError, match=words) as caught:
        fill(text, Scope(ENV, Path()), [])
    assert caught.value.offset == offset


def test_files_are_relative_to_the_folder_and_lose_their_line_end(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "one").write_text("secret\r\n")
    read: list[str] = []
    assert fill("file:keys/${A}", Scope(ENV, tmp_path), read) == "secret"
    assert read == [str(tmp_path / "keys" / "one")]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "big").write_bytes(b"a" * ((1 << 20) + 1))
    scope = Scope(ENV, tmp_path)
    for name, words in (("none", "cannot read"), ("binary", "not UTF-8"), ("big", "larger than"), (".", "cannot read")):
        with pytest.raises(UnfilledError, match=words):
            fill(f"file:{name}", scope, [])


def test_place_of_a_missing_variable() -> None:
    document = Document('a: "x ${NONE}"\nb: ${A} ${NONE}\n', "c.yaml")
    value = Builder(document, Scope(ENV, Path())).build()
    assert isinstance(value, dict)
    assert all(isinstance(item, Missing) for item in value.values())
    assert [(problem.line, problem.column) for problem in document.problems] == [(1, 7), (2, 9)]
    assert document.problems[0].hint == "set NONE, or write ${NONE:-default}"


def test_a_variable_is_text_except_in_free_members() -> None:
    document = Document(
        "k: ${N}\ndefaults: {a: $${N}, b: ${N}, c: '${N}', d: x${N}, e: ${NO:-a, b: [c] # d}}\n", "c.yaml"
    )
    value = Builder(document, Scope(ENV, Path())).build()
    assert value == {"k": "5", "defaults": {"a": "${N}", "b": 5, "c": "5", "d": "x5", "e": "a, b: [c] # d"}}
