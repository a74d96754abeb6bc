"""The text of a key: what it is made of, and that a wrong one is told from it without asking anybody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.keys import KINDS, Kind, digest_of, is_key, key_text

ANY_BITS = st.binary(min_size=32, max_size=32)
LOWEST, HIGHEST = bytes(32), b"\xff" * 32


def test_a_key_is_as_it_has_always_been() -> None:
    """The digests in stores hold only as long as this does."""
    assert key_text("caller", LOWEST) == "parley_c" + "0" * 43 + "1t9Rg9"
    assert digest_of(b"parley") != digest_of(b"parley ")
    assert len(digest_of(b"")) == 32


@given(ANY_BITS, st.sampled_from(KINDS))
def test_every_key_is_one(random: bytes, kind: Kind) -> None:
    text = key_text(kind, random)
    assert is_key(text)
    assert len(text) == 57
    assert text.startswith(f"parley_{kind[0]}")


@given(ANY_BITS, ANY_BITS)
def test_other_bits_make_another_key(one: bytes, other: bytes) -> None:
    assert (key_text("caller", one) == key_text("caller", other)) == (one == other)


@given(ANY_BITS, st.integers(0, 56), st.sampled_from("0aZ_ -é"))
def test_a_mistyped_key_is_none(random: bytes, place: int, letter: str) -> None:
    text = key_text("admin", random)
    changed = text[:place] + letter + text[place + 1 :]
    assert is_key(changed) == (changed == text)


@pytest.mark.parametrize("text", ["", "parley_", "none", "sk-abc", key_text("node", HIGHEST)[:-1]])
def test_what_is_no_key(text: str) -> None:
    assert not is_key(text)
    assert not is_key(text + "\n")


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_has_256_bits(size: int) -> None:
    with pytest.raises(ValueError, match="256"):
        key_text("caller", bytes(size))
