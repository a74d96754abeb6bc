"""Several pictures of a provider that makes one at a time: asked as often, told as one answer."""

from base64 import b64encode
from typing import Any

import msgspec

from gateway.parts import Ear, Stage, provider, registration
from parley.ports import Headers

PATH = b"/v1/images/generations"
PNG: Headers = [(b"content-type", b"image/png")]
FIRST, SECOND = b"\x89PNG\r\n\x1a\nfirst", b"\x89PNG\r\n\x1a\nsecond"


def stage() -> Stage:
    return Stage(
        registration("fan", "tasks/t", endpoint="image_generation", choices="fan_out"),
        registration("one", "tasks/t", endpoint="image_generation"),
        registration("has", "a/i", endpoint="image_generation", choices="fan_out"),
        providers=(
            provider("tasks", "hf_tasks", paths={"image_generation": "/models/{model}"}),
            provider("a", paths={"image_generation": "/images/generations"}),
        ),
    )


def ask(on: Stage, **members: Any) -> Ear:
    return on.ask_raw(msgspec.json.encode({"prompt": "a cat", **members}), PATH)[1]


def test_each_picture_is_a_request_of_its_own():
    on = stage()
    ear = ask(on, model="fan", n=2, response_format="b64_json", size="64x32")
    assert [sent.body for sent in on.sent] == [{"inputs": "a cat", "parameters": {"width": 64, "height": 32}}] * 2
    on.sent[1].whole(SECOND, headers=PNG)
    on.sent[0].whole(FIRST, headers=PNG)
    data = msgspec.json.decode(ear.text)["data"]
    assert [item["b64_json"] for item in data] == [b64encode(picture).decode() for picture in (FIRST, SECOND)]
    assert (ear.status, ear.lines[b"x-parley-attempts"]) == (200, b"1")
    on.quiet()


def test_what_is_no_picture_fails_them_all():
    on = stage()
    ear = ask(on, model="fan", n=2)
    on.sent[0].whole(FIRST, headers=PNG)
    on.sent[1].begin(200, [(b"content-type", b"text/html")])
    on.clock.advance(60)
    for sent in on.sent[2:]:
        sent.begin(200, [(b"content-type", b"text/html")])
        on.clock.advance(60)
    assert (ear.status, ear.error["code"]) == (502, "upstream_bad_response")
    on.quiet()


def test_without_the_setting_it_is_refused_by_name():
    on = stage()
    ear = ask(on, model="one", n=2)
    assert (ear.status, ear.error["param"], on.sent) == (400, "n", [])
    on.quiet()


def test_a_provider_that_makes_several_is_asked_once():
    on = stage()
    ask(on, model="has", n=2)
    (sent,) = on.sent
    assert sent.body["n"] == 2
    sent.whole(b'{"created":1,"data":[{"b64_json":"AA=="},{"b64_json":"AA=="}]}')
    on.quiet()
