"""Multipart forms: bodies built by a client library, bodies that two servers could read in two ways, edits in place."""

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley import multipart
from parley.failure import ParleyError

KIND = b"multipart/form-data; boundary=b"


def sent(fields: dict[str, object], files: list[tuple[str, tuple[str, bytes, str]]]) -> tuple[bytes, bytes]:
    """A body and its type as httpx2 makes them."""
    request = httpx2.Request("POST", "http://h/", data=fields, files=files)
    return request.read(), request.headers["content-type"].encode()


def joined(pieces: multipart.Pieces) -> bytes:
    return b"".join(bytes(piece) for piece in pieces)


def refusal(body: bytes, kind: bytes = KIND) -> str:
    with pytest.raises(ParleyError) as caught:
        multipart.read(body, kind)
    assert caught.value.failure.kind == "invalid_request"
    return caught.value.failure.message


def test_what_a_client_library_sends_is_read():
    picture = bytes(range(256)) * 40 + b"\r\n--not-the-boundary\r\n"
    body, kind = sent({"model": "m/ü", "n": "2", "list[]": ["a", "b"]}, [("image", ("a b.png", picture, "image/png"))])
    form = multipart.read(body, kind)
    assert form.field("model") == "m/ü"
    assert form.fields() == {"model": ["m/ü"], "n": ["2"], "list[]": ["a", "b"]}
    assert form.files() == {"image"}
    (file,) = [part for part in form.parts if part.filename is not None]
    assert (file.filename, file.content_type, bytes(file.data)) == ("a b.png", "image/png", picture)
    assert body[file.start : file.end] == picture


def test_an_edit_leaves_every_other_byte_as_it_was():
    picture = bytes(range(256))
    body, kind = sent({"model": "old", "prompt": "p", "user": "u"}, [("image", ("x.png", picture, "image/png"))])
    form = multipart.read(body, kind)
    again = multipart.read(joined(form.edited({"model": ("new",), "user": None, "tags[]": ("a", "b")})), kind)
    assert again.fields() == {"prompt": ["p"], "model": ["new"], "tags[]": ["a", "b"]}
    (file,) = [part for part in again.parts if part.filename is not None]
    assert bytes(file.data) == picture
    assert body[: body.index(picture)].rpartition(b"--")[2].partition(b"\r\n")[2] in joined(again.edited({}))


@given(
    fields=st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text(max_size=20), max_size=3),
    data=st.binary(max_size=60),
    value=st.text(max_size=20),
)
def test_any_field_survives_any_edit_of_another(fields: dict[str, str], data: bytes, value: str):
    body, kind = sent(dict(fields), [("file", ("f", data, "application/octet-stream"))])
    form = multipart.read(body, kind)
    again = multipart.read(joined(form.edited({"model": (value,)})), kind)
    assert again.field("model") == value
    assert {name: [text] for name, text in fields.items()} == {
        name: texts for name, texts in again.fields().items() if name != "model"
    }
    (file,) = [part for part in again.parts if part.filename is not None]
    assert bytes(file.data) == data


def test_empty_values_are_not_absent_ones():
    body = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n\r\n--b--\r\n'
    form = multipart.read(body, KIND)
    assert (form.field("x"), form.field("y")) == ("", None)
    tight = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n--b--'
    assert multipart.read(tight, KIND).field("x") == ""
    assert multipart.read(joined(multipart.read(tight, KIND).edited({"y": ("1",)})), KIND).fields() == {
        "x": [""],
        "y": ["1"],
    }


def test_names_are_read_as_browsers_write_them():
    body = b'--b\r\ncontent-disposition: form-data; name="a%22b"; filename="c%0Ad"\r\n\r\nx\r\n--b--'
    (part,) = multipart.read(body, KIND).parts
    assert (part.name, part.filename) == ('a"b', "c\nd")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "does not begin"),
        (b"hello", "does not begin"),
        (b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\nabc', "cut short"),
        (b'--b\r\nContent-Disposition: form-data; name="x"\r\n--b--', "cut short"),
        (b"--b\r\nContent-Type: text/plain\r\n\r\nabc\r\n--b--", "no name"),
        (b'--b\r\nContent-Disposition: attachment; name="x"\r\n\r\nabc\r\n--b--', "no name"),
        (b'--bX\r\nContent-Disposition: form-data; name="x"\r\n\r\nabc\r\n--b--', "line end"),
        (b'--b\r\nContent-Disposition: form-data; name="x"; name="y"\r\n\r\na\r\n--b--', "twice"),
        (b'--b\r\nbroken\r\nContent-Disposition: form-data; name="x"\r\n\r\na\r\n--b--', "colon"),
        (
            b"--b\r\n" + 2 * b'Content-Disposition: form-data; name="x"\r\n' + b"\r\na\r\n--b--",
            "two Content-Disposition",
        ),
        (b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\na\r\n--b--', "UTF-8"),
        (b"".join([b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\na\r\n'] * 201) + b"--b--", "more than 200"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(body: bytes, word: str):
    assert word in refusal(body)


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (b"application/json", "multipart/form-data"),
        (b"", "multipart/form-data"),
        (b"multipart/form-data", "boundary"),
        (b'multipart/form-data; boundary=""', "boundary"),
        (b"multipart/form-data; boundary=" + b"x" * 71, "boundary"),
        (b"multipart/form-data; boundary=a; boundary=b", "twice"),
    ],
)
def test_a_type_without_a_usable_boundary_is_refused(kind: bytes, word: str):
    assert word in refusal(b"--b--", kind)


def test_one_field_twice_or_as_a_file_is_refused_by_name():
    body, kind = sent({"model": ["a", "b"]}, [("file", ("f", b"", "text/plain")), ("n", ("f", b"1", "text/plain"))])
    form = multipart.read(body, kind)
    for name in ("model", "n"):
        with pytest.raises(ParleyError) as caught:
            form.field(name)
        assert caught.value.failure.param == name


def test_a_field_that_is_no_text_is_refused_by_name():
    body = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n\xff\r\n--b--'
    with pytest.raises(ParleyError) as caught:
        multipart.read(body, KIND).field("x")
    assert caught.value.failure.param == "x"
