"""What an address says of what is there, where nobody names its media type (RFC 2046)."""

from typing import Final

_ENDINGS: Final = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
}


def named(url: str) -> str | None:
    """The media type that the ending of the address stands for; None where it stands for none."""
    return _ENDINGS.get(url.partition("#")[0].partition("?")[0].rpartition(".")[2].lower())
