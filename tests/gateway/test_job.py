"""One request: what comes in, what goes up, what the caller hears, what is recorded."""

import msgspec
import pytest

from gateway.parts import ANSWER, CHAT, JSON, MESSAGES, WORD, Stage, only

# --- whole answers -----------------------------------------------------------------------------


def test_a_whole_answer() -> None:
    stage = Stage()
    _, ear = stage.ask("one", temperature=0.5)
    stage.clock.advance(0.25)
    (sent,) = stage.sent
    sent.whole(headers=[*JSON, (b"openai-model", b"m"), (b"set-cookie", b"x")])
    assert ear.heard == [("answer", 200), ("body", ANSWER)]
    assert ear.lines == {
        b"content-type": b"application/json",
        b"openai-model": b"m",
        b"x-request-id": b"req-1",
        b"request-id": b"req-1",
        b"x-parley-target": b"a/m-1",
        b"x-parley-attempts": b"1",
    }
    assert only(stage) == {
        "event": "request.end",
        "request_id": "req-1",
        "dialect": "openai",
        "model": "one",
        "provider": "a",
        "attempts": 1,
        "phase": "done",
        "outcome": "ok",
        "kind": "",
        "status": 200,
        "ms": 250.0,
        "ttfb_ms": 250.0,
        "in_tok": 3,
        "out_tok": 2,
        "usage": "exact",
    }
    stage.quiet()


def test_what_is_sent_upstream() -> None:
    stage = Stage()
    headers = [(b"authorization", b"Bearer caller"), (b"openai-beta", b"x"), (b"user-agent", b"me"), (b"cookie", b"c")]
    stage.ask("one", headers=headers, seed=1)
    (sent,) = stage.sent
    to = sent.call.to
    assert (to.method, to.origin, to.path) == (b"POST", "http://a.example", b"/v1/chat/completions")
    assert (to.connect, to.first_byte, to.idle, sent.call.total) == (1.0, 20.0, 30.0, 60.0)
    assert sent.lines == {
        b"content-type": b"application/json",
        b"accept": b"application/json",
        b"authorization": b"Bearer a-secret",
        b"x-request-id": b"req-1",
        b"openai-beta": b"x",
        b"user-agent": b"me",
    }
    assert sent.body == {"model": "m-1", "messages": [{"role": "user", "content": "hi"}], "seed": 1}


def test_what_is_sent_to_another_wire() -> None:
    stage = Stage()
    headers = [(b"authorization", b"Bearer caller"), (b"openai-beta", b"x"), (b"traceparent", b"00-1")]
    _, ear = stage.ask("claude", headers=headers, seed=1)
    (sent,) = stage.sent
    lines = sent.lines
    assert lines.pop(b"anthropic-version")
    assert lines == {
        b"content-type": b"application/json",
        b"accept": b"application/json",
        b"x-api-key": b"claude-secret",
        b"x-request-id": b"req-1",
        b"traceparent": b"00-1",
    }
    assert sent.body["model"] == "c-1"
    sent.whole(
        b'{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"text","text":"Hi."}],'
        b'"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}',
        headers=[*JSON, (b"anthropic-organization-id", b"o")],
    )
    made = msgspec.json.decode(ear.text)
    assert (made["choices"][0]["message"]["content"], made["model"]) == ("Hi.", "c-1")
    assert ear.lines[b"x-parley-dropped"] == b"seed"
    assert b"anthropic-organization-id" not in ear.lines
    assert (only(stage)["in_tok"], only(stage)["provider"]) == (3, "claude")


def test_usage_nobody_reported_is_estimated() -> None:
    stage = Stage()
    stage.ask("one", user="x" * 400)
    answer = ANSWER.replace(b'"usage"', b'"no_usage"')
    stage.sent[0].whole(answer)
    assert (only(stage)["usage"], only(stage)["out_tok"]) == ("estimated", len(answer) // 4)
    assert only(stage)["in_tok"] > 100


def test_any_model_of_a_known_provider() -> None:
    stage = Stage()
    _, ear = stage.ask("b/team/x:1")
    assert stage.sent[0].body["model"] == "team/x:1"
    stage.sent[0].whole()
    assert ear.lines[b"x-parley-target"] == b"b/team/x:1"


# --- admission ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"", 400, "invalid_json", None),
        (b'{"model":"one"', 400, "invalid_json", None),
        (b"[]", 400, "invalid_json", None),
        (b'{"messages":[]}', 400, "invalid_request", "model"),
        (b'{"model":7,"messages":[]}', 400, "invalid_request", "model"),
        (b'{"model":"","messages":[]}', 400, "invalid_request", "model"),
        (b'{"model":"one"}', 400, "invalid_request", "messages"),
        (b'{"model":"one","messages":{}}', 400, "invalid_request", "messages"),
        (b'{"model":"one","messages":null}', 400, "invalid_request", "messages"),
        (b'{"model":"one","messages":[],"stream":"yes"}', 400, "invalid_request", "stream"),
        (b'{"model":"none","messages":[]}', 404, "model_not_found", "model"),
        (b'{"model":"nobody/m","messages":[]}', 404, "model_not_found", "model"),
        (b'{"model":"a/","messages":[]}', 404, "model_not_found", "model"),
        (b'{"model":"strict","messages":[],"odd":1}', 400, "invalid_request", "odd"),
    ],
)
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_the_callers_own_faults_never_leave(
    path: bytes, body: bytes, status: int, code: str, param: str | None
) -> None:
    stage = Stage()
    _, ear = stage.ask_raw(body, path)
    assert (stage.sent, ear.status) == ([], status)
    if path == CHAT:
        assert (ear.error["code"], ear.error["param"]) == (code, param)
    assert param is None or param in ear.error["message"]
    assert b"x-should-retry" not in ear.lines
    assert (only(stage)["outcome"], only(stage)["status"], only(stage)["phase"]) == ("error", status, "pre")
    stage.quiet()


@pytest.mark.parametrize(("model", "path"), [("claude", CHAT), ("one", MESSAGES)])
def test_a_request_that_cannot_be_translated_names_its_field(model: str, path: bytes) -> None:
    stage = Stage()
    _, ear = stage.ask(model, path, messages=[{"role": "x", "content": "hi"}])
    assert (stage.sent, ear.status) == ([], 400)
    assert ear.error.get("param") in ("messages[0].role", None)
    assert "role" in ear.error["message"]
    assert only(stage)["kind"] == "invalid_request"
    stage.quiet()


def test_an_unknown_model_is_told_what_there_is() -> None:
    stage = Stage()
    _, ear = stage.ask("onee")
    assert "'onee'" in ear.error["message"]
    assert "one" in ear.error["message"].partition("there is")[2]


def test_an_unknown_model_is_told_of_models_found_on_this_machine() -> None:
    stage = Stage(offered=("b/found-here",))
    _, ear = stage.ask("nothing")
    assert (ear.status, ear.error["code"]) == (404, "model_not_found")
    assert "b/found-here" in ear.error["message"]


def test_too_many_open_streams() -> None:
    stage = Stage(streams=1)
    first, _ = stage.ask("one", stream=True)
    stage.sent[0].begin()
    stage.sent[0].say(WORD)
    _, ear = stage.ask("one", stream=True)
    assert (ear.status, ear.error["code"], ear.lines[b"retry-after"]) == (503, "overloaded", b"1")
    assert len(stage.sent) == 1
    assert stage.counts["parley_shed_total", "concurrency"] == 1
    first.left()
    stage.ask("one", stream=True)
    assert len(stage.sent) == 2


def test_a_fault_of_our_own_is_answered_too(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(stage.upstream, "send", broken)
    _, ear = stage.ask()
    assert (ear.status, ear.error["code"]) == (500, "internal")
    assert "ZeroDivisionError" in caplog.text
    stage.quiet()
