"""Strict reading of JSON text, top-level members without decoding, splicing that leaves every other byte alone."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from parley import jsontext
from parley.failure import ParleyError
from parley.jsontext import MAX_DIGITS, SPLICE_FROM

DEEP = 100_000


def members(body: bytes) -> dict[str, bytes]:
    return {name: bytes(raw) for name, raw in jsontext.members(body).items()}


def refused(read: Any, body: bytes) -> str:
    with pytest.raises(ParleyError) as caught:
        read(body)
    assert (caught.value.failure.kind, caught.value.failure.http_status) == ("invalid_json", 400)
    return caught.value.failure.message


def replaced(body: bytes, **changes: Any) -> bytes:
    return b"".join(jsontext.replaced(body, jsontext.members(body), changes))


BROKEN = [
    b"",
    b" ",
    b"{",
    b'{"a"',
    b'{"a":',
    b'{"a":1',
    b'{"a":1,}',
    b"{,}",
    b'{"a" 1}',
    b"{a:1}",
    b"{'a':1}",
    b'{"a":1}x',
    b'{"a":1}{}',
    b'{"a":1}\x00',
    b'{"a":01}',
    b'{"a":+1}',
    b'{"a":.5}',
    b'{"a":1.}',
    b'{"a":1e}',
    b'{"a":0x1}',
    b'{"a":NaN}',
    b'{"a":Infinity}',
    b'{"a":-Infinity}',
    b'{"a":[NaN]}',
    b'{"a":True}',
    b'{"a":nul}',
    b'{"a":"\n"}',
    b'{"a":"\x00"}',
    b'{"a":"\\x"}',
    b'{"a":"\\u12"}',
    b'{"a":"b}',
    b'{"a":1 /* b */}',
    b"\x0b{}",
    b'{"a":\x0c1}',
    b'{"a":1}\xc2\xa0',
    b"\xef\xbb\xbf{}",
    '{"a":1}'.encode("utf-16"),
    b'{"a":"\xff"}',
    b'{"\xff":1}',
    b'{"a":"\xed\xa0\x80"}',
    b'{"a":"\xc0\xaf"}',
    b'{"a":"\\ud800"}',
    b'{"a":"\\ud800 "}',
    b'{"a":"\\ud83d\\u0041"}',
    b'{"a":"\\ude00"}',
    b'{"\\ud800":1}',
    b'{"a":["\\ud800"]}',
]


@pytest.mark.parametrize("read", [jsontext.members, jsontext.whole])
@pytest.mark.parametrize("body", BROKEN)
def test_what_is_no_json_is_refused(read: Any, body: bytes) -> None:
    assert refused(read, body).startswith("invalid JSON: ")


@pytest.mark.parametrize("read", [jsontext.members, jsontext.whole])
@pytest.mark.parametrize("body", [b"[]", b"null", b'"a"', b"5", b"true", b"[{}]"])
def test_what_is_no_object_is_refused(read: Any, body: bytes) -> None:
    assert refused(read, body) == "invalid JSON: the body must be a JSON object"


@pytest.mark.parametrize("read", [jsontext.members, jsontext.whole])
@pytest.mark.parametrize(
    "body",
    [
        b'{"a":%b%b}' % (b"[" * DEEP, b"]" * DEEP),
        b'{"a":%b1%b}' % (b'{"a":' * DEEP, b"}" * DEEP),
        b'{"a":' * DEEP,
    ],
)
def test_a_deep_body_is_refused_and_not_fatal(read: Any, body: bytes) -> None:
    assert refused(read, body) == "invalid JSON: the body is nested too deeply"


LONG = b"x" * SPLICE_FROM


@pytest.mark.parametrize("read", [jsontext.members, jsontext.whole])
@pytest.mark.parametrize("filler", [b"", LONG])
@pytest.mark.parametrize(
    "twice",
    [
        b'"a":1,"a":2',
        b'"a":1,"a":1',
        b'"a":1,"b":2,"a":1',
        b'"a":1,"\\u0061":1',
        b'"\\u0061":1,"a":12',
        b'"a" : 1 , "a" : 1',
        b'"\xc3\xa9":1,"\\u00e9":1',
        b'"":1,"":1',
    ],
)
def test_a_member_given_twice_is_refused(read: Any, filler: bytes, twice: bytes) -> None:
    for body in (b'{"f":"%b",%b}', b'{"f":"%b" ,%b}\n'):
        assert "twice" in refused(read, body % (filler, twice)) or "duplicate" in refused(read, body % (filler, twice))


def test_only_the_whole_reader_looks_below_the_top() -> None:
    body = b'{"a":[{"b":1,"b":2}]}'
    assert members(body) == {"a": b'[{"b":1,"b":2}]'}
    assert refused(jsontext.whole, body) == "invalid JSON: duplicate member 'b'"


@pytest.mark.parametrize(
    ("digits", "fits"), [(MAX_DIGITS, True), (MAX_DIGITS + 1, False), (5000, False), (3 * MAX_DIGITS, False)]
)
@pytest.mark.parametrize("number", [b"%b", b"-%b", b"1.%b", b"1e%b", b"[0,%b]"])
@pytest.mark.parametrize("before", [b"", b"s" * 1000, b'\\"' * 999])
def test_digits_of_a_number_are_limited(digits: int, fits: bool, number: bytes, before: bytes) -> None:
    body = b'{"f":"%b","a":%b}' % (before, number % (b"9" * digits))
    if fits:
        assert members(body)["a"] == number % (b"9" * digits)
    else:
        for read in (jsontext.members, jsontext.whole):
            assert refused(read, body) == f"invalid JSON: a number has more than {MAX_DIGITS} digits"


@pytest.mark.parametrize(
    "text", [b"9" * 5000, b'\\"' + b"9" * 5000, b"\\\\" + b"9" * 20000, b'{\\"a\\":' + b"9" * 5000]
)
def test_digits_of_a_string_are_not(text: bytes) -> None:
    body = b'{"a":"%b","b":1}' % text
    assert members(body) == {"a": b'"%b"' % text, "b": b"1"}
    assert jsontext.whole(body)["b"] == 1


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"{}", {}),
        (b" { } \r\n\t", {}),
        (b'{"":1}', {"": b"1"}),
        (b' {\n"a" :\t1.50 ,"b":[1 , 2]\r}\n', {"a": b"1.50", "b": b"[1 , 2]"}),
        (b'{"\\u0061\\/\\n":null}', {"a/\n": b"null"}),
        (b'{"\xc3\xa9":"\xe2\x80\xa8"}', {"é": b'"\xe2\x80\xa8"'}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": b'"\\ud83d\\ude00"'}),
        (b'{"a":-0,"b":1e400,"c":1E+2,"d":12345678901234567890123}',
         {"a": b"-0", "b": b"1e400", "c": b"1E+2", "d": b"12345678901234567890123"}),
    ],
)  # fmt: skip
def test_members_keep_their_spelling_and_order(body: bytes, found: dict[str, bytes]) -> None:
    assert members(body) == found
    assert list(members(body)) == list(found)


@pytest.mark.parametrize(
    ("raw", "text"), [(b'"a\\n"', "a\n"), (b'""', ""), (b"1", None), (b"null", None), (b"[]", None)]
)
def test_the_text_of_a_member(raw: bytes, text: str | None) -> None:
    assert jsontext.text(Raw(raw)) == text


# --- splicing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("filler", [b"s", LONG])
def test_a_replaced_member_leaves_every_other_byte(filler: bytes) -> None:
    body = b'{"f":"%b","n":1.0e1,"model":"old","x":{"model":"old","y":[1.50]}}' % filler
    assert replaced(body, model='n"ew') == body.replace(b'"model":"old","x"', b'"model":"n\\"ew","x"')


def test_a_long_body_is_not_copied() -> None:
    body = b'{"a":"%b","model":"old","b":"%b"}' % (LONG, LONG)
    start, middle, end = jsontext.replaced(body, jsontext.members(body), {"model": "new"})
    assert middle == b'"new"'
    for part in (start, end):
        assert isinstance(part, memoryview)
        assert part.obj is body
    assert b"".join((start, middle, end)) == body.replace(b"old", b"new")


@pytest.mark.parametrize("space", [b"", b" ", b"\n  "])
@pytest.mark.parametrize("filler", [b"s", LONG])
@pytest.mark.parametrize(
    "changes",
    [
        {"model": None},
        {"model": 0, "stop": []},
        {"temperature": 0.2},
        {"model": "a", "temperature": None, "é": {"b": [1]}},
        {},
    ],
)
def test_replacing_means_what_setting_a_member_means(space: bytes, filler: bytes, changes: dict[str, Any]) -> None:
    body = b'{"f":"%b",%b"model":"old","n":12345678901234567890.0}' % (filler, space)
    sent = replaced(body, **changes)
    assert json.loads(sent) == {**json.loads(body), **changes}
    assert b"12345678901234567890.0" in sent


@pytest.mark.parametrize("name", ["mod\u0435l", "model"])
def test_a_name_with_an_escape_or_beyond_ascii(name: str) -> None:
    written = name.encode() if not name.isascii() else b"\\u006dodel"
    body = b'{"f":"%b","%b":"old","z":1}' % (LONG, written)
    assert json.loads(replaced(body, **{name: "new"})) == {"f": LONG.decode(), name: "new", "z": 1}


# --- any input at all --------------------------------------------------------------------------


class Pairs(list[Any]):
    """An object as it was written, with members that may come twice."""


def unheard_of(word: str) -> Any:
    raise ValueError(word)


def strict(body: bytes) -> dict[str, Any] | None:
    """What the standard library makes of it, with what RFC 8259 and RFC 7493 refuse taken out; None = refused."""
    try:
        text = body.decode()
        value = json.loads(text, object_pairs_hook=Pairs, parse_constant=unheard_of, parse_float=str, parse_int=str)
        json.dumps(value, ensure_ascii=False).encode()  # refuses lone surrogates
    except (ValueError, RecursionError):
        return None
    names = [name for name, _ in value] if isinstance(value, Pairs) else None
    return dict(value) if names is not None and len(set(names)) == len(names) else None


def accepted(body: bytes) -> dict[str, Any] | None:
    try:
        found = jsontext.members(body)
    except ParleyError:
        return None
    return {
        name: json.loads(bytes(raw), object_pairs_hook=Pairs, parse_float=str, parse_int=str)
        for name, raw in found.items()
    }


words = st.text(st.sampled_from('ab\u00e9\U0001f600"\\/\n\u2028 9'), max_size=4)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Objects in any spelling, sometimes with members written twice, sometimes with one byte spoilt."""
    ascii_only, space = draw(st.booleans()), draw(st.sampled_from(["", " ", "\n\t", "\r\n"]))
    pairs = draw(st.lists(st.tuples(words, values), max_size=4))
    texts = [
        f"{json.dumps(name, ensure_ascii=ascii_only)}{space}:{json.dumps(value, ensure_ascii=ascii_only)}"
        for name, value in pairs
    ]
    body = (space + "{" + f",{space}".join(texts) + "}" + space).encode()
    if draw(st.booleans()):
        return body
    at = draw(st.integers(0, len(body)))
    spoilt = draw(
        st.sampled_from([b"", b",", b'"', b"\\", b"0", b"-", b"e", b"]", b"}", b"\xff", b"\x00", b" ", b"\\ud800"])
    )
    return body[:at] + spoilt + body[at + draw(st.integers(0, 1)) :]


@settings(max_examples=300, deadline=None)
@given(bodies())
@example(b'{"a":1,"a":1}')
@example(b'{"\\ud83d":1,"\\ude00":1}')
def test_members_accepts_exactly_what_a_strict_reader_accepts(body: bytes) -> None:
    assert accepted(body) == strict(body)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(words, values, max_size=4), st.dictionaries(words, values, max_size=2), st.booleans(), st.booleans()
)
def test_replaced_is_a_new_value_for_a_member(
    before: dict[str, Any], changes: dict[str, Any], long: bool, compact: bool
) -> None:
    whole = {**before, "filler": "x" * SPLICE_FROM} if long else before
    body = json.dumps(whole, separators=(",", ":") if compact else None).encode()
    assert json.loads(replaced(body, **changes)) == {**whole, **changes}


@settings(max_examples=100, deadline=None)
@given(bodies())
def test_the_whole_reader_agrees_where_no_object_says_a_thing_twice(body: bytes) -> None:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs)
        return dict(pairs)

    try:
        found = jsontext.whole(body)
    except ParleyError:
        return
    assert found == json.loads(body, object_pairs_hook=unique, parse_constant=unheard_of)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("{}", True),
        ('{"a": [1]}', True),
        ("", True),
        ("nonsense", True),
        ('{"a": ', False),
        ('{"a": "b', False),
        ("[", False),
    ],
)
def test_text_that_was_cut(text: str, whole: bool) -> None:
    assert jsontext.is_whole(text) is whole
