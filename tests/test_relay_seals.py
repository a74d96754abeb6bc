"""The store of what providers sealed: its bounds, its ages, and what makes two conversations the same."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.ir import ChatRequest, ChatResponse, Choice, Media, Message, Text, Thinking, ToolCall, ToolResult
from parley.relay import Keeper, Seals
from parley.relay.seals import MAX_ANSWER, Called, Kept

ORIGIN = ("w", "t", ("http://h",))
ASKED = (Message("user", (Text("hi"),)),)


class Clock:
    def __init__(self) -> None:
        self.time = 5.0

    def __call__(self) -> float:
        return self.time


def kept(text: str = "x") -> Kept:
    return Kept(ORIGIN, ((0, Thinking(text, "s")),), (Called("i"),))


def request(*messages: Message) -> ChatRequest:
    return ChatRequest(wire="c", model="m", messages=messages)


def answer(*content: Thinking | ToolCall | Text) -> ChatResponse:
    return ChatResponse(wire="w", id="", model="", choices=(Choice(0, content),))


def talk(seals: Seals, *content: Thinking | ToolCall | Text, asked: tuple[Message, ...] = ASKED) -> None:
    keeper = Keeper(seals, "me", ORIGIN)
    keeper.restored(request(*asked))
    keeper.keep(answer(*content))


def again(seals: Seals, *content: Thinking | ToolCall | Text, asked: tuple[Message, ...] = ASKED) -> tuple[object, ...]:
    """What the turn of the assistant's holds when it goes out again."""
    made = Keeper(seals, "me", ORIGIN).restored(request(*asked, Message("assistant", content)))
    return made.messages[len(asked)].content


def test_bytes_are_bounded_and_the_least_recently_used_goes_first() -> None:
    seals = Seals(Clock(), limit=10 * 1024)
    for name in (b"a", b"b", b"c", b"d"):
        seals.put((name, name + b"2"), kept("x" * 1000))
    assert len(seals) == 4
    assert seals.get(b"a") is not None
    seals.put((b"e",), kept("x" * 1500))
    assert seals.size <= 10 * 1024
    assert [seals.get(name) is not None for name in (b"a", b"b", b"b2", b"e")] == [True, False, False, True]


def test_what_is_used_stays_and_the_rest_grows_old() -> None:
    clock = Clock()
    seals = Seals(clock, seconds=10)
    seals.put((b"a",), kept())
    seals.put((b"b",), kept())
    clock.time += 9
    assert seals.get(b"a") is not None
    clock.time += 9
    assert seals.get(b"b") is None
    assert seals.get(b"a") is not None
    clock.time += 10
    assert seals.get(b"a") is None
    assert (len(seals), seals.size) == (0, 0)


def test_one_answer_cannot_take_all_the_room() -> None:
    seals = Seals(Clock())
    seals.put((b"a",), kept("x" * MAX_ANSWER))
    assert (len(seals), seals.get(b"a")) == (0, None)


def test_a_key_has_its_latest_answer() -> None:
    seals = Seals(Clock(), limit=4096)
    seals.put((b"a",), kept("first"))
    seals.put((b"a",), kept("second"))
    found = seals.get(b"a")
    assert found is not None
    assert found.thoughts[0][1].text == "second"
    seals.put((b"b",), kept("x" * 1000))
    assert seals.get(b"a") is not None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3000), st.booleans()), max_size=60))
@settings(max_examples=60)
def test_the_size_is_always_the_sum_of_what_there_is(steps: list[tuple[int, int, bool]]) -> None:
    clock = Clock()
    seals = Seals(clock, limit=8192, seconds=20)
    for name, size, reads in steps:
        clock.time += name
        key = b"%d" % name
        if reads:
            seals.get(key)
        else:
            seals.put((key,), kept("x" * size))
        assert 0 <= seals.size <= 8192
    clock.time += 20
    assert seals.get(b"0") is None
    assert (len(seals), seals.size) == (0, 0)


FIRST, SECOND = ToolCall("toolu_aaaaaaaa", "f", '{"a":1}'), ToolCall("toolu_bbbbbbbb", "g", "{}")


def test_thoughts_come_back_where_they_stood() -> None:
    seals = Seals(Clock())
    before, between, after = Thinking("1", "s1"), Thinking("2", "s2"), Thinking(redacted="r")
    talk(seals, before, Text("Well."), FIRST, between, SECOND, after)
    assert again(seals, Text("Well."), FIRST, SECOND) == (before, Text("Well."), FIRST, between, SECOND, after)
    assert again(seals, Thinking("words"), FIRST, SECOND)[:2] == (before, FIRST)


def test_a_turn_that_lost_a_call_keeps_the_others_places() -> None:
    seals = Seals(Clock())
    talk(seals, FIRST, Thinking("2", "s2"), SECOND)
    assert again(seals, SECOND) == (Thinking("2", "s2"), SECOND)
    assert again(seals, FIRST) == (FIRST,)


def test_a_seal_that_a_caller_brought_is_nobody_elses_business() -> None:
    seals = Seals(Clock())
    talk(seals, Thinking("1", "s1"), FIRST)
    mine = Thinking("mine", "s9")
    assert again(seals, mine, FIRST) == (mine, FIRST)


def test_a_turn_without_calls_is_left_alone() -> None:
    seals = Seals(Clock())
    talk(seals, Thinking("1", "s1"), FIRST)
    asked = request(*ASKED, Message("assistant", (Text("no"),)))
    assert Keeper(seals, "me", ORIGIN).restored(asked) is asked


def test_only_what_is_sealed_beside_calls_is_kept() -> None:
    seals = Seals(Clock())
    talk(seals, Thinking("words"), FIRST)
    talk(seals, Thinking("1", "s1"), Text("done"))
    assert len(seals) == 0
    keeper = Keeper(seals, "me", ORIGIN, unsigned=True)
    keeper.keep(answer(Thinking("words"), FIRST))
    assert len(seals) == 1


@pytest.mark.parametrize("spelled", ['{"a": 1, "b": [2.0, {"c": null}]}', '{"b":[2,{"c":null}],"a":1.0}'])
def test_a_counted_id_means_the_call_itself(spelled: str) -> None:
    seals = Seals(Clock())
    thought, call = Thinking("1", "s1"), ToolCall("call_1", "f", '{"a":1,"b":[2,{"c":null}]}')
    talk(seals, thought, call)
    other = ToolCall("call_7", "f", spelled)
    assert again(seals, other) == (thought, other)
    for wrong in (ToolCall("call_1", "g", spelled), ToolCall("call_1", "f", '{"a":2}'), ToolCall("call_1", "f", "{")):
        assert again(seals, wrong) == (wrong,)


def said(*content: Text | Media | ToolResult | Thinking | ToolCall, role: str = "user") -> Message:
    return Message(role, content)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "other",
    [
        (said(Text("ho")),),
        (said(Text("hi"), role="system"),),
        (said(Text("hi")), said(Text("hi"))),
        (said(Text("hi"), Media(kind="image", data="AA==")),),
        (said(ToolResult("call_1", (Text("hi"),))),),
        (),
    ],
)
def test_a_counted_id_of_another_conversation_means_another_call(other: tuple[Message, ...]) -> None:
    seals = Seals(Clock())
    call = ToolCall("call_1", "f")
    talk(seals, Thinking("1", "s1"), call)
    assert again(seals, call, asked=other) == (call,)
    assert again(seals, call, asked=(said(Text("hi"), Thinking("lost")),))[0] == Thinking("1", "s1")


def test_each_step_of_a_long_conversation_has_its_own() -> None:
    seals = Seals(Clock())
    call, messages = ToolCall("call_1", "f"), [*ASKED]
    for step in range(5):
        talk(seals, Thinking(f"{step}", f"s{step}"), call, asked=tuple(messages))
        messages += [said(call, role="assistant"), said(ToolResult("call_1", (Text(f"{step}"),)), role="tool")]
    made = Keeper(seals, "me", ORIGIN).restored(request(*messages))
    assert [made.messages[at].content[0] for at in range(1, 11, 2)] == [Thinking(f"{n}", f"s{n}") for n in range(5)]


def test_a_full_store_costs_a_long_conversation_little() -> None:
    seals = Seals(Clock())
    for number in range(2000):
        talk(seals, Thinking("x" * 100, "s"), ToolCall(f"toolu_{number:08d}", "f"))
    turns = [said(Text("word " * 40)), said(ToolCall("call_1", "f"), role="assistant")] * 200
    keeper = Keeper(seals, "me", ORIGIN)
    began = time.process_time()
    keeper.restored(request(*turns))
    assert time.process_time() - began < 0.5
