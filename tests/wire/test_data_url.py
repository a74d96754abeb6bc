"""``data:`` URLs."""

import pytest

from parley.wire.data_url import data_url, split_data_url


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("data:image/png;base64,AAAA", ("image/png", "AAAA")),
        ("data:;base64,AAAA", (None, "AAAA")),
        ("data:text/plain;charset=utf-8;base64,AAAA", ("text/plain;charset=utf-8", "AAAA")),
        ("data:text/plain,words", (None, None)),
        ("data:image/png;base64", (None, None)),
        ("https://host/data:image/png;base64,AAAA", (None, None)),
        ("", (None, None)),
    ],
)
def test_urls_are_split(url: str, parts: tuple[str | None, str | None]) -> None:
    assert split_data_url(url) == parts


def test_what_was_split_is_joined() -> None:
    for url in ("data:image/png;base64,AAAA", "data:;base64,AAAA"):
        media_type, data = split_data_url(url)
        assert data is not None
        assert data_url(media_type, data) == url
