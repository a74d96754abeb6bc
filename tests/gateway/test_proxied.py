"""Requests that pass as they are: every byte both ways, whose words an error is in, and who is refused."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from gateway.parts import DONE, EVENTS, OPENING, STOP, WORD, Ear, Stage, provider, registration
from gateway.predict_parts import HELLO, SERVICES, at, keyed, stage, tell
from parley.failure import Failure
from parley.ports import Headers
from parley.settings import Quirks

ERROR = b'{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: Field required"}}'
PROXY = "https://caila.io/specs/mlp-data-gpt.yml#/ChatCompletionDirectProxy"


RAW = b'{ "model":"claude-x" ,"max_tokens" : 1.0e1,\n"messages":[{"role":"user","content":[]}], "strange":[1.50] }'
DIRECT = f"?dataType={quote(PROXY, safe='')}"


def proxied(here: Stage, service: str = "claude", headers: Headers | None = None, raw: bytes = RAW) -> Ear:
    return tell(here, at(f"predict{DIRECT}", service), raw, headers)[1]


@pytest.mark.parametrize(
    ("form", "body"),
    [
        (f"predict{DIRECT}", RAW),
        ("predict-with-config", b'{"dataType":"%b","data":%b}' % (PROXY.encode(), RAW)),
        ("predict-with-config-v2", json.dumps({"data": RAW.decode(), "dataType": PROXY})),
    ],
)
def test_the_bytes_are_the_callers(form: str, body: Any) -> None:
    here = stage()
    raw = body if isinstance(body, bytes) else body.encode()
    _, ear = tell(here, at(form, "claude"), raw, [(b"anthropic-beta", b"x"), (b"authorization", b"Bearer mine")])
    assert b"".join(here.sent[0].call.body) == RAW
    assert here.sent[0].call.to.path == b"/v1/messages"
    lines = here.sent[0].lines
    assert (lines[b"x-api-key"], lines[b"anthropic-beta"]) == (b"claude-secret", b"x")
    assert b"authorization" not in lines
    here.sent[0].whole(b'{ "anything" :[ ]}', headers=[(b"content-type", b"application/json; charset=utf-8")])
    assert (ear.status, ear.text) == (200, b'{ "anything" :[ ]}')
    assert ear.lines[b"content-type"] == b"application/json; charset=utf-8"
    here.quiet()


def test_what_cannot_be_merged_is_named() -> None:
    here = stage()
    _, ear = tell(here, at("predict-with-config", "claude"), {"data": {}, "config": {"a": 1}, "dataType": PROXY})
    here.sent[0].whole(b"{}")
    assert b"".join(here.sent[0].call.body) == b"{}"
    assert ear.lines[b"x-parley-dropped"] == b"config"


@pytest.mark.parametrize(("status", "body"), [(400, ERROR), (529, ERROR), (404, b"plain"), (418, b"")])
def test_errors_are_the_providers_own(status: int, body: bytes) -> None:
    here = Stage(registration("just-ai/claude", "claude/c-1", retries=registration("x", "a/x").retries))
    ear = proxied(here, headers=[(b"z-requestid", b"z")])
    while len(here.sent) and not ear.heard:
        here.sent[-1].whole(body, status, [(b"content-type", b"text/x"), (b"x-own", b"1")])
        here.clock.advance(10)
    assert (ear.status, ear.text) == (status, body)
    assert (ear.lines[b"content-type"], ear.lines[b"x-own"]) == (b"text/x", b"1")
    assert ear.lines[b"z-requestid"] == b"z"
    # Our own tries are spent; what is wrong with a request a client does not try again anyway.
    assert ear.lines.get(b"x-should-retry") == (b"false" if status == 529 else None)
    here.quiet()


def test_a_refused_credential_is_the_gateways_own_affair() -> None:
    here = stage()
    ear = proxied(here)
    here.sent[0].whole(b'{"error":{"message":"wrong key claude-secret"}}', 401)
    assert ear.status == 502
    assert b"claude-secret" not in ear.text


def test_a_proxied_stream() -> None:
    here = stage()
    pieces = [b": odd\r\n\r\nevent: x\r\nda", b"ta: {}\r\n\r\n", b"not even an event"]
    ear = proxied(here, raw=b'{"stream":true}')
    here.sent[0].stream(*pieces)
    assert ear.text == b"".join(pieces)
    assert ear.heard[-1] == ("finish", False)
    assert ear.lines[b"content-type"] == b"text/event-stream"
    here.quiet()


def test_a_proxied_stream_that_breaks_is_cut() -> None:
    here = stage()
    ear = proxied(here, raw=b'{"stream":true}')
    here.sent[0].begin()
    here.sent[0].say(b"data: {}\n\n")
    here.sent[0].fail(Failure("upstream_closed", "gone"))
    assert ear.heard[-1] == ("cut",)
    here.quiet()


def test_usage_is_read_on_the_side() -> None:
    here = stage()
    ear = proxied(here, "openai-proxy", raw=b'{"stream":true}')
    here.sent[0].stream(OPENING, WORD, STOP, DONE)
    assert ear.text == OPENING + WORD + STOP + DONE
    assert (here.records[-1]["in_tok"], here.records[-1]["out_tok"]) == (3, 2)


def test_another_target_must_speak_the_same_wire() -> None:
    here = stage()
    ear = proxied(here, "spare")
    here.sent[0].whole(b"busy", 503, [])
    here.clock.advance(10)
    assert b"".join(here.sent[1].call.body) == RAW
    here.sent[1].whole(b"{}")
    assert ear.status == 200
    ear = proxied(here, "both")
    here.sent[2].whole(b"busy", 503, [(b"content-type", b"text/x")])
    here.clock.advance(10)
    while not ear.heard:
        here.sent[-1].whole(b"busy", 503, [(b"content-type", b"text/x")])
        here.clock.advance(10)
    assert {sent.call.to.origin for sent in here.sent[2:]} == {"http://a.example"}
    assert (ear.status, ear.text) == (503, b"busy")


def test_a_wire_that_nobody_can_write_is_refused_by_name() -> None:
    odd = provider("odd", "oip_infer")
    here = Stage(registration("just-ai/odd", "odd/m"), providers=(odd, provider("a"), provider("claude", "anthropic")))
    ear = proxied(here, "odd")
    made = json.loads(ear.text)
    assert (ear.status, made["args"]["field"]) == (400, "dataType")
    assert "odd" in made["message"]
    assert here.sent == []


def test_a_key_for_some_models_names_no_other() -> None:
    here = stage()
    keyed(here, "just-ai/*")
    ear = proxied(here, headers=[(b"mlp-api-key", b"k")])
    assert (ear.status, json.loads(ear.text)["code"]) == (403, "forbidden")
    ear = proxied(here, headers=[(b"mlp-api-key", b"k")], raw=b'{"model":"c-1"}')
    here.sent[0].whole(b"{}")
    assert ear.status == 200


def test_the_direct_adapter_names_the_model_and_nothing_else() -> None:
    here = stage()
    path = "/api/adapters/openai-direct/v1/chat/completions"
    _, ear = tell(here, path, b'{"model":"just-ai/claude/x","odd":[ 1.0]}')
    assert b"".join(here.sent[0].call.body) == b'{"model":"c-1","odd":[ 1.0]}'
    here.sent[0].whole(ERROR, 400)
    assert ear.text == ERROR


def test_billing_keys_are_for_gates_alone() -> None:
    gate = provider("b", quirks=Quirks(options={"services": True, "passes": "mlp-billing-key z-requestid"}))
    here = Stage(*SERVICES, providers=(provider("a"), gate, provider("claude", "anthropic")))
    headers = [(b"mlp-billing-key", b"pay"), (b"z-requestid", b"z")]
    for model in ("a/m-1", "b/just-ai/openai-proxy"):
        tell(here, "/v1/chat/completions", {**HELLO, "model": model}, headers)
    first, second = here.sent
    assert b"mlp-billing-key" not in first.lines
    assert (second.lines[b"mlp-billing-key"], second.lines[b"z-requestid"]) == (b"pay", b"z")


def test_a_gate_behind_a_service_hears_the_requests_own_model() -> None:
    gate = provider("b", quirks=Quirks(options={"services": True}))
    there = registration("just-ai/there", "b/just-ai/openai-proxy")
    here = Stage(there, providers=(provider("a"), gate, provider("claude", "anthropic")))
    _, ear = tell(here, at("predict", "there"), {**HELLO, "model": "gpt-4o"})
    here.sent[0].whole()
    assert here.sent[0].body["model"] == "just-ai/openai-proxy/gpt-4o"
    assert b"x-parley-dropped" not in ear.lines


def test_kinds_of_streams_are_told_apart() -> None:
    here = stage()
    ear = proxied(here, raw=b"{}")
    here.sent[0].begin(200, EVENTS)
    here.sent[0].say(WORD)
    here.sent[0].done()
    assert ear.text == WORD


def test_what_a_hook_has_made_of_it_is_passed_on() -> None:
    class Scrubbing:
        def request(self, job: Any) -> bool:
            job.rewritten(job.request.body.replace(b"strange", b"plain"))
            return False

    here = stage()
    here.gateway.hooks = Scrubbing()
    ear = proxied(here)
    assert b"".join(here.sent[0].call.body) == RAW.replace(b"strange", b"plain")
    here.sent[0].whole(b"{}")
    assert ear.status == 200
