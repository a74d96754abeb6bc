"""What patterns cut out of a text in pieces: the same however it is divided, in bounded work."""

import sys
from collections.abc import Iterator

import pytest
import re2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from parley.failure import ParleyError
from parley.shaping import Shaper, pattern_problem
from parley.shaping.cut import HELD, LONGEST, Cutter
from parley.shaping.growth import growing

PATTERNS = [
    r"a+b",
    r"\bfoo\b",
    r"^x+",
    r"(?m)^>.*$",
    r"(?s)<t>.*?</t>",
    r"a|ab|abc",
    r"(ab)*c",
    r"a*",
    r"a*?b?",
    r"$",
    r"foo$",
    r"(?i)ÄÖ+",
    r"[^a]{2,3}",
    r"[[:space:]]{2,}",
    r"(?P<n>a(b|c){1,2})+\s*$",
    r"\Aab",
    r"\pL+é",
    r"(?:x|y(?i:Z))+",
    r"a.*b",
    r"(a+)+$",
    r"\s+$",
    r"\Qa.b\E",
    r"a(?i)b|C",
    r"\x61\x{62}?[\]b-d]",
    r"(?:ab){2}c?",
    r"\Bo",
    r"a{0}b{1,}?",
]
TEXTS = some.lists(
    some.sampled_from([*"aabbcxyz oé.ZC>\n]", "foo", "<t>", "</t>", "ab", "ÄÖ", "äö", "日"]), max_size=40
).map("".join)


def divided(text: str, cuts: list[int]) -> Iterator[str]:
    """The text in pieces of these lengths, again and again."""
    place, turn = 0, 0
    while place < len(text):
        yield text[place : place + cuts[turn % len(cuts)]]
        place, turn = place + cuts[turn % len(cuts)], turn + 1


def cut(pattern: str, text: str, cuts: list[int]) -> str:
    cutter = Cutter(pattern)
    return "".join([cutter.feed(piece) for piece in divided(text, cuts)]) + cutter.close()


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=12, deadline=None)
@given(text=TEXTS, cuts=some.lists(some.integers(1, 9), min_size=1, max_size=4))
def test_pieces_give_what_the_whole_gives(pattern: str, text: str, cuts: list[int]) -> None:
    whole = re2.sub(pattern, "", text)
    assert cut(pattern, text, cuts) == whole
    assert cut(pattern, text, [1]) == whole
    assert cut(pattern, text, [1000]) == whole


@pytest.mark.parametrize("pattern", [r"a.*b", r"a.*?b", r"(?s)<.*?>", r"(a+)+$", r"é+b", r"a(.*b)?", r"\s+x"])
@pytest.mark.parametrize("period", [LONGEST - 1, LONGEST + 1])
def test_pieces_give_the_same_beyond_the_bound(pattern: str, period: int) -> None:
    unit = "<" + "a" * (period - 4) + "é b"
    text = unit * 2 + ">" + " " * period + "x"
    whole = cut(pattern, text, [len(text)])
    for cuts in ([13, 1, 1], [7, 1000, 3], [LONGEST], [HELD + 5]):
        assert cut(pattern, text, cuts) == whole


def defined(pattern: str, text: str, longest: int) -> str:
    """What is removed, by its definition: at each place what is preferred there, within the bound."""
    data, made, place, kept = text.encode(), re2.compile(pattern), 0, b""
    while place < len(data):
        found = made.match(data, place, min(place + longest, len(data)))
        if found and found.end() > place:
            place = found.end()
            continue
        width = len(data[place:].decode()[0].encode())
        kept, place = kept + data[place : place + width], place + width
    return kept.decode()


@pytest.mark.parametrize("pattern", [*PATTERNS, r"(a*)*b", r"(?U)a.*b", r"(?m)^a*?$\n?", r"\s.(a*?)*"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS, cuts=some.lists(some.integers(1, 9), min_size=1, max_size=4))
def test_the_bound_is_kept_to_the_letter(
    monkeypatch: pytest.MonkeyPatch, pattern: str, text: str, cuts: list[int]
) -> None:
    for name, value in (("LONGEST", 6), ("HELD", 12), ("_STRIDE", 3)):
        monkeypatch.setattr(f"parley.shaping.cut.{name}", value)
    expected = defined(pattern, text, 6)
    assert cut(pattern, text, cuts) == expected
    assert cut(pattern, text, [1000]) == expected


def test_a_match_of_the_longest_length_is_cut_and_one_longer_stays() -> None:
    for length, left in ((LONGEST, ""), (LONGEST + 1, "<" + "x" * (LONGEST - 1) + ">")):
        text = "<" + "x" * (length - 2) + ">"
        for cuts in ([1], [len(text)]):
            assert cut("<x*>", text, cuts) == left


def test_only_what_may_still_change_is_held() -> None:
    cutter = Cutter("<t>.*?</t>")
    assert cutter.feed("one <") == "one "
    assert cutter.feed("b> two <t") == "<b> two "
    assert cutter.feed(">gone</t") == ""
    assert cutter.feed("> three") == " three"
    assert cutter.close() == ""


def test_a_lazy_match_is_over_when_its_end_is_there() -> None:
    cutter = Cutter("(?s)<t>.*?</t>")
    assert [cutter.feed(piece) for piece in "a<t>b</t>c</t>"] == ["a", *[""] * 8, "c", "", "</", "t", ">"]
    assert cutter.close() == ""


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    assert pattern_problem("a") == "patterns need the extra local: pip install 'parley[local]'"


def test_what_is_held_is_bounded() -> None:
    cutter = Cutter(r"(?s)<t>.*</t>")
    sent = out = 0
    for _ in range(40):
        sent += 500
        out += len(cutter.feed("<t>" + "x" * 497))
        assert sent - out <= HELD
    assert out + len(cutter.close()) == sent


@pytest.mark.parametrize(
    "pattern", [r"(a+)+$", r"(a|a)*$", r"(?:a?){30}a{30}b", r"(.*)(.*)(.*)x", r"a.*b", r"(a|b)*?c"]
)
@pytest.mark.parametrize("size", [1, 4, 100_000])
def test_patterns_that_explode_elsewhere_take_bounded_work(pattern: str, size: int) -> None:
    """Bytes looked at for each byte of text are at most a few times what may be held."""
    cutter = Cutter(pattern)
    seen = Counting(cutter._pattern)
    cutter._pattern = seen
    text = "a" * (100_000 if size > 4 else 10_000)
    out = "".join([cutter.feed(piece) for piece in divided(text, [size])]) + cutter.close()
    assert len(out) >= len(text) - LONGEST
    assert seen.bytes <= len(text) * 4 * HELD
    assert seen.calls <= 4 * len(text) + 10


class Counting:
    """A pattern that counts what it is asked."""

    def __init__(self, pattern: re2._Regexp) -> None:
        self.pattern = pattern
        self.bytes = self.calls = 0

    def search(self, text: bytes, start: int, end: int) -> object:
        self.calls += 1
        self.bytes += end - start
        return self.pattern.search(text, start, end)

    def match(self, text: bytes, start: int, end: int) -> object:
        self.calls += 1
        self.bytes += end - start
        return self.pattern.match(text, start, end)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (r"(a)\1", "invalid escape sequence"),
        (r"(?=x)", "invalid perl operator: (?="),
        (r"(?<!x)y", "invalid"),
        ("[", "missing ]"),
        ("(", "missing"),
        (r"x{1001}", "invalid repetition size"),
        (r"(?:\pL{1,100}){5}", "too large"),
        (r"a\C", r"\C (one byte) is not supported"),
        ("", "the pattern is empty"),
    ],
)
def test_a_pattern_that_cannot_run_in_linear_time_is_refused(
    pattern: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    problem = pattern_problem(pattern)
    assert problem is not None
    assert said in problem
    with pytest.raises(ParleyError) as caught:
        Shaper(cut=[pattern])
    assert caught.value.failure.kind == "invalid_request"
    assert repr(pattern) in caught.value.failure.message
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_good_pattern_is_no_problem(pattern: str) -> None:
    assert pattern_problem(pattern) is None


def test_a_pattern_we_cannot_follow_is_only_held_longer() -> None:
    assert [growing(pattern) for pattern in (r"\Qa.b\E", "(a*)*", "(a|b?)+c", "(?:^){2}")] == [None] * 4
    cutter = Cutter(r"\Qa.b\E")
    assert cutter.feed("x a.b y") == ""
    assert cutter.close() == "x  y"
