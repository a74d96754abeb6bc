"""Stop strings, cuts and trims together, over a text in pieces."""

from typing import Any

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as some

from parley.shaping import Shaper, with_roles
from parley.shaping.shaper import SPACES

WORDS = some.text("ab \n", min_size=1, max_size=4)


def shaped(text: str, size: int, **how: Any) -> tuple[str, bool]:
    shaper = Shaper(**how)
    out = [shaper.feed(text[place : place + size]) for place in range(0, len(text), size)]
    return "".join(out) + shaper.close(), shaper.stopped


def expected(text: str, cut: list[str], trim: list[str], stop: list[str]) -> str:
    ends = [(text.index(word) + len(word), text.index(word)) for word in stop if word in text]
    text = text[: min(ends)[1]] if ends else text
    for pattern in cut:
        text = re2.sub(pattern, "", text)
    for prefix in trim:
        text = text.removeprefix(prefix).strip()
    return text


@settings(max_examples=200, deadline=None)
@given(
    text=some.text("aab \n", max_size=40),
    cut=some.lists(some.sampled_from(["a+b", "b{2}", r"\s+b", "^a", "ab$"]), max_size=2),
    trim=some.lists(WORDS, max_size=2),
    stop=some.lists(WORDS, max_size=3),
    size=some.integers(1, 7),
)
def test_pieces_give_what_the_whole_gives(
    text: str, cut: list[str], trim: list[str], stop: list[str], size: int
) -> None:
    whole = expected(text, cut, trim, stop)
    how = {"cut": cut, "trim": trim, "stop": stop}
    assert shaped(text, size, **how)[0] == whole
    assert shaped(text, 100, **how) == (whole, any(word in text for word in stop))


def test_nothing_to_do_holds_nothing() -> None:
    shaper = Shaper()
    assert [shaper.feed("a "), shaper.feed(" b\n"), shaper.close()] == ["a ", " b\n", ""]
    assert not shaper.stopped


def test_a_stop_string_ends_the_text_and_is_not_part_of_it() -> None:
    shaper = Shaper(stop=["</s>", "User:"])
    assert shaper.feed("Hello </") == "Hello "
    assert not shaper.stopped
    assert shaper.feed("b> Us") == "</b> "
    assert shaper.feed("er: more") == ""
    assert shaper.stopped
    assert shaper.feed("and more") == ""
    assert shaper.close() == ""


def test_what_only_looked_like_a_stop_string_comes_at_the_end() -> None:
    assert shaped("a User", 1, stop=["User:"]) == ("a User", False)


def test_the_stop_string_that_is_complete_first_counts() -> None:
    for size in (1, 2, 9):
        assert shaped("xabcz", size, stop=["abcz", "b"]) == ("xa", True)
        assert shaped("xabz", size, stop=["b", "ab"]) == ("x", True)


def test_a_prefix_goes_and_then_white_space() -> None:
    for size in (1, 3, 50):
        assert shaped("Answer:  yes \n", size, trim=["Answer:"])[0] == "yes"
        assert shaped(" Answer: yes", size, trim=["Answer:"])[0] == "Answer: yes"
        assert shaped("A: B: yes", size, trim=["A:", "B:"])[0] == "yes"
        assert shaped("Ans", size, trim=["Answer:"])[0] == "Ans"
        assert shaped("  ", size, trim=["x"])[0] == ""


def test_white_space_held_at_the_end_is_bounded() -> None:
    text = "a" + " " * (SPACES + 10)
    for size in (1, 100, len(text)):
        assert shaped(text, size, trim=["x"])[0] == "a" + " " * 10
        assert shaped(text + "b", size, trim=["x"])[0] == text + "b"


def test_stop_strings_are_met_before_anything_is_cut() -> None:
    assert shaped("one [x] two", 1, cut=[r"\[x\]"], stop=["[x]"]) == ("one ", True)
    assert shaped("<r>Bot: hi</r>END", 2, cut=["</?r>"], trim=["Bot:"], stop=["END"]) == ("hi", True)


def test_close_twice_gives_the_rest_once() -> None:
    shaper = Shaper(cut=["a+"], trim=["x"], stop=["zz"])
    assert shaper.feed("bz") == "b"
    assert [shaper.close(), shaper.close()] == ["z", ""]


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ({"role": "user", "content": "hi", "name": "n"}, {"role": "user", "content": "U: hi", "name": "n"}),
        ({"role": "assistant", "content": "hi"}, {"role": "assistant", "content": "hi"}),
        ({"role": "user", "content": None}, {"role": "user", "content": None}),
        ({"role": "user", "content": ""}, {"role": "user", "content": ""}),
        ({"role": "user"}, {"role": "user"}),
        ({"content": "x"}, {"content": "x"}),
        (
            {"role": "user", "content": [{"type": "image_url"}, {"type": "text", "text": "a", "k": 1}, {"text": "b"}]},
            {
                "role": "user",
                "content": [{"type": "image_url"}, {"type": "text", "text": "U: a", "k": 1}, {"text": "b"}],
            },
        ),
        (
            {"role": "user", "content": [{"type": "image_url"}]},
            {"role": "user", "content": [{"type": "text", "text": "U:"}, {"type": "image_url"}]},
        ),
    ],
)
def test_a_word_stands_in_front_of_a_message(message: dict[str, Any], sent: dict[str, Any]) -> None:
    kept = repr(message)
    assert with_roles([message], {"user": "U:", "assistant": ""}) == [sent]
    assert repr(message) == kept
    assert with_roles([message], {}) == [message]
