"""Forms as they come in, in pieces of any size, beside what reads them as a whole."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as some

from parley.batches.form import FormFlow
from parley.failure import ParleyError

KIND = b"multipart/form-data; boundary=xyz"
FIELD = b'--xyz\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
FILE = b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'


def flow(body: bytes, size: int = 1 << 20) -> tuple[FormFlow, bytes]:
    into = BytesIO()
    made = FormFlow(KIND, into.write)
    for start in range(0, len(body), size):
        made.feed(body[start : start + size])
    return made, into.getvalue()


@given(some.binary(max_size=300).filter(lambda data: b"\r\n--xyz" not in data), some.integers(1, 80))
def test_pieces_of_any_size(data: bytes, size: int) -> None:
    made, content = flow(FIELD + FILE + data + b"\r\n--xyz--\r\n", size)
    head = made.close()
    assert (content, made.size, made.fields) == (data, len(data), {"purpose": "batch"})
    assert (head.name, head.filename) == ("file", "a.jsonl")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--xyz--",
        FIELD + b"--xyz--",
        FIELD + FILE + b"data",
        FIELD + FIELD + FILE + b"data\r\n--xyz--",
        FILE + b"a\r\n" + FILE + b"b\r\n--xyz--",
        FILE.replace(b'"file"', b'"other"') + b"a\r\n--xyz--",
        b"--xyzq\r\n\r\n",
        b"--xyz\r\n" + b"a" * 10_000,
        b"--xyz\r\ncontent-disposition: form-data\r\n\r\na\r\n--xyz--",
        FIELD.replace(b"batch", b"\xff") + FILE + b"a\r\n--xyz--",
        FIELD.replace(b"batch", b"x" * 70_000) + FILE + b"a\r\n--xyz--",
    ],
)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_what_is_no_form(body: bytes, size: int) -> None:
    with pytest.raises(ParleyError) as caught:
        flow(body, size)[0].close()
    assert caught.value.failure.kind == "invalid_request"


def test_another_content_type() -> None:
    with pytest.raises(ParleyError):
        FormFlow(b"application/json", BytesIO().write)
