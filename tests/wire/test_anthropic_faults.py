"""Broken and odd streams: what is an error, what is repaired, what is ignored."""

from pathlib import Path

import pytest

from parley.failure import Failure, ParleyError
from parley.fold import Fold
from parley.framing import sse
from parley.ir import ChatResponse, End, Event, ToolCall
from parley.wire.anthropic import WIRE

RECORDED = Path(__file__).parent.parent / "recordings" / "anthropic"


def recording(name: str) -> bytes:
    return (RECORDED / f"{name}.sse").read_bytes()


def read(data: bytes, size: int | None = None) -> list[Event]:
    decoder = WIRE.stream_decoder()
    events: list[Event] = []
    for start in range(0, len(data), size or len(data)):
        events += decoder.feed(data[start : start + (size or len(data))])
    return events + decoder.close()


def folded(events: list[Event]) -> ChatResponse:
    fold = Fold("anthropic")
    for event in events:
        fold.feed(event)
    return fold.response()


def failure_of(data: bytes) -> tuple[list[Event], Failure]:
    """The events before the fault, and the fault."""
    events: list[Event] = []

    def drain() -> None:
        decoder = WIRE.stream_decoder()
        for block in data.split(b"\n\n"):
            events.extend(decoder.feed(block + b"\n\n"))
        decoder.close()

    with pytest.raises(ParleyError) as caught:
        drain()
    return events, caught.value.failure


CUT = recording("tools").split(b"event: content_block_stop\ndata: {" + b'"type":"content_block_stop","index":1}')[0]
FINISHED = recording("text").removesuffix(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
BEGUN = recording("text").split(b"event: content_block_stop")[0]


@pytest.mark.parametrize(
    ("data", "kind", "detail"),
    [
        (b"", "upstream_bad_response", "empty_body"),
        (BEGUN, "upstream_incomplete", "missing_terminator"),
        (CUT.replace(b'lo\\", \\"n\\": 1.50}', b"lo"), "upstream_incomplete", "incomplete_tool_call"),
        (
            recording("tools").replace(b'lo\\", \\"n\\": 1.50}', b"lo"),
            "upstream_incomplete",
            "incomplete_tool_call",
        ),
        (BEGUN + b"data: {oops\n\n", "upstream_bad_response", "bad_event"),
        (BEGUN + b'data: "text"\n\n', "upstream_bad_response", "bad_event"),
        (BEGUN.replace("Köln".encode(), b"K\xf6ln"), "upstream_bad_response", "bad_event"),
        (BEGUN.replace(b'"index":0,"delta"', b'"index":4,"delta"'), "upstream_bad_response", "bad_event"),
        (BEGUN.replace(b'"text_delta","text"', b'"thinking_delta","thinking"'), "upstream_bad_response", "bad_event"),
        (
            BEGUN.replace(b'{"type":"text","text":""}', b'{"type":"text","text":4}'),
            "upstream_bad_response",
            "bad_event",
        ),
        (BEGUN.replace(b'"message":{', b'"massage":{'), "upstream_bad_response", "bad_event"),
        (
            BEGUN + b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"full"}}\n\n',
            "upstream_error",
            "stream_error",
        ),
        (
            b'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error","message":"slow"}}\n\n',
            "upstream_rate_limited",
            "stream_error",
        ),
    ],
)
def test_a_broken_stream_never_looks_complete(data: bytes, kind: str, detail: str) -> None:
    events, failure = failure_of(data)
    assert (failure.kind, failure.detail) == (kind, detail)
    assert not any(isinstance(event, End) for event in events)


@pytest.mark.parametrize(
    ("type_", "kind", "status"),
    [
        ("invalid_request_error", "upstream_rejected", 400),
        ("billing_error", "upstream_rejected", 402),
        ("not_found_error", "upstream_rejected", 404),
        ("conflict_error", "upstream_rejected", 409),
        ("request_too_large", "upstream_rejected", 413),
        ("authentication_error", "upstream_auth", 502),
        ("permission_error", "upstream_auth", 502),
        ("rate_limit_error", "upstream_rate_limited", 429),
        ("api_error", "upstream_error", 500),
        ("timeout_error", "upstream_error", 504),
        ("overloaded_error", "upstream_error", 529),
        ("brand_new_error", "upstream_error", 502),
    ],
)
@pytest.mark.parametrize("before", [b"", BEGUN])
def test_errors_in_a_stream_are_mapped_as_error_answers(before: bytes, type_: str, kind: str, status: int) -> None:
    data = b'{"type":"error","error":{"type":"%b","message":"said sk-1"}}' % type_.encode()
    _, failure = failure_of(before + sse(data, "error"))
    assert (failure.kind, failure.http_status, failure.log_kind) == (kind, status, "stream_error")
    assert WIRE.glance("error", data).failure == WIRE.glance("", data).failure == failure
    with pytest.raises(ParleyError) as caught:
        WIRE.check_answer(data)
    assert caught.value.failure == failure
    refused = kind == "upstream_auth"
    assert ("sk-1" in repr(failure)) is not refused
    assert failure.body == (None if refused else data)
    shown, body = WIRE.encode_error(failure, "req-1")
    assert (shown, b"sk-1" in body) == (status, not refused)


@pytest.mark.parametrize(
    ("event", "data", "message"),
    [
        ("error", b'{"code":400,"type":"invalid_request_error","message":"long"}', "long"),
        ("error", b'{"error":{"code":400,"type":"exceed_context_size_error","message":"long"}}', "long"),
        ("", b'{"error":{"code":400,"message":"long"}}', "long"),
        ("ping", b'{"type":"ping","error":{"http_status_code":400,"message":"long"}}', "long"),
        ("", b'{"type":"error","index":"x","error":{"type":"invalid_request_error","message":"long"}}', "long"),
        ("error", b'{"error":"long","code":400}', "long"),
    ],
)
def test_errors_in_other_shapes_are_errors_too(event: str, data: bytes, message: str) -> None:
    _, failure = failure_of(BEGUN + sse(data, event))
    assert (failure.kind, failure.http_status, failure.message) == ("upstream_rejected", 400, message)
    try:
        seen = WIRE.glance(event, data).failure
    except ParleyError as error:
        seen = error.failure
    assert seen == failure


def test_what_only_speaks_of_errors_is_none() -> None:
    for data in (b'{"type":"new_thing","error":null}', b'{"type":"ping","note":"error"}'):
        assert WIRE.glance("", data).failure is None
        assert folded(
            read(recording("text").replace(b"event: ping", b"data: " + data + b"\n\nevent: ping", 1))
        ) == folded(read(recording("text")))


def test_errors_in_a_stream_keep_the_provider_s_words() -> None:
    data = b'{"type":"error","error":{"type":"overloaded_error","message":"full","details":{"error_code":"x"}}}'
    _, failure = failure_of(sse(data, "error"))
    assert (failure.http_status, failure.message, failure.upstream_type, failure.upstream_code) == (
        529,
        "full",
        "overloaded_error",
        "x",
    )
    assert (failure.wire, failure.body) == ("anthropic", data)


def test_a_fault_waits_for_the_events_before_it() -> None:
    decoder = WIRE.stream_decoder()
    assert len(decoder.feed(BEGUN + b"data: nonsense\n\n")) == 4
    for call in (lambda: decoder.feed(b""), lambda: decoder.feed(b""), decoder.close):
        with pytest.raises(ParleyError):
            call()


def test_a_missing_terminator_after_a_stop_reason_is_repaired() -> None:
    assert folded(read(FINISHED)) == folded(read(recording("text")))


def test_arguments_cut_by_the_token_limit_stay_as_they_are() -> None:
    data = (
        recording("tools")
        .replace(b'lo\\", \\"n\\": 1.50}', b"lo")
        .replace(b'"tool_use","stop_seq', b'"max_tokens","stop_seq')
    )
    choice = folded(read(data)).choices[0]
    assert choice.stop == "length"
    assert isinstance(choice.content[1], ToolCall)
    assert choice.content[1].arguments == '{"city": "Oslo'


def test_what_follows_the_terminator_and_what_nobody_knows_is_ignored() -> None:
    data = recording("text")
    unknown = b'event: new_thing\ndata: {"type":"new_thing","delta":"odd","message":[1]}\n\n'
    delta = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"sparkle_delta","shine":1}}\n\n'
    mixed = data.replace(b"event: ping", unknown + delta + b"event: ping", 1)
    assert folded(read(mixed + b"data: {junk\n\n")) == folded(read(data))
    assert folded(read(mixed + b"data: {junk\n\n", 1)) == folded(read(data))
