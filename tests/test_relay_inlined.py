"""What was found at an address is what it begins as; else what the request or the address says, where that may be."""

import pytest

from parley.relay.inlined import kind_of

RIFF = b"RIFF....%bmore"


@pytest.mark.parametrize(
    ("data", "meant", "stated", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "image", "image/jpeg", "image/png"),
        (b"\xff\xd8\xff", "image", "", "image/jpeg"),
        (RIFF % b"WEBP", "image", "", "image/webp"),
        (RIFF % b"WAVE", "image", "", None),
        (RIFF % b"WAVE", "audio", "", "audio/wav"),
        (b"<html>", "image", "image/png", None),
        (b"<html>", "image", "", None),
        (b"....ftypheic", "image", "image/heic", "image/heic"),
        (b"%PDF-1.7", "document", "", "application/pdf"),
        (b"words", "document", "", "text/plain"),
        (b"a,b", "document", "text/csv", "text/csv"),
        (b"\xff\x00", "document", "", None),
        (b"words", "document", "application/pdf", None),
        (b"", "document", "text/plain", None),
        (b"", "image", "image/heic", None),
    ],
)
def test_kinds(data: bytes, meant: str, stated: str, kind: str | None):
    assert kind_of(data, meant, stated) == kind
