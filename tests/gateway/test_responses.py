"""Responses: what came before is recalled, what was answered is remembered, what nobody waits for is made."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gateway.parts import EVENTS, JSON, Ear, Stage, provider, registration
from parley.failure import Failure
from parley.ports import Kept, Recalled, Unattended

RESPONSES = b"/v1/responses"
CHAT_ANSWER = (
    b'{"id":"c-1","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'
)
NATIVE = msgspec.json.encode(
    {
        "id": "resp_native",
        "object": "response",
        "created_at": 1,
        "model": "m-2",
        "status": "completed",
        "output": [
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Hi.", "annotations": []}],
            }
        ],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
)
BEFORE = b'[{"type":"message","role":"user","content":"one"}]'


class Notes:
    """A memory that answers when told to."""

    def __init__(self, found: Recalled | Failure | None = None) -> None:
        self.found = found or Recalled(BEFORE, "full", True)
        self.kept: list[Kept] = []
        self.asked: list[tuple[str | None, str | None]] = []
        self.waiting: list[Callable[[], None]] = []
        self.late = False
        self.background: list[Maker] = []

    def recall(self, response_id: Any, conversation: Any, owner: str, then: Callable[[Any], None]) -> None:
        self.asked.append((response_id, conversation))
        if self.late:
            self.waiting.append(lambda: then(self.found))
        else:
            then(self.found)

    def resolve(self, items: bytes, owner: str, then: Callable[[Any], None]) -> None:
        then(items.replace(b'{"type":"item_reference","id":"msg_9"}', BEFORE[1:-1]))

    def keep(self, kept: Kept) -> None:
        self.kept.append(kept)

    def begin_background(self, kept: Kept, then: Callable[[Unattended | Failure], None]) -> None:
        self.background.append(Maker(kept))
        then(self.background[-1])


class Maker(Ear):
    def __init__(self, kept: Kept) -> None:
        super().__init__()
        self.kept = kept
        self.stop: Callable[[], None] | None = None

    def runs(self, stop: Callable[[], None]) -> None:
        self.stop = stop


def stage(notes: Notes | None = None) -> tuple[Stage, Notes]:
    on = Stage(
        registration("full", "full/m-2"),
        registration("spare", "full/m-2", "other/m-3"),
        providers=(
            provider("a"),
            provider("b"),
            provider("full", paths={"chat": "/chat/completions", "responses": "/responses"}),
            provider("other", paths={"chat": "/chat/completions", "responses": "/responses"}),
        ),
    )
    memory = notes or Notes()
    on.gateway.memory = memory
    return on, memory


def ask(on: Stage, model: str = "one", **members: Any) -> tuple[Any, Ear]:
    return on.ask_raw(msgspec.json.encode({"model": model, "input": "hi", **members}), RESPONSES)


def items(body: dict[str, Any]) -> list[Any]:
    found: list[Any] = body["input"]
    return found


def test_a_chat_only_provider_is_asked_in_a_translation_and_the_answer_is_remembered():
    on, notes = stage()
    _, ear = ask(on, instructions="Be brief.")
    (sent,) = on.sent
    assert sent.call.to.path == b"/v1/chat/completions"
    assert [turn["role"] for turn in sent.body["messages"]] == ["system", "user"]
    sent.whole(CHAT_ANSWER)
    made = msgspec.json.decode(ear.text)
    assert (made["object"], made["status"], made["instructions"]) == ("response", "completed", "Be brief.")
    assert made["output"][0]["content"][0]["text"] == "Hello."
    (kept,) = notes.kept
    assert (kept.id, kept.native, kept.provider, kept.response) == (made["id"], False, "a", ear.text)
    assert msgspec.json.decode(kept.input)[0]["content"] == [{"type": "input_text", "text": "hi"}]
    on.quiet()


def test_two_answers_never_share_an_id_even_where_the_caller_repeats_its_own():
    on, notes = stage()
    numbers = iter([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8] * 9)
    on.gateway.rand = lambda: next(numbers)
    for _ in range(2):
        ask(on)
        on.sent[-1].whole(CHAT_ANSWER)
    first, second = notes.kept
    assert first.id != second.id


def test_a_provider_that_speaks_it_gets_it_as_it_is():
    on, notes = stage()
    _, ear = ask(on, "full", odd=[1], previous_response_id="resp_0")
    (sent,) = on.sent
    assert sent.call.to.path == b"/v1/responses"
    assert sent.body == {"model": "m-2", "input": "hi", "odd": [1], "previous_response_id": "resp_0"}
    sent.whole(NATIVE)
    assert ear.text == NATIVE
    assert notes.asked == [("resp_0", None)]
    assert (notes.kept[0].id, notes.kept[0].native, notes.kept[0].previous) == ("resp_native", True, "resp_0")


def test_after_a_change_of_provider_what_came_before_is_sent_along():
    on, _ = stage()
    ask(on, "spare", previous_response_id="resp_0")
    on.sent[0].fail()
    on.clock.advance(5)
    first, second = on.sent
    assert first.body["previous_response_id"] == "resp_0"
    assert "previous_response_id" not in second.body
    assert [item["content"] for item in items(second.body)] == ["one", [{"type": "input_text", "text": "hi"}]]
    assert second.body["model"] == "m-3"


def test_a_translation_holds_what_came_before():
    on, notes = stage(Notes(Recalled(BEFORE, "", False)))
    _, ear = ask(on, conversation={"id": "conv_1"})
    assert notes.asked == [(None, "conv_1")]
    assert [turn["content"] for turn in on.sent[0].body["messages"]] == ["one", "hi"]
    on.sent[0].whole(CHAT_ANSWER)
    assert notes.kept[0].conversation == "conv_1"
    assert ear.status == 200


def test_what_nobody_knows_is_refused_or_left_to_a_provider_that_may():
    unknown = Failure("invalid_request", "no such response", status=404, param="previous_response_id")
    on, _ = stage(Notes(unknown))
    _, ear = ask(on, previous_response_id="resp_x")
    assert (ear.status, ear.error["param"], on.sent) == (404, "previous_response_id", [])
    ask(on, "full", previous_response_id="resp_x")
    assert on.sent[0].body["previous_response_id"] == "resp_x"


def test_a_caller_who_leaves_while_it_is_recalled_is_not_served():
    on, notes = stage()
    notes.late = True
    job, ear = ask(on, previous_response_id="resp_0")
    job.left()
    for tell in notes.waiting:
        tell()
    assert (on.sent, ear.heard) == ([], [])
    on.quiet()


def test_references_are_written_out():
    on, _ = stage()
    ask(on, input=[{"type": "item_reference", "id": "msg_9"}, {"role": "user", "content": "two"}])
    assert [turn["content"] for turn in on.sent[0].body["messages"]] == ["one", "two"]


@pytest.mark.parametrize("store", [False, True, None])
def test_the_caller_decides_whether_it_is_remembered(store: bool | None):
    on, notes = stage()
    ask(on, store=store)
    on.sent[0].whole(CHAT_ANSWER)
    assert len(notes.kept) == (store is not False)


def test_words_of_an_answer_are_not_taken_for_its_end():
    on, notes = stage()
    _, ear = ask(on, stream=True)
    said = "event: response.completed"
    start = b'data: {"id":"c-1","model":"m-1","choices":[{"index":0,"delta":'
    on.sent[0].stream(
        start + msgspec.json.encode({"role": "assistant", "content": said}) + b',"finish_reason":"stop"}]}\n\n',
        b"data: [DONE]\n\n",
    )
    (kept,) = notes.kept
    assert msgspec.json.decode(kept.response)["output"][0]["content"][0]["text"] == said
    assert ear.heard[-1] == ("finish", False)


def test_a_stream_is_remembered_by_its_last_event_before_the_caller_hears_it():
    on, notes = stage()
    _, ear = ask(on, stream=True)
    sent = on.sent[0]
    sent.begin(headers=EVENTS)
    start = b'data: {"id":"c-1","model":"m-1","choices":[{"index":0,"delta":'
    sent.say(start + b'{"role":"assistant","content":"Hel"}}]}\n\n')
    sent.say(start + b'{"content":"lo."},"finish_reason":"stop"}]}\n\n')
    assert notes.kept == []
    sent.say(b"data: [DONE]\n\n")
    sent.done()
    (kept,) = notes.kept
    assert msgspec.json.decode(kept.response)["output"][0]["content"][0]["text"] == "Hello."
    assert kept.response in ear.text
    assert ear.heard[-1] == ("finish", False)
    on.quiet()


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"previous_response_id": 5}, "previous_response_id"),
        ({"conversation": 5}, "conversation"),
        ({"conversation": {}}, "conversation.id"),
        ({"previous_response_id": "a", "conversation": "b"}, "previous_response_id"),
        ({"input": 5}, "input"),
        ({"background": "yes"}, "background"),
        ({"background": True, "stream": True}, "stream"),
        ({"background": True, "store": False}, "store"),
        ({"store": "yes"}, "store"),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], param: str):
    on, _ = stage()
    _, ear = ask(on, **members)
    assert (ear.status, ear.error["param"], on.sent) == (400, param, [])
    on.quiet()


def test_a_background_response_is_answered_at_once_and_made_afterwards():
    on, notes = stage()
    _, ear = ask(on, background=True, metadata={"a": "b"})
    (maker,) = notes.background
    assert (ear.status, ear.text) == (200, maker.kept.response)
    assert maker.heard == []
    on.sent[0].whole(CHAT_ANSWER, headers=JSON)
    made = msgspec.json.decode(maker.text)
    assert made["output"][0]["content"][0]["text"] == "Hello."
    assert notes.kept == []
    on.quiet()


def test_a_background_response_can_be_stopped():
    on, notes = stage()
    ask(on, background=True)
    stop = notes.background[0].stop
    assert stop is not None
    stop()
    assert on.sent[0].cancelled
    on.quiet()
