"""Whole answers and streams are the same thing: fold undoes unfold, and events may interleave."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.failure import ParleyError
from parley.fold import Fold, unfold
from parley.ir import (
    Block,
    BlockStart,
    BlockStop,
    ChatResponse,
    Choice,
    Delta,
    End,
    Event,
    Finish,
    Media,
    Opaque,
    Refusal,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)


def folded(events: list[Event], wire: str = "w") -> ChatResponse:
    fold = Fold(wire)
    for event in events:
        fold.feed(event)
    return fold.response()


def answer(*content: Block, logprobs: object = None) -> ChatResponse:
    return ChatResponse(wire="w", id="a", model="m", choices=(Choice(0, content, logprobs=logprobs),))


words = st.text(max_size=5)
extras = st.dictionaries(st.sampled_from(["x", "y"]), st.integers(), max_size=1)
blocks = st.one_of(
    st.builds(Text, words, extras),
    st.builds(Refusal, words),
    st.builds(Thinking, words, st.none() | words, st.none(), extras),
    st.builds(Thinking, words, st.none(), words),
    st.builds(ToolCall, words, words, words, extras),
    st.builds(Opaque, words, extras),
    st.builds(Media, kind=st.just("image"), data=words),
)
counts = st.none() | st.integers(0, 9)
responses = st.builds(
    ChatResponse,
    wire=st.just("w"),
    id=words,
    model=words,
    created=st.integers(0, 9),
    usage=st.none() | st.builds(Usage, st.integers(0, 9), st.integers(0, 9), counts, counts, counts),
    choices=st.lists(
        st.builds(
            Choice,
            st.just(0),
            st.lists(blocks, max_size=4).map(tuple),
            st.sampled_from(["end", "length", "tool_use"]),
            st.none() | words,
            st.none() | words,
            st.none(),
            extras,
        ),
        max_size=3,
    ).map(lambda found: tuple(Choice(i, c.content, c.stop, c.stop_sequence, c.native) for i, c in enumerate(found))),
    extra=extras,
)


@settings(max_examples=80)
@given(responses)
def test_fold_undoes_unfold(response: ChatResponse) -> None:
    assert folded(unfold(response)) == response


@settings(max_examples=40)
@given(responses)
def test_unfolded_blocks_are_nested_and_finish_once(response: ChatResponse) -> None:
    opened: set[tuple[int, int]] = set()
    for event in unfold(response):
        match event:
            case BlockStart(choice, index):
                assert not opened
                opened.add((choice, index))
            case Delta(choice, index, _, text):
                assert (choice, index) in opened
                assert text
            case BlockStop(choice, index):
                opened.remove((choice, index))
            case Finish():
                assert not opened
    assert unfold(response)[-1] == End(response.usage)


def test_blocks_may_interleave() -> None:
    events: list[Event] = [
        Start("a", "m"),
        BlockStart(0, 0, Thinking()),
        Delta(0, 0, "thinking", "hm"),
        BlockStart(0, 1, Text("")),
        Delta(0, 1, "text", "H"),
        Delta(0, 0, "signature", "s"),
        BlockStop(0, 0),
        BlockStart(1, 0, ToolCall("c", "f")),
        Delta(1, 0, "arguments", '{"a"'),
        Delta(0, 1, "text", "i"),
        Delta(1, 0, "arguments", ":1}"),
        BlockStop(0, 1),
        Finish(1, "tool_use"),
        Finish(0, "end"),
        End(Usage(1, 2), {"late": True}),
    ]
    response = folded(events)
    assert [choice.content for choice in response.choices] == [
        (Thinking("hm", "s"), Text("Hi")),
        (ToolCall("c", "f", '{"a":1}'),),
    ]
    assert (response.usage, response.extra) == (Usage(1, 2), {"late": True})


def test_an_empty_signature_is_not_a_missing_one() -> None:
    events: list[Event] = [Start("a", "m"), BlockStart(0, 0, Thinking()), Delta(0, 0, "thinking", "hm")]
    rest: list[Event] = [BlockStop(0, 0), Finish(0, "end"), End()]
    assert folded(events + rest).choices[0].content == (Thinking("hm", None),)
    assert folded([*events, Delta(0, 0, "signature", ""), *rest]).choices[0].content == (Thinking("hm", ""),)


def test_what_came_with_the_stop_joins_the_block() -> None:
    events: list[Event] = [
        Start("a", "m"),
        BlockStart(0, 0, Text("", {"x": 1})),
        BlockStop(0, 0, {"citations": ["c"]}),
        Finish(0, "end"),
        End(),
    ]
    assert folded(events).choices[0].content == (Text("", {"x": 1, "citations": ["c"]}),)


def test_usage_of_the_start_counts_where_the_end_has_none() -> None:
    assert folded([Start("a", "m", usage=Usage(3)), Finish(0, "end"), End()]).usage == Usage(3)
    assert folded([Start("a", "m", usage=Usage(3)), Finish(0, "end"), End(Usage(4))]).usage == Usage(4)


def test_logprobs_are_collected() -> None:
    events: list[Event] = [
        Start("a", "m"),
        BlockStart(0, 0, Text("")),
        Delta(0, 0, "text", "a", {"content": [1], "refusal": None}),
        Delta(0, 0, "text", "b", {"content": [2], "refusal": None}),
        BlockStop(0, 0),
        Finish(0, "end"),
        End(),
    ]
    assert folded(events).choices[0].logprobs == {"content": [1, 2], "refusal": None}


@pytest.mark.parametrize(
    "content",
    [
        (Text("hi"),),
        (Thinking("hm"), Text("hi")),
        (Thinking(redacted="r"), ToolCall("c", "f", "{}")),
        (Text(""), Text("hi")),
    ],
)
def test_logprobs_of_a_whole_answer_survive(content: tuple[Block, ...]) -> None:
    response = answer(*content, logprobs={"content": [1], "refusal": None})
    assert folded(unfold(response)) == response


def test_logprobs_lie_on_the_text_where_there_is_one() -> None:
    found = [
        event
        for event in unfold(answer(Thinking("hm"), Text("hi"), logprobs={"content": [1]}))
        if isinstance(event, Delta)
    ]
    assert [(delta.text, delta.logprobs) for delta in found] == [("hm", None), ("hi", {"content": [1]})]


@pytest.mark.parametrize(
    "events",
    [
        [],
        [Start("a", "m"), BlockStart(0, 0, Text("")), Finish(0, "end")],
        [Start("a", "m"), BlockStart(0, 0, Text("")), End()],
        [Start("a", "m"), Finish(0, "end"), BlockStart(1, 0, Text("")), End()],
    ],
)
def test_a_stream_that_broke_is_no_answer(events: list[Event]) -> None:
    with pytest.raises(ParleyError) as caught:
        folded(events)
    assert caught.value.failure.kind == "upstream_incomplete"
