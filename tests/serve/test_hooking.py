"""Hooks around requests: what they may change, refuse and break. What was really sent and what really came is looked
at."""

from typing import Any

import msgspec
import pytest
from tests.gateway.parts import ANSWER, CHAT, COUNT, DONE, MESSAGES, OPENING, STOP, WORD, Sent
from tests.serve.hooked_parts import Hooked

from parley.cache import MemoryShelf, Plan, ResponseCache
from parley.hooks import AnswerView, Refusal, Refused, RequestView
from parley.hooks.scrub import Scrub

SECRET = ANSWER.replace(b"Hello.", b"Mail test@test.com.")


class Upper:
    """Says everything louder."""

    def request(self, view: RequestView) -> None:
        for text in view.texts:
            text.text = text.text.upper()

    def answer(self, view: AnswerView) -> None:
        for text in view.texts:
            text.text = text.text.upper()


class Failing:
    def request(self, view: RequestView) -> None:
        view.texts[0].text = "changed before it failed"
        raise ZeroDivisionError("hi is in it")

    def answer(self, view: AnswerView) -> None:
        view.texts[0].text = "changed before it failed"
        raise ZeroDivisionError("Hello is in it")


class Failing2(Failing):
    """By pieces."""

    answer = None  # type: ignore[assignment]

    def pieces(self, view: AnswerView) -> Any:
        raise ZeroDivisionError


def refusing(status: int = 403) -> Any:
    class Refuses:
        def request(self, view: RequestView) -> Refusal:
            return Refusal("not here", status)

    return Refuses()


def body_of(sent: Sent) -> bytes:
    return b"".join(sent.call.body)


def test_a_request_that_is_not_changed_goes_byte_for_byte() -> None:
    class Looks:
        def request(self, view: RequestView) -> None:
            seen.append((view.dialect, view.operation, view.model, [text.text for text in view.texts]))

    seen: list[Any] = []
    stage = Hooked(Looks())
    body = b'{ "model":"m-1",  "temperature":1.0, "messages":[{"role":"user","content":"caf\\u00e9"}] }'
    stage.ask_raw(body.replace(b"m-1", b"a/m-1"))
    sent = b'{"model":"m-1","temperature":1.0,"messages":[{"role":"user","content":"caf\\u00e9"}]}'
    assert body_of(stage.last()) == sent
    assert seen == [("openai", "chat", "a/m-1", ["café"])]


def test_only_changed_texts_change() -> None:
    stage = Hooked(Upper())
    stage.ask_raw(b'{"model":"one","n":1e0,"messages":[{"role":"user","name":"bob","content":"say hi"}]}')
    assert (
        body_of(stage.last()) == b'{"model":"m-1","n":1e0,"messages":[{"role":"user","name":"bob","content":"SAY HI"}]}'
    )
    stage.last().whole()
    stage.quiet()


def test_an_answer_changes_in_its_texts_alone() -> None:
    stage = Hooked(Upper())
    _, ear = stage.ask()
    stage.last().whole()
    assert ear.text == ANSWER.replace(b"Hello.", b"HELLO.")


def test_a_translated_request_and_answer_are_seen_in_the_callers_dialect() -> None:
    stage = Hooked(Upper())
    _, ear = stage.ask("one", MESSAGES, system="be kind")
    sent = stage.last().body
    assert [message["content"] for message in sent["messages"]] == ["BE KIND", "HI"]
    stage.last().whole()
    assert msgspec.json.decode(ear.text)["content"][0]["text"] == "HELLO."


def test_hooks_are_asked_in_their_order() -> None:
    class Adds:
        def __init__(self, word: str) -> None:
            self.word = word

        def request(self, view: RequestView) -> None:
            view.texts[0].text += self.word

    stage = Hooked(Adds("1"), Adds("2"))
    stage.ask()
    assert stage.last().body["messages"][0]["content"] == "hi12"


def test_a_hook_may_put_another_request_in_place_which_is_admitted_anew() -> None:
    class Moves:
        def request(self, view: RequestView) -> None:
            view.replace({**view.body, "model": "two", "seed": 5})

    stage = Hooked(Moves())
    job, _ = stage.ask("one")
    assert job.model == "two"
    assert (stage.last().body["seed"], stage.last().body["model"]) == (5, "m-1")
    stage.last().whole()
    stage.quiet()

    class Loses:
        def request(self, view: RequestView) -> None:
            view.replace({**view.body, "model": "nobody"})

    stage = Hooked(Loses())
    _, ear = stage.ask("one")
    assert ear.status == 404
    assert stage.sent == []
    stage.quiet()


@pytest.mark.parametrize(
    ("status", "answered", "code"),
    [
        (403, 403, "forbidden"),
        (400, 400, "invalid_request"),
        (401, 401, "unauthorized"),
        (451, 451, "forbidden"),
        (200, 403, "forbidden"),
    ],
)
def test_a_refusal_is_the_answer_in_the_callers_dialect(status: int, answered: int, code: str) -> None:
    stage = Hooked(refusing(status))
    _, ear = stage.ask()
    assert ear.status == answered
    assert (ear.error["code"], ear.error["message"]) == (code, "not here")
    _, ear = stage.ask("one", MESSAGES)
    assert (ear.status, ear.error["message"]) == (answered, "not here")
    assert stage.sent == []
    assert [record["kind"] for record in stage.records] == ["hook", "hook"]
    stage.quiet()


def test_an_answer_that_is_refused_is_an_error_and_no_other_target_is_asked() -> None:
    class Refuses:
        def answer(self, view: AnswerView) -> Refusal | None:
            return Refusal(f"{view.target} said too much") if "Hello" in view.texts[0].text else None

    stage = Hooked(Refuses())
    _, ear = stage.ask("two")
    stage.last().whole()
    assert (ear.status, ear.error["message"]) == (403, "a/m-1 said too much")
    assert len(stage.sent) == 1
    stage.quiet()
    # A stream is held back until it is known.
    _, ear = stage.ask("two", stream=True)
    stage.last().begin()
    stage.last().say(OPENING, WORD)
    assert ear.heard == []
    stage.last().say(STOP, DONE)
    assert ear.status == 403
    assert ear.error["message"] == "a/m-1 said too much"
    stage.quiet()


def test_a_stream_that_is_refused_on_its_way_ends_with_an_error() -> None:
    class Watches:
        def pieces(self, view: AnswerView) -> Any:
            class Each:
                def feed(self, text: str) -> str:
                    if "bad" in text:
                        raise Refused(Refusal("enough"))
                    return text

                def close(self) -> str:
                    return ""

            return Each()

    stage = Hooked(Watches())
    _, ear = stage.ask(stream=True)
    stage.last().begin()
    stage.last().say(OPENING, WORD, WORD)
    stage.last().say(WORD.replace(b"Hello.", b"bad"))
    assert ear.heard[-1] == ("finish", True)
    assert b"enough" in ear.text
    assert b"[DONE]" not in ear.text
    assert b"bad" not in ear.text
    assert stage.last().cancelled
    stage.clock.advance(1)
    stage.quiet()


# A hook that fails


@pytest.mark.parametrize("hook", [Failing(), Failing2()])
def test_a_hook_that_fails_refuses_unless_it_is_said_otherwise(hook: Any, caplog: pytest.LogCaptureFixture) -> None:
    stage = Hooked(hook)
    _, ear = stage.ask()
    assert (ear.status, ear.error["code"]) == (500, "internal")
    assert stage.sent == []
    assert "ZeroDivisionError" in caplog.text
    assert "is in it" not in caplog.text
    stage.quiet()
    stage = Hooked(hook, on_failure="pass")
    _, ear = stage.ask()
    assert stage.last().body["messages"][0]["content"] == "hi"
    stage.last().whole()
    assert ear.text == ANSWER
    _, ear = stage.ask(stream=True)
    stage.last().stream(OPENING, WORD, STOP, DONE)
    assert ear.text == OPENING + WORD + STOP + DONE
    stage.clock.advance(1)
    stage.quiet()


def test_a_hook_that_fails_on_an_answer_refuses_it() -> None:
    class Fails:
        answer = Failing.answer

    stage = Hooked(Fails())
    _, ear = stage.ask("two")
    stage.last().whole()
    assert ear.status == 500
    assert len(stage.sent) == 1
    stage.quiet()


def test_a_hook_that_wants_to_end_the_process_has_failed_like_any_other() -> None:
    class Leaves:
        def request(self, view: RequestView) -> None:
            raise SystemExit

    stage = Hooked(Leaves())
    _, ear = stage.ask()
    assert (ear.status, ear.error["code"]) == (500, "internal")
    stage.quiet()

    class LeavesLater:
        def answer(self, view: AnswerView) -> None:
            raise SystemExit

    stage = Hooked(LeavesLater())
    _, ear = stage.ask()
    stage.last().whole()
    assert (ear.status, ear.error["code"]) == (500, "internal")
    stage.quiet()


# Which requests


def test_only_models_that_are_named_and_never_the_counting_of_tokens() -> None:
    stage = Hooked(Upper(), models=("t*", "claude"))
    stage.ask("one")
    assert stage.last().body["messages"][0]["content"] == "hi"
    stage.ask("two")
    assert stage.last().body["messages"][0]["content"] == "HI"
    stage.ask("claude", COUNT)
    assert stage.last().body["messages"][0]["content"] == "hi"


def test_a_hook_sees_the_callers_headers_without_credentials() -> None:
    seen: list[Any] = []

    class Looks:
        def request(self, view: RequestView) -> None:
            seen.append(dict(view.headers))

    headers = [(b"authorization", b"Bearer k"), (b"x-api-key", b"k"), (b"cookie", b"c"), (b"x-team", b"blue")]
    Hooked(Looks()).ask("one", CHAT, headers)
    assert seen == [{"x-team": "blue"}]


def test_what_is_kept_is_what_the_caller_got_and_by_the_request_as_it_was_changed() -> None:
    stage = Hooked(Upper())
    plan = Plan(MemoryShelf(1 << 20, stage.clock.now), 60.0)
    stage.gateway.cache = ResponseCache(stage.gateway, lambda found: plan, ())
    stage.ask()
    stage.last().whole()
    _, ear = stage.ask(messages=[{"role": "user", "content": "HI"}])
    assert ear.lines[b"x-parley-cache"] == b"hit"
    assert ear.text == ANSWER.replace(b"Hello.", b"HELLO.")


# Personal data


def test_personal_data_does_not_reach_the_provider_nor_the_caller() -> None:
    stage = Hooked(Scrub())
    _, ear = stage.ask(messages=[{"role": "user", "content": "I am test@test.com"}])
    assert stage.last().body["messages"][0]["content"] == "I am <EMAIL_ADDRESS>"
    stage.last().whole(SECRET)
    assert ear.text == SECRET.replace(b"test@test.com", b"<EMAIL_ADDRESS>")
    _, ear = stage.ask(stream=True)
    pieces = [WORD.replace(b"Hello.", piece) for piece in (b"Mail te", b"st@te", b"st.co", b"m. Bye")]
    stage.last().stream(OPENING, *pieces, STOP, DONE)
    said = "".join(
        event["choices"][0]["delta"].get("content", "")
        for event in (msgspec.json.decode(line[6:]) for line in ear.text.split(b"\n\n")[:-2])
    )
    assert said == "Mail <EMAIL_ADDRESS>. Bye"
    assert ear.heard[-1] == ("finish", False)
    stage.clock.advance(1)
    stage.quiet()


@pytest.mark.parametrize(
    ("options", "asked", "answered"),
    [
        ({"answers": False}, "<EMAIL_ADDRESS>", b"test@test.com"),
        ({"requests": False}, "test@test.com", b"<EMAIL_ADDRESS>"),
        ({"entities": ["IP"]}, "test@test.com", b"test@test.com"),
        ({"roles": ["system"]}, "test@test.com", b"<EMAIL_ADDRESS>"),
    ],
)
def test_options_of_the_scrubber(options: dict[str, Any], asked: str, answered: bytes) -> None:
    stage = Hooked(Scrub(**options))
    _, ear = stage.ask(messages=[{"role": "user", "content": "test@test.com"}])
    assert stage.last().body["messages"][0]["content"] == asked
    stage.last().whole(SECRET)
    assert answered in ear.text


def test_an_entity_that_nobody_knows_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="unknown entity 'NAME'"):
        Scrub(entities=["IP", "NAME"])
