"""Requests of the shipped forms that name a conversation: what was said is put in front, what is said is kept."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from cache.parts import Cached
from gateway.contexts import GONE, ID, Talk
from gateway.parts import Ear, error
from parley.failure import Failure
from parley.gateway.talking import TurnsJob
from parley.wire.dapr.turns import LONGEST, Call, Turn

ONE, TWO = (f"/v1.0-{form}/conversation/{{}}/converse" for form in ("alpha1", "alpha2"))


def user(text: str) -> dict[str, Any]:
    return {"messages": [{"ofUser": {"content": [{"text": text}]}}]}


def first(text: str = "now", **more: Any) -> dict[str, Any]:
    return {"contextID": ID, "inputs": [{"content": text}], **more}


def second(text: str = "now", **more: Any) -> dict[str, Any]:
    return {"contextId": ID, "inputs": [user(text)], **more}


def reply(ear: Ear) -> Any:
    assert [word for word, *_ in ear.heard] == ["answer", "body"]
    return json.loads(ear.text)


def messages(talk: Talk) -> list[tuple[str, str]]:
    return [(one["role"], one.get("content", "")) for one in talk.sent[-1].body["messages"]]


@pytest.mark.parametrize(("path", "body"), [(ONE, first()), (TWO, second())])
def test_what_was_said_comes_first_and_what_is_said_is_kept(path: str, body: Any) -> None:
    talk = Talk()
    _, ear = talk.ask(body, path)
    assert (talk.context.place, talk.context.id, talk.sent) == ("one", ID, [])
    talk.context.admit(("system", "be brief"), ("user", "before"), ("assistant", "yes"))
    assert messages(talk) == [("system", "be brief"), ("user", "before"), ("assistant", "yes"), ("user", "now")]
    talk.answer("A")
    assert ear.heard == []
    assert talk.context.new == [Turn("user", "now"), Turn("assistant", "A")]
    talk.context.wrote()
    told = reply(ear)
    assert told.get("contextID", told.get("contextId")) == ID
    assert talk.context.said == ["keep", "leave"]
    talk.stage.quiet()


@pytest.mark.parametrize("path", [ONE, TWO])
@pytest.mark.parametrize("name", ["c1", "", ID.upper(), f"{ID} ", "fb512b84-7a1a-4fb4-8bd2-ac7d2ec4598"])
def test_what_is_no_id_of_ours_is_only_told_back(path: str, name: str) -> None:
    talk = Talk()
    body = first(contextID=name) if path is ONE else second(contextId=name)
    _, ear = talk.ask(body, path)
    talk.answer("A")
    told = reply(ear)
    assert told.get("contextID", told.get("contextId", "")) == name
    assert talk.contexts.given == []
    talk.stage.quiet()


def test_a_conversation_has_a_longest_length() -> None:
    talk = Talk()
    _, ear = talk.ask(second(), TWO)
    talk.context.admit(("user", "x" * LONGEST))
    assert reply(ear)["errorCode"] == "ERR_CONVERSATION_INVOKE"
    assert "longer than" in reply(ear)["message"]
    assert (talk.sent, talk.context.said) == ([], ["leave"])
    talk.stage.quiet()


def test_an_id_that_nobody_knows_is_only_told_back() -> None:
    talk = Talk()
    _, ear = talk.ask(second(), TWO)
    talk.context.then(GONE)
    assert messages(talk) == [("user", "now")]
    talk.answer("A")
    assert reply(ear)["contextId"] == ID
    assert talk.context.said == ["leave"]
    talk.stage.quiet()


def test_a_store_that_is_away_is_a_failure_and_not_an_empty_conversation() -> None:
    talk = Talk()
    _, ear = talk.ask(second(), TWO)
    talk.context.then(Failure("internal", "the store is away"))
    assert ear.status == 500
    assert "outputs" not in reply(ear)
    assert talk.sent == []
    talk.stage.quiet()


def test_calls_of_tools_and_their_results_are_turns_too() -> None:
    talk = Talk()
    called = {"id": "t1", "function": {"name": "f", "arguments": "{}"}}
    result = {"ofTool": {"toolId": "t1", "name": "f", "content": [{"text": "42"}]}}
    said = {"ofAssistant": {"content": [{"text": "let me see"}], "toolCalls": [called]}}
    _, ear = talk.ask(second(inputs=[{"messages": [said, result]}]), TWO)
    talk.context.admit(("user", "before"))
    again = {"id": "t2", "type": "function", "function": {"name": "g", "arguments": "[]"}}
    talk.answer("", tool_calls=[again])
    assert talk.context.new == [
        Turn("assistant", "let me see", (Call("f", "{}", "t1"),)),
        Turn("tool", "42", answers="t1", name="f"),
        Turn("assistant", "", (Call("g", "[]", "t2"),)),
    ]
    talk.context.wrote()
    [output] = reply(ear)["outputs"]
    assert output["choices"][0]["message"]["toolCalls"][0]["id"] == "t2"
    talk.stage.quiet()


def test_what_is_private_is_not_kept() -> None:
    talk = Talk()
    scrubbed = {**user("mail a@example.org"), "scrubPii": True}
    talk.ask(second(inputs=[scrubbed]), TWO)
    talk.context.admit()
    talk.answer("A")
    assert talk.context.new[0] == Turn("user", "mail <EMAIL_ADDRESS>")


# --- what concerns the answer alone ------------------------------------------------------------


def result(ear: Ear) -> str:
    [output] = reply(ear)["outputs"]
    text: str = output["result"] if "result" in output else output["choices"][0]["message"]["content"]
    return text


def test_the_first_form_s_parameters_are_told_back_with_every_result() -> None:
    talk = Talk()
    given = {"n": {"@type": "type.googleapis.com/google.protobuf.Int64Value", "value": "100"}}
    _, ear = talk.ask({"inputs": [{"content": "now"}], "parameters": given, "contextID": "c1"}, ONE)
    assert "parameters" not in talk.sent[0].body
    talk.answer("A")
    assert reply(ear) == {"contextID": "c1", "outputs": [{"result": "A", "parameters": given}]}
    _, ear = talk.ask(second(parameters=given), TWO)
    talk.context.admit()
    talk.answer("A")
    talk.context.wrote()
    assert "parameters" not in reply(ear)["outputs"][0]


def test_an_error_wears_nothing() -> None:
    talk = Talk()
    _, ear = talk.ask({"inputs": [{"content": "now"}], "contextID": "c1", "scrubPII": True}, ONE)
    talk.sent[0].whole(error("call +2222222222"), status=500)
    assert set(reply(ear)) == {"errorCode", "message"}


def test_what_is_kept_for_all_is_told_to_each_as_it_asked() -> None:
    talk = Talk(Cached())
    asked: list[dict[str, Any]] = [
        {"contextID": "c1"}, {"contextID": "c2", "scrubPII": True}, {}, {"scrubPII": False, "contextID": ""},
        {"parameters": {"n": {"@type": "type.googleapis.com/google.protobuf.BoolValue", "value": True}}},
    ]  # fmt: skip
    heard = []
    for more in asked:
        _, ear = talk.ask({"inputs": [{"content": "now"}], **more}, ONE)
        if not ear.heard:
            talk.answer("call +2222222222")
        heard.append(reply(ear))
    assert len(talk.sent) == 1
    assert [one.get("contextID") for one in heard] == ["c1", "c2", None, None, None]
    shown = [one["outputs"][0]["result"] for one in heard]
    assert shown == ["call +2222222222", "call <PHONE_NUMBER>", *["call +2222222222"] * 3]
    assert ["parameters" in one["outputs"][0] for one in heard] == [False] * 4 + [True]


def test_what_no_model_hears_is_no_other_request() -> None:
    talk = Talk(Cached())
    named = {"messages": [{"ofUser": {"name": "ann", "content": [{"text": "now"}]}}]}
    for more in ({}, {"inputs": [named]}, {"temperature": 0}, {"name": "x"}, {"scrubPii": True}, {"contextId": "c1"}):
        _, ear = talk.ask({"inputs": [user("now")], **more}, TWO)
        if not ear.heard:
            talk.answer("A")
        assert result(ear) == "A"
    assert len(talk.sent) == 1


# --- large texts -------------------------------------------------------------------------------

LARGE = "call +2222222222 or mail a@example.org; " * 2000
CLEAN = "call <PHONE_NUMBER> or mail <EMAIL_ADDRESS>; " * 2000


def step(talk: Talk) -> None:
    """One turn of the loop."""
    [timer] = talk.stage.clock.pending[-1:]
    call, timer.call = timer.call, None
    assert call is not None
    call()


def turned(talk: Talk, done: Callable[[], bool]) -> int:
    """How many turns of the loop that took."""
    for number in range(1000):
        if done():
            return number
        step(talk)
    raise AssertionError("it never ends")


@pytest.mark.parametrize("path", [ONE, TWO])
def test_large_texts_are_scrubbed_beside_all_else(path: str) -> None:
    talk = Talk()
    inputs: Any = [{"content": LARGE, "scrubPII": True}]
    if path is TWO:
        inputs = [
            {**user(LARGE), "scrubPii": True},
            {**user("mail b@example.org"), "scrubPii": True},
            user("+2222222222"),
        ]
    _, ear = talk.ask({"inputs": inputs, "scrubPII": True, "scrubPii": True}, path)
    assert talk.sent == []
    # Somebody else is not held up.
    talk.ask({"inputs": [{"content": "quick"}]}, ONE)
    assert [one.body["messages"][0]["content"] for one in talk.sent] == ["quick"]
    assert turned(talk, lambda: len(talk.sent) == 2) > 5
    seen = [text for _, text in messages(talk)]
    assert seen == ([CLEAN] if path is ONE else [CLEAN, "mail <EMAIL_ADDRESS>", "+2222222222"])
    talk.answer(LARGE)
    assert ear.heard == []
    assert turned(talk, lambda: bool(ear.heard)) > 5
    assert result(ear) == CLEAN
    assert ear.lines[b"x-parley-attempts"] == b"1"


def test_several_large_texts_take_turns() -> None:
    talk = Talk()
    for _ in range(3):
        talk.ask({"inputs": [{"content": LARGE, "scrubPII": True}]}, ONE)
    assert len(talk.stage.clock.pending) - len([one for one in talk.stage.clock.pending if one.at > 1000]) == 1
    turned(talk, lambda: len(talk.sent) == 1)
    # All three were nearly done when the first one was.
    assert turned(talk, lambda: len(talk.sent) == 3) < 4


@pytest.mark.parametrize("where", ["request", "answer"])
def test_who_leaves_is_not_scrubbed_for(where: str) -> None:
    talk = Talk()
    large = [{"content": LARGE, "scrubPII": True}]
    job, ear = talk.ask({"inputs": large if where == "request" else [{"content": "x"}], "scrubPII": True}, ONE)
    if where == "answer":
        talk.answer(LARGE)
    step(talk)
    job.left()
    talk.settle()
    assert (len(talk.sent), ear.heard) == (int(where == "answer"), [])
    talk.stage.quiet()


def test_what_is_scrubbed_is_what_is_kept() -> None:
    talk = Talk()
    _, ear = talk.ask({"contextID": ID, "inputs": [{"content": LARGE, "scrubPII": True}], "scrubPII": True}, ONE)
    assert talk.contexts.given == []
    turned(talk, lambda: bool(talk.contexts.given))
    talk.context.admit()
    talk.answer("+2222222222")
    assert talk.context.new == [Turn("user", CLEAN), Turn("assistant", "<PHONE_NUMBER>")]
    talk.context.wrote()
    assert result(ear) == "<PHONE_NUMBER>"


def test_a_request_that_failed_is_not_kept() -> None:
    talk = Talk()
    _, ear = talk.ask(second(), TWO)
    talk.context.admit(("user", "before"))
    talk.sent[0].whole(error("boom"), status=500)
    assert (ear.status, reply(ear)["errorCode"]) == (500, "ERR_CONVERSATION_INVOKE")
    assert talk.context.said == ["leave"]
    talk.stage.quiet()


def test_an_answer_that_cannot_be_written_is_none() -> None:
    talk = Talk()
    _, ear = talk.ask(second(), TWO)
    talk.context.admit()
    talk.answer("A")
    talk.context.wrote(Failure("internal", "the disk is full"))
    assert (ear.status, reply(ear)["errorCode"]) == (500, "ERR_CONVERSATION_INVOKE")
    talk.stage.quiet()


def test_an_answer_that_was_kept_for_all_is_a_turn_like_any_other() -> None:
    talk = Talk(Cached())
    for number in range(2):
        _, ear = talk.ask(second(), TWO)
        talk.context.admit(("user", "before"))
        if number == 0:
            talk.answer("A")
        assert ear.heard == []
        assert talk.context.new == [Turn("user", "now"), Turn("assistant", "A")]
        talk.context.wrote()
        assert ear.lines[b"x-parley-cache"] == (b"hit" if number else b"miss")
        assert reply(ear)["outputs"][0]["choices"][0]["message"]["content"] == "A"
    assert len(talk.sent) == 1
    # Another conversation is another request.
    talk.ask(second(), TWO)
    talk.context.admit(("user", "something else"))
    assert len(talk.sent) == 2


@pytest.mark.parametrize("when", ["waiting", "asking", "writing"])
def test_who_leaves_lets_go(when: str) -> None:
    talk = Talk()
    job, ear = talk.ask(second(), TWO)
    if when != "waiting":
        talk.context.admit()
    if when == "writing":
        talk.answer("A")
    job.left()
    if when == "waiting":
        talk.context.admit()
        assert talk.sent == []
    if when == "asking":
        assert talk.sent[0].cancelled
    if when == "writing":
        talk.context.wrote()
    assert ear.heard == []
    assert talk.context.said == (["keep", "leave"] if when == "writing" else ["leave"])
    talk.stage.quiet()


def test_without_a_store_a_context_is_told_back_as_a_sidecar_does() -> None:
    talk = Talk()
    talk.stage.gateway.contexts = None
    _, ear = talk.ask(second(), TWO)
    talk.answer("A")
    assert reply(ear)["contextId"] == ID


def test_what_is_wrong_takes_no_turn() -> None:
    talk = Talk()
    _, ear = talk.ask(second(inputs=[]), TWO)
    assert reply(ear)["errorCode"] == "ERR_CONVERSATION_MISSING_INPUTS"
    _, ear = talk.ask(second(), TWO, model="nobody")
    assert reply(ear)["errorCode"] == "ERR_CONVERSATION_NOT_FOUND"
    assert (talk.sent, talk.contexts.given) == ([], [])
    talk.stage.quiet()


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": ["now"]},
        {"inputs": [], "conversationContext": ID},
        {"inputs": [{"content": "a"}], "conversationContext": ""},
    ],
)
def test_a_body_of_the_proposal_is_one_on_the_first_forms_path(body: Any) -> None:
    talk = Talk()
    job, _ = talk.ask(body, ONE)
    assert isinstance(job, TurnsJob)


@pytest.mark.parametrize("body", [{"inputs": []}, {"inputs": [{"content": "a"}]}, {"inputs": ["a", {"content": "b"}]}])
def test_any_other_is_of_the_first_form(body: Any) -> None:
    talk = Talk()
    job, _ = talk.ask(body, ONE)
    assert not isinstance(job, TurnsJob)
    job.left()
