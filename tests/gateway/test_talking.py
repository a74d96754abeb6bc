"""Requests whose inputs are turns of a conversation: what is asked of the model, what is remembered, and when."""

import json
from typing import Any

import pytest

from gateway.contexts import GONE, ID, Talk, word
from gateway.gated import Gated, all_of
from gateway.parts import BUSY, DONE, OPENING, STOP, Ear, Sent, error
from parley.failure import Failure
from parley.wire.dapr.turns import LONGEST, Turn

EVENTS = "text/event-stream"
FULL = Failure("internal", "the disk is full")


def messages(sent: Sent) -> list[tuple[str, str]]:
    return [(one["role"], one["content"]) for one in sent.body["messages"]]


def reply(ear: Ear) -> Any:
    assert [word for word, *_ in ear.heard] == ["answer", "body"]
    return json.loads(ear.text)


def events(ear: Ear) -> list[Any]:
    """What a stream said, but for its end."""
    lines = [line for line in ear.text.decode().split("\n") if line.startswith("data: ")]
    return [json.loads(line[6:]) for line in lines if line != "data: [DONE]"]


# --- whole answers -----------------------------------------------------------------------------


def test_each_input_is_asked_with_all_that_came_before_it() -> None:
    talk = Talk()
    _, ear = talk.ask({"inputs": ["a", "b"], "conversationContext": ID, "parameters": {"temperature": 0.5}})
    assert (talk.context.place, talk.context.id, talk.sent) == ("one", ID, [])
    talk.context.admit(("user", "before"), ("assistant", "yes"))
    assert messages(talk.sent[0]) == [("user", "before"), ("assistant", "yes"), ("user", "a")]
    assert talk.sent[0].body["temperature"] == 0.5
    talk.answer("A")
    assert ear.heard == []
    talk.settle()
    assert messages(talk.sent[1]) == [*messages(talk.sent[0]), ("assistant", "A"), ("user", "b")]
    talk.answer("B")
    assert talk.context.new == [Turn("user", "a"), Turn("assistant", "A"), Turn("user", "b"), Turn("assistant", "B")]
    # Nobody is told before it is written.
    assert ear.heard == []
    talk.context.wrote()
    told = reply(ear)
    assert told["conversationContext"] == ID
    assert [one["result"] for one in told["outputs"]] == ["A", "B"]
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    assert told["outputs"][0]["parameters"] == {"model": "m-1", "finish_reason": "stop", "usage": usage}
    assert talk.context.said == ["keep", "leave"]
    talk.stage.quiet()


def test_a_new_conversation_has_an_id() -> None:
    talk = Talk()
    _, ear = talk.ask({"inputs": ["a"]})
    talk.context.admit()
    talk.answer("A")
    talk.context.wrote()
    assert reply(ear)["conversationContext"] == "new-1"


def test_the_line_tells_of_the_request_and_the_counts_of_its_parts() -> None:
    talk = Talk()
    talk.ask({"inputs": ["a", "b"]})
    talk.context.admit()
    talk.answer("A")
    talk.settle()
    talk.answer("B")
    talk.context.wrote()
    ends = {one["request_id"]: (one["outcome"], one["in_tok"], one["out_tok"]) for one in talk.stage.records}
    assert ends == {"req-1.1": ("ok", 3, 2), "req-1.2": ("ok", 3, 2), "req-1": ("ok", 6, 4)}


def test_the_head_tells_who_answered_last() -> None:
    talk = Talk()
    _, ear = talk.ask({"inputs": ["a"]}, model="two")
    talk.context.admit()
    talk.sent[0].fail()
    talk.answer("A")
    talk.context.wrote()
    assert ear.lines[b"x-request-id"] == b"req-1"
    assert ear.lines[b"x-parley-attempts"] == b"2"
    assert ear.lines[b"x-parley-target"] == b"b/m-2"


# --- what goes wrong ---------------------------------------------------------------------------


def test_a_request_that_failed_is_not_remembered() -> None:
    talk = Talk()
    _, ear = talk.ask({"inputs": ["a", "b", "c"]})
    talk.context.admit()
    talk.answer("A")
    talk.settle()
    talk.sent[1].whole(error("boom"), status=500)
    told = reply(ear)
    assert (ear.status, told["errorCode"]) == (500, "ERR_CONVERSATION_INVOKE")
    assert told["message"].startswith("failed conversing with component one: ")
    # Our own tries are spent: the caller's client shall not begin again.
    assert ear.lines[b"x-should-retry"] == b"false"
    assert ear.lines[b"x-parley-attempts"] == b"1"
    assert talk.context.said == ["leave"]
    assert len(talk.sent) == 2
    talk.stage.quiet()


def test_what_cannot_be_written_was_not_said() -> None:
    talk = Talk()
    _, ear = talk.ask({"inputs": ["a"]})
    talk.context.admit()
    talk.answer("A")
    talk.context.wrote(FULL)
    assert ear.status >= 500
    assert "outputs" not in reply(ear)
    talk.stage.quiet()


HALF = "x" * (LONGEST // 2)
PIECES = (word("x" * (LONGEST // 8)),) * 4


def too_long(ear: Ear) -> bool:
    told = reply(ear)
    message = f"failed conversing with component one: the conversation is longer than {LONGEST} characters"
    return told == {"errorCode": "ERR_CONVERSATION_INVOKE", "message": message}


@pytest.mark.parametrize("streams", [False, True])
def test_a_conversation_has_a_longest_length(streams: bool) -> None:
    talk = Talk()
    _, ear = talk.ask({"inputs": ["a", "b"]}, **({"accept": EVENTS} if streams else {}))
    talk.context.admit(("user", HALF))
    if streams:
        talk.sent[0].stream(OPENING, *PIECES, STOP, DONE)
        talk.settle()
        assert ear.text.endswith(b'longer than 4194304 characters"}\n\n')
        assert talk.context.said == ["leave"]
        talk.stage.quiet()
        return
    talk.answer(HALF)
    talk.settle()
    assert len(talk.sent) == 1
    assert too_long(ear)
    assert talk.context.said == ["leave"]
    talk.stage.quiet()


def test_a_conversation_that_is_too_long_already_is_not_asked() -> None:
    talk = Talk()
    _, ear = talk.ask({"inputs": ["a"]})
    talk.context.admit(("user", HALF), ("assistant", HALF))
    assert too_long(ear)
    assert talk.sent == []
    talk.stage.quiet()


def test_a_stream_that_grows_too_long_is_ended() -> None:
    talk = Talk()
    _, ear = talk.ask({"inputs": ["a"]}, accept=EVENTS)
    talk.context.admit()
    talk.sent[0].begin()
    talk.sent[0].say(OPENING, word("He"), *PIECES, *PIECES)
    assert talk.sent[0].cancelled
    assert ear.text.endswith(b'longer than 4194304 characters"}\n\n')
    assert ear.heard[-1] == ("finish", True)
    talk.stage.quiet()


def test_a_context_that_is_not_there() -> None:
    talk = Talk()
    _, ear = talk.ask({"inputs": ["a"], "conversationContext": "c-9"})
    talk.context.then(GONE)
    told = reply(ear)
    assert (ear.status, told["errorCode"]) == (404, "ERR_CONVERSATION_CONTEXT_NOT_FOUND")
    assert talk.sent == []
    talk.stage.quiet()


@pytest.mark.parametrize(
    ("body", "model", "status", "code"),
    [
        ({"inputs": []}, "one", 400, "ERR_CONVERSATION_MISSING_INPUTS"),
        ({"inputs": ["a"]}, "nobody", 400, "ERR_CONVERSATION_NOT_FOUND"),
        ({"inputs": []}, "nobody", 400, "ERR_CONVERSATION_NOT_FOUND"),
        ({"inputs": ["a"], "parameters": {"messages": []}}, "one", 400, "ERR_CONVERSATION_INVALID_PARMS"),
        ({"inputs": [{"content": "a"}]}, "one", 400, "ERR_MALFORMED_REQUEST"),
        ({"inputs": "a"}, "nobody", 400, "ERR_MALFORMED_REQUEST"),
    ],
)
def test_what_is_wrong_takes_no_turn(body: Any, model: str, status: int, code: str) -> None:
    talk = Talk()
    _, ear = talk.ask(body, model=model)
    assert (ear.status, reply(ear)["errorCode"]) == (status, code)
    assert (talk.contexts.given, talk.sent) == ([], [])
    talk.stage.quiet()


def test_without_a_store_there_are_no_conversations() -> None:
    talk = Talk()
    talk.stage.gateway.contexts = None
    _, ear = talk.ask({"inputs": ["a"]})
    assert (ear.status, reply(ear)["errorCode"]) == (501, "ERR_NOT_IMPLEMENTED")
    talk.stage.quiet()


def test_what_limits_leave_is_told_and_what_they_refuse_is_not_remembered() -> None:
    talk = Talk(Gated(quotas=all_of(requests=((3, 60.0),))))
    _, ear = talk.ask({"inputs": ["a", "b"]})
    talk.context.admit()
    talk.answer("A")
    talk.settle()
    talk.answer("B")
    talk.context.wrote()
    assert ear.status == 200
    assert ear.lines[b"x-ratelimit-limit-requests"] == b"3"
    assert ear.lines[b"x-ratelimit-remaining-requests"] == b"1"
    _, ear = talk.ask({"inputs": ["a", "b"]})
    talk.context.admit()
    talk.answer("A")
    talk.settle()
    assert (ear.status, reply(ear)["errorCode"]) == (429, "ERR_RATE_LIMITED")
    assert ear.lines[b"x-ratelimit-remaining-requests"] == b"0"
    assert ear.lines[b"retry-after"] == b"60"
    assert talk.context.said == ["leave"]
    talk.stage.quiet()


def test_what_limits_leave_is_told_at_the_head_of_a_stream() -> None:
    talk = Talk(Gated(quotas=all_of(requests=((3, 60.0),))))
    _, ear = talk.ask({"inputs": ["a"]}, accept=EVENTS)
    talk.context.admit()
    talk.sent[0].stream(OPENING, word("A"), STOP, DONE)
    talk.context.wrote()
    assert ear.lines[b"x-ratelimit-remaining-requests"] == b"2"
    talk.stage.quiet()


# --- streams -----------------------------------------------------------------------------------


def test_text_is_told_as_it_is_written() -> None:
    talk = Talk()
    _, ear = talk.ask({"inputs": ["a", "b"]}, accept=f"application/json, {EVENTS}")
    talk.context.admit()
    assert talk.sent[0].body["stream"] is True
    talk.sent[0].begin()
    talk.sent[0].say(OPENING)
    assert ear.heard == []
    talk.sent[0].say(word("He"))
    assert events(ear) == [{"conversationContext": "new-1", "outputs": [{"result": "He"}]}]
    assert ear.lines[b"content-type"] == b"text/event-stream"
    talk.sent[0].say(word("llo"), STOP, DONE)
    talk.sent[0].done()
    assert events(ear)[-1]["outputs"][0]["parameters"]["finish_reason"] == "stop"
    talk.settle()
    talk.sent[1].stream(OPENING, word("World"), STOP, DONE)
    # The last piece waits until it is written.
    assert events(ear)[-1]["outputs"] == [{}, {"result": "World"}]
    talk.context.wrote()
    assert list(events(ear)[-1]["outputs"][1]) == ["parameters"]
    assert ear.text.endswith(b"data: [DONE]\n\n")
    assert ear.heard[-1] == ("finish", False)
    assert talk.context.new[-1] == Turn("assistant", "World")
    told = ["".join(one["outputs"][place].get("result", "") for one in events(ear)[place:]
                    if len(one["outputs"]) > place) for place in (0, 1)]  # fmt: skip
    assert told == ["Hello", "World"]
    talk.stage.quiet()


def test_a_stream_that_broke_says_so_and_is_not_remembered() -> None:
    talk = Talk()
    _, ear = talk.ask({"inputs": ["a"]}, accept=EVENTS)
    talk.context.admit()
    talk.sent[0].begin()
    talk.sent[0].say(OPENING, word("He"))
    talk.sent[0].fail(BUSY)
    assert b"event: error\ndata: " in ear.text
    assert events(ear)[-1]["errorCode"] == "ERR_CONVERSATION_INVOKE"
    assert b"[DONE]" not in ear.text
    assert ear.heard[-1] == ("finish", True)
    assert talk.context.said == ["leave"]
    talk.stage.quiet()


def test_a_stream_that_never_began_is_an_answer() -> None:
    talk = Talk()
    _, ear = talk.ask({"inputs": ["a"]}, accept=EVENTS)
    talk.context.admit()
    talk.sent[0].whole(error("boom"), status=400)
    assert reply(ear)["errorCode"] in ("ERR_CONVERSATION_INVALID_PARMS", "ERR_CONVERSATION_INVOKE")
    talk.stage.quiet()


def test_a_slow_caller_holds_up_the_call_of_now_and_the_one_after() -> None:
    talk = Talk()
    job, _ = talk.ask({"inputs": ["a", "b"]}, accept=EVENTS)
    talk.context.admit()
    job.pause()
    assert talk.sent[0].paused
    job.resume()
    assert not talk.sent[0].paused
    job.pause()
    talk.sent[0].stream(OPENING, word("A"), STOP, DONE)
    talk.settle()
    assert talk.sent[1].paused
    job.left()


# --- who leaves, and who is sent away -----------------------------------------------------------


def test_who_leaves_while_waiting_is_not_waited_for() -> None:
    talk = Talk()
    job, ear = talk.ask({"inputs": ["a"], "conversationContext": ID})
    job.left()
    talk.context.admit()
    assert (talk.sent, ear.heard, talk.context.said) == ([], [], ["leave"])
    talk.stage.quiet()


def test_who_leaves_in_the_middle_cancels_the_call() -> None:
    talk = Talk()
    job, ear = talk.ask({"inputs": ["a"]}, accept=EVENTS)
    talk.context.admit()
    talk.sent[0].begin()
    talk.sent[0].say(OPENING, word("He"))
    heard = list(ear.heard)
    job.left()
    assert talk.sent[0].cancelled
    assert ear.heard == heard
    assert talk.context.said == ["leave"]
    assert {one["outcome"] for one in talk.stage.records} == {"client_abort"}
    talk.stage.quiet()


def test_who_leaves_between_two_inputs_asks_no_more() -> None:
    talk = Talk()
    job, ear = talk.ask({"inputs": ["a", "b"]})
    talk.context.admit()
    talk.answer("A")
    job.left()
    talk.settle()
    assert (len(talk.sent), ear.heard, talk.context.said) == (1, [], ["leave"])
    talk.stage.quiet()


def test_who_leaves_while_it_is_written_hears_nothing() -> None:
    talk = Talk()
    job, ear = talk.ask({"inputs": ["a"]})
    talk.context.admit()
    talk.answer("A")
    job.left()
    talk.context.wrote()
    assert (ear.heard, talk.context.said) == ([], ["keep", "leave"])
    talk.stage.quiet()


@pytest.mark.parametrize("begun", [False, True])
def test_a_gateway_that_ends_tells_the_caller(begun: bool) -> None:
    talk = Talk()
    job, ear = talk.ask({"inputs": ["a"]}, accept=EVENTS)
    talk.context.admit()
    talk.sent[0].begin()
    if begun:
        talk.sent[0].say(OPENING, word("He"))
    job.cut(Failure("overloaded", "the gateway is shutting down"))
    assert talk.sent[0].cancelled
    assert b"ERR_OVERLOADED" in ear.text
    assert (ear.heard[0][0], ear.heard[-1]) == (("open", ("finish", True)) if begun else ("answer", ear.heard[-1]))
    assert talk.context.said == ["leave"]
    talk.stage.quiet()
