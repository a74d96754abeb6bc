"""Server-sent events: the same frames whatever the chunking, the line ends and the legal oddities."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.failure import ParleyError
from parley.framing import (
    MAX_USUAL,
    Frame,
    SseReader,
    UsualHead,
    check_text,
    only_chunk,
    parse_block,
    size_line,
    sse,
)


def read(*chunks: bytes, limit: int = 1000) -> list[Frame]:
    reader = SseReader(limit)
    return [frame for chunk in chunks for frame in reader.feed(chunk)]


def sliced(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


ODDITIES = [
    (b"data: a\n\ndata: b\n\n", [Frame("", b"a"), Frame("", b"b")]),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", [Frame("", b"a"), Frame("", b"b")]),
    (b"data: a\r\rdata: b\r\r", [Frame("", b"a"), Frame("", b"b")]),
    (b"data: a\r\n\ndata: b\n\r\n", [Frame("", b"a"), Frame("", b"b")]),
    (b"\xef\xbb\xbfdata: a\n\n", [Frame("", b"a")]),
    (b": ping\n\ndata: a\n\n:\n\n", [Frame("", b"a")]),
    (b"data:a\n\n", [Frame("", b"a")]),
    (b"data:  a\n\n", [Frame("", b" a")]),
    (b"data: a\ndata: b\n\n", [Frame("", b"a\nb")]),
    (b"event: e\ndata: a\n\n", [Frame("e", b"a")]),
    (b"data: a\nevent: e\n\n", [Frame("e", b"a")]),
    (b"id: 1\nretry: 5\ndata: a\n\n", [Frame("", b"a")]),
    (b"data\n\n", [Frame("", b"")]),
    (b"\n\n\ndata: a\n\n\n\ndata: b\n\n", [Frame("", b"a"), Frame("", b"b")]),
    ("data: \u2028\x85é\n\n".encode(), [Frame("", "\u2028\x85é".encode())]),
    (b"event: only\n\nid: 3\n\n", []),
    (b"data: a\n\ndata: unfinished\n", [Frame("", b"a")]),
]


@pytest.mark.parametrize(("data", "frames"), ODDITIES)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64])
def test_frames_do_not_depend_on_the_chunking(data: bytes, frames: list[Frame], size: int) -> None:
    assert read(*sliced(data, size)) == frames


def test_a_line_feed_is_skipped_once_after_a_split_crlf() -> None:
    assert read(b"data: a\r", b"\n", b"\n", b"data: b\n\n") == [Frame("", b"a"), Frame("", b"b")]
    assert read(b"data: a\r", b"", b"\n\r\n") == [Frame("", b"a")]


@settings(max_examples=60)
@given(
    st.lists(st.binary(min_size=1, max_size=8).filter(lambda b: not set(b) & set(b"\r\n")), max_size=6),
    st.sampled_from([b"\n", b"\r", b"\r\n"]),
    st.data(),
)
def test_what_is_written_is_read(datas: list[bytes], end: bytes, data: st.DataObject) -> None:
    stream = b"".join(sse(item) for item in datas).replace(b"\n", end)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read(*chunks) == [Frame("", item) for item in datas]


def test_an_event_name_is_written_before_its_data() -> None:
    assert sse(b"{}", "ping") == b"event: ping\ndata: {}\n\n"
    assert parse_block(b"event: ping\ndata: {}") == Frame("ping", b"{}")


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: " + b"x" * 20 + b"\n\n"],
        [b"data: " + b"x" * 20],
        [b"data: ", b"x" * 20],
        [b"data: xxxxx", b"xxxxxxxxx\n\n"],
        [b"\n\n", b"data: " + b"x" * 20 + b"\n\n"],
    ],
)
def test_an_event_larger_than_the_limit_is_an_error(chunks: list[bytes]) -> None:
    with pytest.raises(ParleyError) as caught:
        read(*chunks, limit=16)
    assert (caught.value.failure.kind, caught.value.failure.detail) == ("upstream_bad_response", "event_too_large")


def test_what_fits_exactly_is_no_error() -> None:
    assert read(b"data: 0123456789\n\n", limit=16) == [Frame("", b"0123456789")]
    assert read(b"data: 01234", b"56789", b"\n", b"\n", limit=16) == [Frame("", b"0123456789")]


@pytest.mark.parametrize("rest", [b"data: " + b"x" * 20 + b"\n\n", b"data: " + b"x" * 20])
def test_frames_before_a_large_event_are_not_lost(rest: bytes) -> None:
    reader = SseReader(16)
    assert reader.feed(b"data: a\n\ndata: b\n\n" + rest) == [Frame("", b"a"), Frame("", b"b")]
    with pytest.raises(ParleyError):
        reader.feed(b"")


def test_many_small_events_in_one_large_read_are_no_error() -> None:
    assert len(read(b"data: a\n\n" * 100, limit=16)) == 100


def test_pending_tells_of_an_unfinished_frame() -> None:
    reader = SseReader()
    reader.feed(b"data: a\n\ndata: b")
    assert reader.pending
    reader.close()
    assert not reader.pending


def test_bytes_that_are_not_utf8_are_found() -> None:
    check_text("é".encode())
    with pytest.raises(ParleyError) as caught:
        check_text(b"data: \xff")
    assert caught.value.failure.detail == "bad_event"


@given(st.binary(min_size=1, max_size=5000))
def test_a_chunk_that_came_alone_is_read(content: bytes) -> None:
    assert only_chunk(size_line(len(content)) + content + b"\r\n") == content


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"5\r\nhello",
        b"5\r\nhello\r",
        b"5\r\nhello\n\n",
        b"05\r\nhello\r\n",
        b"5;x=y\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"5\nhello\r\n",
        b"A\r\n0123456789\r\n",
        b"6\r\nhello\r\n",
        b"4\r\nhello\r\n",
        b"5\r\nhello\r\n5\r\nhello\r\n",
        b"0\r\n\r\n",
    ],
)
def test_what_is_not_one_usual_chunk_is_left_to_the_parser(data: bytes) -> None:
    assert only_chunk(data) == b""


HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nX: y\r\n\r\n"


def usual(head: bytes = HEAD) -> UsualHead:
    found = UsualHead()
    assert found.learn(head % 5 + b"hello")
    return found


@pytest.mark.parametrize("body", [b"hello", b"x", b"y" * 20000, b"\r\n\r\n"])
@pytest.mark.parametrize("head", [HEAD, HEAD.replace(b" %d", b"%d"), HEAD.replace(b"X: y\r\n", b"")])
def test_a_head_that_comes_again_is_known_whatever_the_length(head: bytes, body: bytes) -> None:
    assert usual(head).body(head % len(body) + body) == body


@pytest.mark.parametrize(
    "data",
    [
        HEAD % 5 + b"hell",
        HEAD % 5 + b"hello!",
        HEAD % 0,
        HEAD.replace(b"%d", b"05") + b"hello",
        HEAD.replace(b"%d", b"+5") + b"hello",
        HEAD.replace(b"X", b"Y") % 5 + b"hello",
        HEAD.replace(b"Length", b"length") % 5 + b"hello",
        b"\r\n" + HEAD % 5 + b"hello",
        (HEAD % 5)[:30],
        b"",
    ],
)
def test_another_head_or_a_message_that_is_not_whole_is_not_known(data: bytes) -> None:
    assert usual().body(data) == b""


@pytest.mark.parametrize(
    "data",
    [
        HEAD % 5 + b"hello!",
        HEAD % 6 + b"hello",
        HEAD.replace(b"%d", b"05") + b"hello",
        HEAD.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n",
        HEAD.replace(b"X: y", b"X: " + b"y" * MAX_USUAL) % 5 + b"hello",
        b"",
    ],
)
def test_what_is_not_one_whole_message_is_not_learnt(data: bytes) -> None:
    assert not UsualHead().learn(data)
