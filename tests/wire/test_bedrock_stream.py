"""Bedrock's streams: binary messages whatever the chunking, events in order, exceptions, and what breaks them."""

import struct
from typing import Any
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from botocore.parsers import EventStreamJSONParser
from hypothesis import given
from hypothesis import strategies as st

from parley.failure import Failure, ParleyError
from parley.fold import Fold
from parley.ir import (
    BlockStart,
    BlockStop,
    ChatResponse,
    Delta,
    End,
    Event,
    Finish,
    Media,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from parley.wire.bedrock import WIRE
from parley.wire.bedrock.frames import MessageReader
from wire.bedrock_parts import (
    CALLED,
    META,
    SPOKEN,
    START,
    begun,
    delta,
    ended,
    event,
    header,
    message,
    model,
    raised,
    stopped,
)


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def read(*parts: bytes) -> list[Event]:
    """Every event of a stream that ends well."""
    decoder = WIRE.stream_decoder()
    return [found for part in parts for found in decoder.feed(part)] + decoder.close()


def folded(*parts: bytes) -> ChatResponse:
    whole = Fold("bedrock")
    for found in read(*parts):
        whole.feed(found)
    return whole.response()


def broken(*parts: bytes) -> tuple[list[Event], Failure]:
    """The events before the fault, and the fault."""
    decoder = WIRE.stream_decoder()
    events: list[Event] = []

    def run() -> None:
        for part in parts:
            events.extend(decoder.feed(part))
            decoder.feed(b"")
        decoder.close()

    with pytest.raises(ParleyError) as caught:
        run()
    with pytest.raises(ParleyError):
        decoder.close()
    return events, caught.value.failure


@pytest.mark.parametrize("stream", [SPOKEN, CALLED])
def test_the_service_s_own_library_reads_what_these_tests_send(stream: tuple[bytes, ...]) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(b"".join(stream))
    shape = model().operation_model("ConverseStream").output_shape.members["stream"]
    seen = [EventStreamJSONParser().parse(found.to_response_dict(), shape) for found in buffer]
    assert [next(iter(found)) for found in seen][:2] == ["messageStart", "contentBlockDelta"]
    assert seen[-1]["metadata"]["usage"]["totalTokens"] == 35


def test_a_text() -> None:
    assert read(*SPOKEN) == [
        Start("", ""),
        BlockStart(0, 0, Text("")),
        Delta(0, 0, "text", "Bedrock "),
        Delta(0, 0, "text", "says hi."),
        BlockStop(0, 0),
        Finish(0, "end", None, "end_turn"),
        End(Usage(30, 5), {"metrics": {"latencyMs": 7}}),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("stream", [SPOKEN, CALLED])
def test_chunking_changes_nothing(stream: tuple[bytes, ...], size: int) -> None:
    data = b"".join(stream)
    assert read(*pieces(data, size)) == read(data) == read(*stream)


def test_reasoning_text_and_calls() -> None:
    choice = folded(*CALLED).choices[0]
    assert choice.content == (
        Thinking("Let me look.", "c2ln/+=="),
        Thinking(redacted="AAECgP8="),
        Text("Looking."),
        ToolCall("tooluse_a.b:1", "weather", '{"city": "Paris", "n": 1.0}'),
        ToolCall("tooluse_2", "clock", "{}"),
    )
    assert (choice.stop, choice.native) == ("tool_use", "tool_use")


def test_the_answer_is_whole_with_the_metadata_after_the_stop() -> None:
    decoder = WIRE.stream_decoder()
    before = [found for part in SPOKEN[:-1] for found in decoder.feed(part)]
    assert isinstance(before[-1], Finish)
    assert [type(found) for found in decoder.feed(META)] == [End]
    assert decoder.feed(SPOKEN[1]) == decoder.close() == []


def test_a_stream_that_ends_after_its_stop_is_whole_without_usage() -> None:
    assert read(*SPOKEN[:-1])[-1] == End()


def test_redacted_reasoning_in_pieces_is_one() -> None:
    parts = (
        delta(0, reasoningContent={"redactedContent": "AAE="}),
        delta(0, reasoningContent={"redactedContent": "Av8="}),
    )
    assert folded(START, *parts, stopped(0), ended(), META).choices[0].content == (Thinking(redacted="AAEC/w=="),)


def test_an_empty_signature_is_one_all_the_same() -> None:
    parts = (delta(0, reasoningContent={"text": "a"}), delta(0, reasoningContent={"signature": ""}))
    assert folded(START, *parts, stopped(0), ended(), META).choices[0].content == (Thinking("a", ""),)


def test_citations_join_their_text() -> None:
    source = {"title": "t", "location": {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}}}
    parts = (delta(0, text="so"), delta(0, citation=source), stopped(0))
    assert folded(START, *parts, ended(), META).choices[0].content == (Text("so", {"citations": [source]}),)


def test_a_picture() -> None:
    parts = (begun(0, image={"format": "png"}), delta(0, image={"source": {"bytes": "AAEC"}}), stopped(0))
    picture = Media(kind="image", data="AAEC", media_type="image/png")
    assert folded(START, *parts, ended(), META).choices[0].content == (picture,)


def test_blocks_that_are_never_stopped_end_with_the_message() -> None:
    assert folded(START, delta(0, text="a"), ended(), META).choices[0].content == (Text("a"),)


def test_events_nobody_knows_and_headers_of_every_type_are_passed_over() -> None:
    typed = b"".join(
        (
            b"\x01a\x00",
            b"\x01b\x01",
            b"\x01c\x02\x07",
            b"\x01d\x03\x00\x07",
            b"\x01e\x04" + bytes(4),
            b"\x01f\x05" + bytes(8),
            b"\x01g\x06\x00\x03abc",
            b"\x01h\x08" + bytes(8),
            b"\x01i\x09" + bytes(16),
        )
    )
    odd = message({":event-type": "somethingNew", ":message-type": "event"}, b"{}", typed)
    assert read(START, odd, *SPOKEN[1:]) == read(*SPOKEN)
    [found] = MessageReader().feed(odd)
    assert found.headers == {":event-type": "somethingNew", ":message-type": "event"}


def test_the_stop_sequence_that_was_found() -> None:
    end = ended("stop_sequence", additionalModelResponseFields={"stop_sequence": "END"})
    choice = folded(START, delta(0, text="a"), stopped(0), end, META).choices[0]
    assert (choice.stop, choice.stop_sequence) == ("stop_sequence", "END")


def test_calls_behind_an_ordinary_end_ask_for_their_results() -> None:
    call = (begun(0, toolUse={"toolUseId": "t", "name": "f"}), delta(0, toolUse={"input": "{}"}), stopped(0))
    assert folded(START, *call, ended("end_turn"), META).choices[0].stop == "tool_use"


@pytest.mark.parametrize(
    ("name", "kind", "status"),
    [
        ("throttlingException", "upstream_rate_limited", 429),
        ("validationException", "upstream_rejected", 400),
        ("internalServerException", "upstream_error", 500),
        ("modelStreamErrorException", "upstream_error", 500),
        ("serviceUnavailableException", "upstream_error", 503),
        ("modelTimeoutException", "upstream_error", 504),
        ("somethingElseException", "upstream_error", 502),
    ],
)
@pytest.mark.parametrize("before", [(), (START,), (START, delta(0, text="a"))])
def test_exceptions_are_messages_of_their_own(before: tuple[bytes, ...], name: str, kind: str, status: int) -> None:
    events, failure = broken(*before, raised(name, message="no luck", originalMessage="deep down"))
    assert len(events) == (0, 1, 3)[len(before)]
    assert (failure.kind, failure.http_status, failure.detail) == (kind, status, "stream_error")
    assert failure.message == "no luck (deep down)"
    assert failure.upstream_type == name


def test_a_refused_credential_in_a_stream_is_told_without_its_words() -> None:
    _, failure = broken(START, raised("accessDeniedException", message="key AKIA is not allowed"))
    assert failure.kind == "upstream_auth"
    assert "AKIA" not in failure.message


def test_an_error_message_has_its_words_in_headers() -> None:
    headers = {":message-type": "error", ":error-code": "InternalError", ":error-message": "sorry"}
    _, failure = broken(START, message(headers, b""))
    assert (failure.kind, failure.message) == ("upstream_error", "sorry")


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_output_that_the_provider_calls_malformed_is_a_failure(reason: str) -> None:
    events, failure = broken(START, delta(0, text="a"), stopped(0), ended(reason), META)
    assert not any(isinstance(found, Finish | End) for found in events)
    assert failure.kind == "upstream_error"
    assert reason in failure.message


@pytest.mark.parametrize(
    ("parts", "detail"),
    [
        ((), "empty_body"),
        ((START,), "missing_terminator"),
        ((START, delta(0, text="a"), stopped(0)), "missing_terminator"),
        ((START, delta(0, text="a")[:-1]), "missing_terminator"),
        ((*SPOKEN[:-1], META[:20]), "missing_terminator"),
        (CALLED[:-7], "missing_terminator"),
        (CALLED[:-6], "incomplete_tool_call"),
        ((*CALLED[:-6], CALLED[-5]), "incomplete_tool_call"),
        (CALLED[:-4], "missing_terminator"),
    ],
)
def test_a_stream_that_breaks_off_is_not_whole(parts: tuple[bytes, ...], detail: str) -> None:
    _, failure = broken(*parts)
    assert failure.detail == detail
    assert failure.kind == ("upstream_bad_response" if detail == "empty_body" else "upstream_incomplete")


def test_arguments_that_were_cut_are_not_mended() -> None:
    call = (begun(0, toolUse={"toolUseId": "t", "name": "f"}), delta(0, toolUse={"input": '{"a": '}), stopped(0))
    events, failure = broken(START, *call, ended("tool_use"), META)
    assert failure.detail == "incomplete_tool_call"
    assert not any(isinstance(found, Finish) for found in events)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_every_damaged_byte_is_found() -> None:
    whole = delta(0, text="a")
    for at in range(len(whole)):
        events, failure = broken(START, flipped(whole, at))
        assert [type(found) for found in events] == [Start]
        assert (failure.kind, failure.detail) == ("upstream_bad_response", "bad_event")


def lengths(total: int, headers: int) -> bytes:
    prelude = struct.pack(">II", total, headers)
    return prelude + struct.pack(">I", crc32(prelude))


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (lengths(15, 0), "bad_event"),
        (lengths(100, 85), "bad_event"),
        (lengths(900_000, 200_000), "bad_event"),
        (lengths(1 << 21, 0), "event_too_large"),
        (message({}, b"{}", b"\x01a\x0a"), "bad_event"),
        (message({}, b"{}", b"\x05a"), "bad_event"),
        (message({}, b"{}", b"\x01a\x07\x00\x09x"), "bad_event"),
        (message({}, b"{}", b"\x01\xff\x00"), "bad_event"),
        (message({}, b"{}", header("a", "b")[:-1]), "bad_event"),
        (event("contentBlockDelta", ["no"]), "bad_event"),
        (event("contentBlockDelta", {"contentBlockIndex": "0", "delta": {"text": "a"}}), "bad_event"),
        (delta(0, text=5), "bad_event"),
        (message({":event-type": "contentBlockDelta"}, b'{"delta":{"text":"\xff"}}'), "bad_event"),
        (message({":event-type": "messageStop"}, b"{"), "bad_event"),
        (event("messageStop", {}), "bad_event"),
        (META, "bad_event"),
        (delta(0, toolUse={"input": "{}"}), "bad_event"),
        (delta(0, text="a") + delta(0, toolUse={"input": "{}"}), "bad_event"),
        (delta(0, text="a") + delta(0, reasoningContent={"redactedContent": "AA=="}), "bad_event"),
        (delta(0, text="a") + begun(0, toolUse={"toolUseId": "t", "name": "f"}), "bad_event"),
        (ended() + delta(0, text="late"), "bad_event"),
    ],
)
def test_what_is_no_event_is_told_and_not_passed_over(data: bytes, detail: str) -> None:
    _, failure = broken(START, data)
    assert (failure.kind, failure.detail) == ("upstream_bad_response", detail)


def test_a_length_beyond_bounds_is_refused_before_its_bytes_come() -> None:
    reader = MessageReader()
    assert reader.feed(lengths(1 << 31, 0)) == []
    assert reader.fault is not None
    assert reader.fault.failure.detail == "event_too_large"
    assert not reader.pending


@given(st.lists(st.text(max_size=8), min_size=1, max_size=4), st.data())
def test_any_texts_in_any_pieces(texts: list[str], data: st.DataObject) -> None:
    stream = b"".join((START, *(delta(0, text=text) for text in texts), stopped(0), ended(), META))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    parts = [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    choice: Any = folded(*parts).choices[0]
    assert "".join(block.text for block in choice.content) == "".join(texts)


@given(st.binary(max_size=64))
def test_garbage_never_escapes_as_anything_but_a_failure(data: bytes) -> None:
    with pytest.raises(ParleyError):
        read(data)
