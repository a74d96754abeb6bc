"""Pictures that a worker on this machine names by their path: read, and put into the answer in their place.

Only what is a picture by its first bytes, a plain file, not too large and, where the operator named folders, in one of
them. Paths never leave this machine.
"""

import asyncio
import os
import stat
from base64 import b64encode
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from parley.settings import loopback

LARGEST: Final = 32 * 1024 * 1024
_FILE: Final = "file://"
_ELSEWHERE: Final = ("http://", "https://", "data:")
_MARKS: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")
_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Pictures:
    """``folders`` are those that may be read, None for any."""

    def __init__(self, loop: asyncio.AbstractEventLoop, folders: tuple[str, ...] | None) -> None:
        self._loop = loop
        self._folders = None if folders is None else tuple(os.path.realpath(folder) for folder in folders)

    async def filled(self, body: bytes, url: str) -> bytes | None:
        """An answer of the worker at ``url`` with data in place of paths; None where one cannot be read."""
        if not loopback(urlsplit(url).hostname or ""):
            return None
        answer = msgspec.json.decode(body)
        for picture in answer["data"]:
            path = _path_of(picture)
            if path is None:
                continue
            data = await self._loop.run_in_executor(None, self._read, path)
            if data is None:
                return None
            del picture["url"]
            picture["b64_json"] = b64encode(data).decode()
        return msgspec.json.encode(answer)

    def _read(self, path: str) -> bytes | None:
        real = os.path.realpath(path)
        if self._folders is not None and not any(os.path.commonpath((real, one)) == one for one in self._folders):
            return None
        try:
            number = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (OSError, ValueError):
            return None
        try:
            facts = os.fstat(number)
            data = _bytes_of(number) if stat.S_ISREG(facts.st_mode) and facts.st_size <= LARGEST else b""
        except OSError:
            return None
        finally:
            os.close(number)
        return data if len(data) <= LARGEST and _is_picture(data) else None


def _bytes_of(number: int) -> bytes:
    with open(number, "rb", closefd=False) as file:
        return file.read(LARGEST + 1)


def paths_in(body: bytes) -> bool:
    """Whether an answer names pictures by paths."""
    if b'"url"' not in body:
        return False
    try:
        answer = msgspec.json.decode(body)
    except _BROKEN:
        return False
    data = answer.get("data") if isinstance(answer, dict) else None
    return isinstance(data, list) and any(_path_of(item) is not None for item in data)


def _path_of(picture: Any) -> str | None:
    """Where a picture is on this disk, None where it is elsewhere or in the answer itself. What is neither an address
    nor a path is taken for one: it does not leave as it is."""
    url = picture.get("url") if isinstance(picture, dict) else None
    if not isinstance(url, str) or not url or url.lower().startswith(_ELSEWHERE):
        return None
    path = unquote(url[len(_FILE) :].removeprefix("localhost")) if url.lower().startswith(_FILE) else url
    return path if "\0" not in path else ""


def _is_picture(data: bytes) -> bool:
    return data.startswith(_MARKS) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")
