"""Personal data is replaced by a word for what it was. Source: Dapr conversation contract section 4.4."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.pii import ENTITIES, Scrubbed, scrubbed

# As the contract gives them.
VECTORS = [
    ("+2222222222", "<PHONE_NUMBER>"),
    ("+4422222222", "<PHONE_NUMBER>"),
    ("test@test.com", "<EMAIL_ADDRESS>"),
    ("10.8.9.1", "<IP>"),
    ("6011553157232994", "<CREDIT_CARD>"),
    (
        "is488-23-3729. Details can be found at https://aavaz.ai/emp/488-23-3729",
        "is<US_SSN>. Details can be found at https://aavaz.ai/emp/488-23-3729",
    ),
    ("well hello there", "well hello there"),
    ("4111 1111 1111 1111", "<CREDIT_CARD>"),
    ("00:1A:2B:3C:4D:5E", "<MAC_ADDRESS>"),
    ("DE89370400440532013000", "<IBAN>"),
    ("P.O. Box 1234", "<PO_BOX>"),
    ("123 Main Street today", "<STREET_ADDRESS>today"),
    ("978-3-16-148410-0", "<ISBN>"),
    ("(212) 456-7890", "<PHONE_NUMBER>"),
    ("year 2024", "year <PHONE_NUMBER>"),
    ("id 123", "id 123"),
    ("10:30", "10:30"),
    ("v1.16.0", "v1.16.0"),
    ("$1,000", "$1,000"),
]
MORE = [
    ("", ""),
    ("write to a.b+c@mail.example.co.uk, please", "write to <EMAIL_ADDRESS>, please"),
    ("x@y.com_z@w.org", "<EMAIL_ADDRESS><EMAIL_ADDRESS>"),
    ("no@host", "no@host"),
    ("@example.com", "@example.com"),
    ("2001:db8::8a2e:370:7334", "<IP>"),
    ("fe80::1%eth0", "<IP>"),
    ("::ffff:192.0.2.128", "<IP>"),
    ("256.1.1.1 is none", "2<IP> is none"),
    ("3782 822463 10005", "<PHONE_NUMBER> <ZIP_CODE>"),
    ("378282246310005", "<CREDIT_CARD>"),
    ("PO Box 7", "<PO_BOX>"),
    ("12 Elm Ave.", "<STREET_ADDRESS>"),
    ("1600 Pennsylvania Avenue NW", "<STREET_ADDRESS>NW"),
    ("(415) 555-2671 ext. 12!", "<PHONE_NUMBER>!"),
    ("two: test@test.com 10.8.9.1.", "two: <EMAIL_ADDRESS> <IP>."),
    ("see https://example.com/10.8.9.1/a@b.com, and 10.8.9.1", "see https://example.com/10.8.9.1/a@b.com, and <IP>"),
    ("(http://h.example/4111111111111111)", "(http://h.example/4111111111111111)"),
    (
        "git@github.com:me/2024-05-06-repo.git and 2024-05-06",
        "git@github.com:me/2024-05-06-repo.git and <PHONE_NUMBER>",
    ),
    ("Grüße an müller@straße.de", "Grüße an müller@straße.de"),
    ("今年は2024年です", "今年は<PHONE_NUMBER>年です"),
]


@pytest.mark.parametrize(("text", "clean"), VECTORS + MORE, ids=lambda value: value[:24])
def test_a_vector(text: str, clean: str) -> None:
    assert scrubbed(text) == clean


@pytest.mark.parametrize(("text", "clean"), VECTORS + MORE, ids=lambda value: value[:24])
def test_a_vector_in_pieces_cut_anywhere(text: str, clean: str) -> None:
    for first in range(len(text) + 1):
        for second in range(first, min(len(text), first + 12) + 1):
            pieces = (text[:first], text[first:second], text[second:])
            stream = Scrubbed()
            assert "".join([*map(stream.feed, pieces), stream.close()]) == clean, pieces


WORDS = st.sampled_from(
    [
        *(text for text, _ in VECTORS + MORE), *"0123456789abfxPOp@.:-+()#/ \n%", "  ", "ext", "Street", "Box",
        "https://", ".git", "git@", "::", "é", "12 ", "1", "212", "456-7890", " ", " ",
    ]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(WORDS, max_size=14), st.lists(st.integers(1, 9), max_size=30))
def test_a_text_in_pieces_comes_out_as_the_whole(words: list[str], lengths: list[int]) -> None:
    text = "".join(words)
    stream, out, position = Scrubbed(), "", 0
    for length in lengths:
        out += stream.feed(text[position : position + length])
        position += length
    out += stream.feed(text[position:]) + stream.close()
    assert out == scrubbed(text)


@pytest.mark.parametrize(
    "text", ["All words of this sentence are plain. They go out once they are whole ", "今年は令和です。"]
)
def test_plain_words_wait_for_no_more_than_their_end(text: str) -> None:
    stream, out = Scrubbed(), ""
    for index, letter in enumerate(text, 1):
        out += stream.feed(letter)
        assert out == text[: len(out)]
        assert index - len(out) < 10
    assert out == text


def test_a_word_without_an_end_is_not_held_for_ever() -> None:
    stream = Scrubbed()
    out = "".join(stream.feed("x" * 100) for _ in range(100))
    assert len(out) >= 100 * 100 - 1024
    assert out + stream.close() == "x" * 10_000


def test_a_long_link_is_left_alone_in_pieces() -> None:
    text = "https://example.com/" + "4111111111111111/" * 500 + " 4111111111111111"
    stream = Scrubbed()
    out = "".join(stream.feed(text[index : index + 50]) for index in range(0, len(text), 50)) + stream.close()
    assert out == text[:-16] + "<CREDIT_CARD>" == scrubbed(text)


def test_only_what_is_asked_for_is_replaced() -> None:
    text = "test@test.com 10.8.9.1 4111 1111 1111 1111"
    assert scrubbed(text, {"IP"}) == "test@test.com <IP> 4111 1111 1111 1111"
    assert scrubbed(text, {"EMAIL_ADDRESS", "CREDIT_CARD"}) == "<EMAIL_ADDRESS> 10.8.9.1 <CREDIT_CARD>"
    assert scrubbed(text, ()) == text
    assert len(ENTITIES) == 11


MEGABYTE = 1_000_000
ADVERSARIES = {
    "digits": "1", "hex": "a", "locals": "a.", "ats": "@", "addresses without an end": "a@", "labels": "a@a-",
    "dashes": "1-", "colons": "1:", "gaps": ":", "spaces": " ", "digits and spaces": "1 ", "streets": "1 a ",
    "almost streets": "1234 aaaaaaaaaaaaaaaaaaas", "brackets": "(", "area codes": "(212)", "numbers": "212 ",
    "extensions": "2124567890 e", "plus": "+1 ", "links": "https://", "repositories": "git@git:", "git": "git.",
    "almost git": "git:a.gi", "boxes": "P.O. Box ", "capitals": "AA11", "dots": "1.", "groups": "12:34",
}  # fmt: skip


@pytest.mark.parametrize("unit", ADVERSARIES.values(), ids=ADVERSARIES)
def test_time_grows_with_the_length_alone(unit: str) -> None:
    """Four times the text takes about four times the time; by a square it would take sixteen."""
    took = []
    for size in (MEGABYTE // 128, MEGABYTE // 32):
        begun = time.process_time()
        scrubbed(unit * (size // len(unit)))
        took.append(time.process_time() - begun)
    assert took[1] < 9 * took[0] + 0.03


def test_a_megabyte_of_everything_that_could_be_slow() -> None:
    text = "\n".join(unit * (MEGABYTE // len(ADVERSARIES) // len(unit)) for unit in ADVERSARIES.values())
    begun = time.process_time()
    scrubbed(text)
    assert time.process_time() - begun < 30
