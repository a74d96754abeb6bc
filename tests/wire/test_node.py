"""The dialect of nodes: what is refused in which words, what a worker is sent, what callers get."""

import json
from typing import Any

import msgspec
import pytest

from parley.failure import Failure, ParleyError
from parley.ir import ImageResponse, Picture
from parley.wire import Reply, load
from parley.wire.node.errors import NO_CHAT, coded
from parley.wire.node.frames import succeeded

CHAT, PROXY, WORKER = load("node_chat"), load("node_chat_proxy"), load("node_worker_chat")
IMAGES, DRAWN = load("node_images"), load("node_worker_images")
SAID: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
ASKED: dict[str, Any] = {"node_id": "n", "project": "p", "model": "m", "messages": SAID}


def prepared(body: Any, wire: Any = CHAT) -> dict[str, Any]:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    made: dict[str, Any] = json.loads(wire.prepared(text))
    return made


def refused(body: Any, wire: Any = CHAT) -> tuple[int, dict[str, Any]]:
    with pytest.raises(ParleyError) as caught:
        prepared(body, wire)
    status, text = wire.encode_error(caught.value.failure, "id")
    return status, json.loads(text)


def told(code: int, message: str) -> tuple[int, dict[str, Any]]:
    return 400, {"code": code, "message": message, **NO_CHAT}


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"{", 1002, "Parsing error"),
        (b"[]", 1002, "Parsing error"),
        ({**ASKED, "model": 5}, 1002, "Parsing error"),
        ({**ASKED, "messages": {}}, 1002, "Parsing error"),
        ({**ASKED, "messages": ["hi"]}, 1002, "Parsing error"),
        ({**ASKED, "stream": "yes"}, 1002, "Parsing error"),
        ({**ASKED, "temperature": "warm"}, 1002, "Parsing error"),
        (b'{"node_id": "n", "project": "p", "model": "m", "temperature": 1e999}', 1002, "Parsing error"),
        (
            b'{"node_id": "n", "project": "p", "model": "m", "messages": [{"role": "user", "content": 1e999}]}',
            1002,
            "Parsing error",
        ),
        ({**ASKED, "wallet": 1}, 1002, "Parsing error"),
        ({**ASKED, "messages": [{"role": 1, "content": ""}]}, 1002, "Parsing error"),
        ({}, 1001, "empty node_id"),
        ({"node_id": "n"}, 1001, "empty project"),
        ({"node_id": "n", "project": ""}, 1001, "empty project"),
        ({"node_id": "n", "project": "p"}, 1001, "empty model"),
        ({"node_id": "n", "project": "p", "model": None}, 1001, "empty model"),
        ({**ASKED, "messages": [{"content": "x"}]}, 1001, "unknown role of chat message author"),
        ({**ASKED, "messages": [{"role": "developer", "content": "x"}]}, 1001, "unknown role of chat message author"),
        ({**ASKED, "messages": [{"role": "user"}]}, 1001, "invalid content of chat message"),
        ({**ASKED, "messages": [{"role": "user", "content": None}]}, 1001, "invalid content of chat message"),
        ({**ASKED, "messages": [{"role": "user", "content": {}}]}, 1001, "invalid content of chat message"),
        (
            {**ASKED, "messages": [{"role": "user", "content": [{"type": "video"}]}]},
            1001,
            "unknown part type of chat content",
        ),
        ({**ASKED, "messages": [{"role": "user", "content": ["x"]}]}, 1001, "unknown part type of chat content"),
        (
            {**ASKED, "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            1001,
            "the url of image content object is nil",
        ),
        (
            {**ASKED, "messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            1001,
            "the data of audio content object is nil",
        ),
    ],
)
def test_every_refusal_of_a_chat(body: Any, code: int, message: str) -> None:
    assert refused(body) == told(code, message)


@pytest.mark.parametrize("wire", [CHAT, PROXY, WORKER])
@pytest.mark.parametrize("turn", [{"content": None}, {}])
def test_a_turn_that_only_calls_tools_needs_no_content(wire: Any, turn: dict[str, Any]) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [
        *SAID,
        {"role": "assistant", "tool_calls": [call], **turn},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]
    assert prepared({**ASKED, "messages": turns}, wire)["messages"] == turns
    for nothing in ([], None):
        turns[1]["tool_calls"] = nothing
        assert refused({**ASKED, "messages": turns}, wire)[1]["message"] == "invalid content of chat message"


def test_a_worker_takes_the_role_that_callers_of_other_dialects_have() -> None:
    turns = [{"role": "developer", "content": "x"}, *SAID]
    assert prepared({"model": "m", "messages": turns}, WORKER)["messages"] == turns
    status, body = refused({"model": "m", "messages": [{"role": "marker", "content": "x"}]}, WORKER)
    assert (status, body["message"]) == (400, "unknown role of chat message author")


def test_the_proxy_needs_no_node() -> None:
    assert refused({}, PROXY) == told(1001, "empty project")
    assert prepared({"project": "p", "model": "m"}, PROXY) == {"model": "node/p/m", "messages": [], "stream": False}


def test_a_node_and_a_place_are_in_the_name() -> None:
    assert prepared(ASKED)["model"] == "node/p/m#n"
    assert prepared({**ASKED, "cid": "c/1", "project": "a/b"})["model"] == "node/a%2Fb/m#n#c/1"
    assert prepared({**ASKED, "cid": "c"}, PROXY)["model"] == "node/p/m"


def test_members_come_in_any_case_and_are_not_sent_on() -> None:
    body = {"Node_ID": "n", "PROJECT": "p", "Model": "m", "Messages": SAID, "Temperature": 0, "Stream": True}
    assert prepared(body) == {"model": "node/p/m#n", "messages": SAID, "temperature": 0, "stream": True}


def test_members_of_messages_come_in_any_case_too() -> None:
    picture = {"type": "image_url", "Image_Url": {"URL": "data:,", "Detail": "low"}, "x": 1}
    said = {"Role": "user", "Content": [{"Type": "text", "TEXT": "hi"}, picture]}
    made = prepared({"Project": "P", "MODEL": "m", "Messages": [said]}, PROXY)
    parts = [
        {"type": "text", "text": "hi"},
        {"type": "image_url", "image_url": {"url": "data:,", "detail": "low"}, "x": 1},
    ]
    assert made["messages"] == [{"role": "user", "content": parts}]


def test_what_nobody_knows_goes_to_the_worker_as_it_came() -> None:
    more = b'{"project":"p","model":"m","messages":[{"role":"user","content":"hi","x":1e2}],"tools":[],"Top_K":1.50}'
    text = PROXY.prepared(more) if PROXY.prepared else b""
    assert b'"content":"hi","x":1e2' in text
    assert b'"tools":[]' in text
    assert b'"Top_K":1.50' in text


def test_a_wallet_is_sent_where_there_is_one() -> None:
    sent = prepared({**ASKED, "wallet": "w", "signature": "", "hash": None})
    assert (sent.get("wallet"), "signature" in sent, "hash" in sent) == ("w", False, False)


def test_every_part_that_a_node_knows() -> None:
    parts = [
        {"type": "text", "text": "x"},
        {"type": "image_url", "image_url": {"url": "u", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "d", "format": "wav"}},
    ]
    messages = [{"role": role, "content": parts} for role in ("system", "user", "assistant", "tool", "function")]
    assert prepared({**ASKED, "messages": messages})["messages"] == messages


def test_a_worker_is_asked_for_models_of_ours() -> None:
    assert prepared({"model": "fast", "messages": SAID}, WORKER) == {
        "model": "fast",
        "messages": SAID,
        "stream": False,
    }
    status, body = refused({"messages": SAID}, WORKER)
    assert (status, body) == (400, {"code": 1001, "message": "empty model"})


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"nothing", 1002, "Parsing error"),
        ({"n": "2"}, 1002, "Parsing error"),
        ({"prompt": 5}, 1002, "Parsing error"),
        ({"width": 1.5}, 1002, "Parsing error"),
        ({}, 1001, "empty node_id"),
        ({"node_id": "n", "project": "p"}, 1001, "empty model"),
    ],
)
def test_every_refusal_of_a_picture(body: Any, code: int, message: str) -> None:
    assert refused(body, IMAGES) == (400, {"code": code, "message": message})


def test_a_picture_reaches_a_worker_as_it_was_asked_for() -> None:
    asked = {"project": "p", "model": "m", "Prompt": "otter", "n": 2, "size": "64x32", "step": 5, "wallet": "w"}
    body = prepared(asked, load("node_images_proxy"))
    request = IMAGES.decode_request(body)
    sent = load("image_worker").encode_request(request, {})
    assert sent.body == {
        "model": "node/p/m",
        "prompt": "otter",
        "n": 2,
        "size": "64x32",
        "width": 64,
        "height": 32,
        "step": 5,
        "wallet": "w",
    }
    assert sent.dropped == ()


def test_a_size_that_is_none_is_the_workers_to_judge() -> None:
    request = IMAGES.decode_request({"model": "m", "prompt": "", "size": "big"})
    assert load("image_worker").encode_request(request, {}).body == {"model": "m", "prompt": "", "n": 1, "size": "big"}


def test_width_and_height_are_a_size_for_others() -> None:
    request = IMAGES.decode_request({"model": "m", "prompt": "x", "width": 64, "height": 32})
    assert request.size == "64x32"
    assert load("openai_images").encode_request(request, {}).dropped == ("width", "height")


def test_pictures_are_answered_flat() -> None:
    pictures = (
        Picture("QQ==", None, None, "better"),
        Picture(None, "https://x/y.png"),
        Picture(None, "data:image/png;base64,QUI="),
    )
    answer = IMAGES.encode_response(
        ImageResponse(wire="w", pictures=pictures, created=7), Reply(model="m", id="i", created=9)
    )
    assert json.loads(answer) == {
        "created": 7,
        "data": [{"b64_json": "QQ==", "revised_prompt": "better"}, {"url": "https://x/y.png"}, {"b64_json": "QUI="}],
    }


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (Failure("model_not_found", "x", model="node/p/m#n"), 500, 1007),
        (Failure("model_not_found", "x", model="node/p/m"), 500, 1017),
        (Failure("no_upstream", "x", model="node/p/m"), 500, 1017),
        (Failure("upstream_error", "its own words", upstream_code="1234"), 500, 1234),
        (Failure("upstream_rejected", "its own words", status=422, upstream_code="7"), 500, 7),
        (Failure("upstream_unreachable", "x"), 500, 1007),
        (Failure("upstream_closed", "x"), 500, 1007),
        (Failure("upstream_rejected", "x", status=404), 500, 1007),
        (Failure("upstream_timeout", "x"), 504, 1005),
        (Failure("unauthorized", "x"), 401, 1010),
        (Failure("forbidden", "x"), 403, 1010),
        (Failure("rate_limited", "x"), 429, 5000),
        (Failure("overloaded", "x", status=529), 503, 5000),
        (Failure("body_too_large", "x"), 413, 5000),
        (Failure("not_implemented", "x"), 501, 1011),
        (Failure("internal", "x"), 500, 5000),
        (Failure("url_not_allowed", "x"), 400, 1001),
        (Failure("invalid_request", "x", param="messages"), 400, 1001),
        (Failure("invalid_json", "x"), 400, 1002),
    ],
)
def test_every_failure_has_a_code(failure: Failure, status: int, code: int) -> None:
    found, body = IMAGES.encode_error(failure, "id")
    assert (found, json.loads(body)["code"]) == (status, code)
    assert coded(failure)[0] == code


def test_what_is_no_form_is_422() -> None:
    failure = Failure("invalid_request", "no boundary", detail="form")
    assert load("node_edits").encode_error(failure, "") == (422, b'{"code":1001,"message":"Parameter error"}')


def test_a_worker_says_success_once() -> None:
    assert succeeded(b' {"id":"a"} ') == b'{"code":0,"message":"success","id":"a"}'
    assert json.loads(succeeded(b'{"code":0,"message":"ok","id":"a"}')) == {"code": 0, "message": "success", "id": "a"}
    assert succeeded(b"{}") == b'{"code":0,"message":"success"}'
    assert DRAWN.dressed is succeeded
    assert WORKER.dressed is succeeded


def test_a_broken_stream_says_so_in_both_ways() -> None:
    reply = Reply(model="m", id="i", created=1)
    event = CHAT.stream_encoder(reply).fail(Failure("upstream_closed", "gone"))
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    said = msgspec.json.decode(event[6:])
    assert (said["code"], said["message"], said["error"]["code"]) == (1007, "gone", "upstream_closed")
    assert IMAGES.stream_encoder(reply).fail(Failure("upstream_closed", "gone")) == event
