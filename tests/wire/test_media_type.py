"""Media types by the endings of addresses."""

import pytest

from parley.wire.media_type import named


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("https://host/a/cat.PNG?size=2#top", "image/png"),
        ("https://host/report.pdf#page=2.txt", "application/pdf"),
        ("gs://bucket/talk.mp3", "audio/mpeg"),
        ("https://host/cat", None),
        ("https://host/cat.exe?as=.png", None),
        ("", None),
    ],
)
def test_the_ending_alone_tells(url: str, known: str | None) -> None:
    assert named(url) == known
