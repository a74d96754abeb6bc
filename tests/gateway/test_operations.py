"""Operations beside chat: what passes as it is, what is translated, what a break looks like."""

from typing import Any

import msgspec
import pytest

from gateway.parts import BUSY, CHAT, EVENTS, JSON, Ear, Sent, Stage, inlet_at, only, provider, registration
from parley import multipart
from parley.operations import OPERATIONS
from parley.ports import Headers, Request
from parley.settings import Quirks

EVERYTHING = {name: operation.path for name, operation in OPERATIONS.items()}
AUDIO: Headers = [(b"content-type", b"audio/mpeg"), (b"x-voice", b"alto")]
EMBEDDINGS = b"/v1/embeddings"
IMAGES = b"/v1/images/generations"
SPEECH = b"/v1/audio/speech"
VECTORS = (
    b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"m-9",'
    b'"usage":{"prompt_tokens":3,"total_tokens":3}}'
)
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nall\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
    b"Content-Type: audio/wav\r\n\r\nRIFF\r\n\x00\xff\r\n"
    b'--b\r\nContent-Disposition: form-data; name="odd"\r\n\r\n1\r\n--b--\r\n'
)
FORM_HEADERS: Headers = [(b"content-type", b"multipart/form-data; boundary=b")]


def stage(**more: Any) -> Stage:
    return Stage(
        registration("all", "full/m-9", **more),
        registration("either", "claude/c-1", "full/m-9", "spare/m-8"),
        registration("form", "full/m-9", defaults={"language": "de", "odd": 2}, overrides={"temperature": 0}),
        providers=(
            provider("full", paths=EVERYTHING),
            provider("spare", paths=EVERYTHING),
            provider("claude", "anthropic"),
            provider("a"),
            provider("b"),
        ),
    )


def ask(on: Stage, path: bytes, **members: Any) -> tuple[Sent, Ear]:
    _, ear = on.ask_raw(msgspec.json.encode({"model": "all", **members}), path)
    return on.sent[-1], ear


def test_embeddings_pass_as_they_are_but_for_the_models_name():
    on = stage()
    sent, ear = ask(on, EMBEDDINGS, input=["a", "b"], encoding_format="base64", odd={"x": 1})
    assert sent.call.to.path == b"/v1/embeddings"
    assert sent.body == {"model": "m-9", "input": ["a", "b"], "encoding_format": "base64", "odd": {"x": 1}}
    sent.whole(VECTORS, headers=[*JSON, (b"x-extra", b"1")])
    assert (ear.status, ear.text) == (200, VECTORS)
    assert ear.lines[b"x-parley-target"] == b"full/m-9"
    assert ear.lines[b"x-extra"] == b"1"
    assert (only(on)["in_tok"], only(on)["usage"]) == (3, "exact")
    on.quiet()


@pytest.mark.parametrize(
    ("path", "members", "param"),
    [
        (EMBEDDINGS, {}, "input"),
        (EMBEDDINGS, {"input": 5}, "input"),
        (IMAGES, {}, "prompt"),
        (SPEECH, {"input": []}, "input"),
        (b"/v1/moderations", {}, "input"),
        (b"/v1/rerank", {"documents": []}, "query"),
        (b"/v1/completions", {}, "prompt"),
        (IMAGES, {"prompt": "x", "stream": "yes"}, "stream"),
    ],
)
def test_what_no_request_can_do_without(path: bytes, members: dict[str, Any], param: str):
    on = stage()
    _, ear = on.ask_raw(msgspec.json.encode({"model": "all", **members}), path)
    assert (ear.status, ear.error["param"], on.sent) == (400, param, [])


def test_a_model_that_does_not_serve_the_operation_says_what_it_serves():
    on = Stage()
    _, ear = on.ask_raw(b'{"model":"one","input":"x"}', EMBEDDINGS)
    assert (ear.status, ear.error["code"], on.sent) == (404, "model_not_found", [])
    assert "chat, completions, responses" in ear.error["message"]


def test_only_targets_that_can_are_tried():
    on = stage()
    _, ear = on.ask_raw(b'{"model":"either","input":"x"}', EMBEDDINGS)
    on.sent[0].fail()
    on.clock.advance(5)
    assert [sent.call.to.origin for sent in on.sent] == ["http://full.example", "http://spare.example"]
    on.sent[1].whole(VECTORS)
    assert (ear.status, ear.lines[b"x-parley-attempts"]) == (200, b"2")


def test_an_answer_without_its_list_is_none():
    on = stage()
    _, ear = ask(on, EMBEDDINGS, input="x")
    for _ in range(3):
        on.sent[-1].whole(b'{"object":"list"}')
        on.clock.advance(5)
    assert (ear.status, ear.error["code"]) == (502, "upstream_bad_response")


def test_sound_passes_piece_by_piece():
    on = stage()
    sent, ear = ask(on, SPEECH, input="hello", voice="alto")
    assert sent.lines[b"accept"] == b"*/*"
    sent.begin(headers=AUDIO)
    sent.say(b"\xff\xf3", b"\x00" * 10)
    assert ear.heard == [("open", 200), ("send", b"\xff\xf3"), ("send", b"\x00" * 10)]
    assert (ear.lines[b"content-type"], ear.lines[b"x-voice"]) == (b"audio/mpeg", b"alto")
    sent.done()
    assert ear.heard[-1] == ("finish", False)
    assert only(on)["outcome"] == "ok"
    on.quiet()


def test_sound_that_breaks_off_never_looks_whole():
    on = stage()
    sent, ear = ask(on, SPEECH, input="hello", voice="alto")
    sent.begin(headers=AUDIO)
    sent.say(b"\xff")
    sent.fail()
    assert ear.heard[1:] == [("send", b"\xff"), ("cut",)]
    assert (only(on)["outcome"], only(on)["phase"]) == ("error", "mid")
    on.quiet()


def test_sound_that_never_began_may_come_from_elsewhere():
    on = stage()
    _, ear = on.ask_raw(b'{"model":"either","input":"x","voice":"v"}', SPEECH)
    on.sent[0].begin(headers=AUDIO)
    on.sent[0].done()
    on.clock.advance(5)
    on.sent[1].begin(headers=AUDIO)
    on.sent[1].say(b"ID3")
    on.sent[1].done()
    assert (ear.text, ear.lines[b"x-parley-target"]) == (b"ID3", b"spare/m-8")


def test_events_of_speech_pass_as_events():
    on = stage()
    sent, ear = ask(on, SPEECH, input="hello", voice="v", stream_format="sse")
    first, last = b'data: {"type":"speech.audio.delta","audio":"AA=="}\n\n', b'data: {"type":"speech.audio.done"}\n\n'
    sent.stream(first, last)
    assert (ear.text, ear.heard[-1]) == (first + last, ("finish", False))
    assert ear.lines[b"content-type"] == b"text/event-stream"


@pytest.mark.parametrize("ends", [True, False])
def test_a_stream_of_pictures_is_whole_only_with_its_last_event(ends: bool):
    on = stage()
    sent, ear = ask(on, IMAGES, prompt="a cat", stream=True)
    part = b'data: {"type":"image_generation.partial_image","b64_json":"AA==","partial_image_index":0}\n\n'
    usage = b'{"input_tokens":1,"output_tokens":2,"total_tokens":3}'
    last = b'data: {"type":"image_generation.completed","b64_json":"AA==","usage":%b}\n\n' % usage
    sent.stream(part, *([last] if ends else []))
    assert ear.heard[-1] == ("finish", not ends)
    assert ear.text.startswith(part + last if ends else part)
    assert (b"upstream_incomplete" in ear.text) is not ends
    assert only(on)["out_tok"] == (2 if ends else 0)


def test_one_object_is_no_stream():
    on = stage()
    _, ear = on.ask_raw(b'{"model":"all","prompt":"x","stream":true}', IMAGES)
    for _ in range(3):
        on.sent[-1].whole(b'{"created":1,"data":[]}')
        on.clock.advance(5)
    assert (ear.status, ear.error["code"]) == (502, "upstream_bad_response")


def ask_form(on: Stage, body: bytes = FORM, headers: Headers = FORM_HEADERS) -> Ear:
    ear = Ear()
    on.gateway.begin(inlet_at(b"/v1/audio/transcriptions"), Request(headers, body, "req-1"), ear)
    return ear


def test_a_form_passes_with_its_files_and_another_model():
    on = stage()
    ear = ask_form(on)
    (sent,) = on.sent
    assert sent.call.to.path == b"/v1/audio/transcriptions"
    assert sent.lines[b"content-type"] == b"multipart/form-data; boundary=b"
    form = multipart.read(b"".join(bytes(part) for part in sent.call.body), sent.lines[b"content-type"])
    assert form.fields() == {"model": ["m-9"], "odd": ["1"]}
    (file,) = [part for part in form.parts if part.filename]
    assert (file.filename, file.content_type, bytes(file.data)) == ("a.wav", "audio/wav", b"RIFF\r\n\x00\xff")
    sent.whole(b"1\n00:00:00,000 --> 00:00:01,000\nhi\n", headers=[(b"content-type", b"text/plain; charset=utf-8")])
    assert (ear.status, ear.lines[b"content-type"]) == (200, b"text/plain; charset=utf-8")
    assert ear.text.endswith(b"hi\n")


def test_a_forms_defaults_go_by_presence_and_overrides_win():
    on = stage()
    ask_form(on, FORM.replace(b"\r\nall\r\n", b"\r\nform\r\n"))
    form = multipart.read(b"".join(bytes(part) for part in on.sent[0].call.body), FORM_HEADERS[0][1])
    assert form.fields() == {"model": ["m-9"], "odd": ["1"], "language": ["de"], "temperature": ["0"]}


@pytest.mark.parametrize(
    ("body", "headers", "param"),
    [
        (FORM.replace(b'name="model"', b'name="other"'), FORM_HEADERS, "model"),
        (FORM, [(b"content-type", b"application/json")], None),
        (FORM, [], None),
        (FORM[:40], FORM_HEADERS, None),
    ],
)
def test_a_form_that_cannot_be_read_never_leaves(body: bytes, headers: Headers, param: str | None):
    on = stage()
    ear = ask_form(on, body, headers)
    assert (ear.status, ear.error["param"], on.sent) == (400, param, [])
    on.quiet()


def test_completions_go_as_they_are_where_the_provider_has_them_and_translated_where_not():
    on = stage()
    sent, _ = ask(on, b"/v1/completions", prompt=["a", "b"], echo=True)
    assert (sent.call.to.path, sent.body) == (b"/v1/completions", {"model": "m-9", "prompt": ["a", "b"], "echo": True})
    on.ask_raw(b'{"model":"one","prompt":"tell me","max_tokens":4}', b"/v1/completions")
    assert on.sent[1].call.to.path == b"/v1/chat/completions"
    assert on.sent[1].body["messages"] == [{"role": "user", "content": "tell me"}]
    _, refused = on.ask_raw(b'{"model":"one","prompt":"tell me","echo":true}', b"/v1/completions")
    assert (refused.status, refused.error["param"]) == (400, "echo")


@pytest.mark.parametrize("status", [404, 405, 501])
@pytest.mark.parametrize("path", [b"/v1/completions", b"/v1/responses"])
def test_a_provider_without_the_operation_is_asked_for_chat_from_then_on(path: bytes, status: int):
    on = stage()
    said = {"prompt": "hi"} if path.endswith(b"completions") else {"input": "hi"}
    first, ear = ask(on, path, **said)
    first.whole(b'{"error":{"message":"no such path","type":"x","param":null,"code":null}}', status)
    assert [sent.call.to.path for sent in on.sent] == [path, CHAT]
    assert on.sent[1].body["messages"] == [{"role": "user", "content": "hi"}]
    on.sent[1].whole()
    assert (ear.status, ear.lines[b"x-parley-attempts"]) == (200, b"1")
    ask(on, path, **said)
    assert on.sent[2].call.to.path == CHAT
    on.sent[2].whole()
    on.quiet()


def test_a_model_that_the_provider_does_not_know_is_no_missing_operation():
    on = stage()
    sent, ear = ask(on, b"/v1/responses", input="hi")
    sent.whole(b'{"error":{"message":"no m-9","type":"x","param":"model","code":"model_not_found"}}', 404)
    assert (ear.status, len(on.sent)) == (404, 1)


def test_a_vendors_names_for_chat_are_not_those_of_its_other_operations():
    quirks = Quirks(rename={"max_tokens": "max_completion_tokens"}, drop=("seed",), default={"safe": True})
    on = Stage(registration("all", "full/m-9"), providers=(provider("full", paths=EVERYTHING, quirks=quirks),))
    ask(on, b"/v1/completions", prompt="hi", max_tokens=5, seed=1)
    assert on.sent[0].body == {"model": "m-9", "prompt": "hi", "max_tokens": 5}
    ask(on, CHAT, messages=[], max_tokens=5, seed=1)
    assert on.sent[1].body == {"model": "m-9", "messages": [], "max_completion_tokens": 5, "safe": True}


def test_defaults_go_where_they_are_known():
    everywhere = {"temperature": 0.5, "reasoning_effort": "low", "dimensions": 8}
    on = stage(defaults=everywhere)
    ask(on, EMBEDDINGS, input="x")
    assert on.sent[0].body == {"model": "m-9", "input": "x", "dimensions": 8}
    ask(on, b"/v1/completions", prompt="x")
    assert on.sent[1].body == {"model": "m-9", "prompt": "x", "temperature": 0.5}
    only_here = {"odd": [1], "temperature": 0.5}
    on = stage(defaults=only_here, endpoint="embeddings")
    ask(on, EMBEDDINGS, input="x")
    assert on.sent[0].body == {"model": "m-9", "input": "x", **only_here}


def test_a_request_that_names_no_model_is_for_the_one_that_is_usual():
    on = Stage(registration("omni-moderation-latest", "full/m-9"), providers=(provider("full", paths=EVERYTHING),))
    _, ear = on.ask_raw(b'{"input":"x"}', b"/v1/moderations")
    assert on.sent[0].body == {"input": "x", "model": "m-9"}
    _, ear = on.ask_raw(b'{"prompt":"x"}', IMAGES)
    assert (ear.status, "dall-e-2" in ear.error["message"]) == (404, True)
    _, ear = on.ask_raw(b'{"input":"x"}', EMBEDDINGS)
    assert (ear.status, ear.error["param"]) == (400, "model")


def test_chat_is_what_it_was():
    on = stage()
    _, ear = on.ask("all", CHAT)
    on.sent[0].begin(headers=EVENTS)
    on.sent[0].fail(BUSY)
    on.clock.advance(5)
    on.sent[1].whole()
    assert ear.status == 200
