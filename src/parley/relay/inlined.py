"""What a request names by address, for providers that take such things as data only.

Which of the addresses a provider refuses is found by asking its wire: what it takes once the data stands there was
refused for its address. Source: provider contract sections 3.2, 4.3, 10; product contract section 4 (addresses).
"""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from parley.failure import Failure
from parley.ir import Block, ChatRequest, Media, ToolResult
from parley.wire.media_type import named

# What is at an address: its media type and its bytes in base64.
Found: TypeAlias = Mapping[str, tuple[str, str]]
# Addresses of one request that are fetched, at most.
MOST: Final = 16
_SIGNS: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
)
_RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
# Things of these kinds begin as they must, or are none.
_SIGNED: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf"})
# Data that nobody looks into.
_ANY: Final = "AAAA"
_STANDING: Final = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4", "document": "application/pdf"}


def inlined(request: Any, found: Found) -> Any:
    """The request with the data of those addresses in their place."""
    if type(request) is not ChatRequest:
        return request
    messages = [
        message
        if (content := _placed(message.content, found)) is message.content
        else replace(message, content=content)
        for message in request.messages
    ]
    return replace(request, messages=tuple(messages))


def refused(
    request: ChatRequest, failure: Failure, refusal: Callable[[ChatRequest], Failure | None]
) -> tuple[tuple[str, str, str], ...]:
    """The addresses for which alone the provider refuses the request, as ``failure`` says; none where there is another
    reason. Each with the kind of thing that is meant and its media type ("" where nobody says). ``refusal`` tells why
    the provider would refuse another request."""
    wanted: list[tuple[str, str, str]] = []
    because: Failure | None = failure
    for url, media in _named(request).items():
        if len(wanted) == MOST:
            break
        tried = inlined(request, {url: (_typed(media), _ANY)})
        left = refusal(tried)
        if left is not None and left.param == failure.param:
            continue
        wanted.append((url, media.kind, _stated(media) or ""))
        request, because = tried, left
        if left is None:
            break
        failure = left
    return tuple(wanted) if because is None else ()


def kind_of(data: bytes, meant: str, stated: str) -> str | None:
    """The media type of what was found where a thing of that kind is meant; None where it is none."""
    known = next((kind for sign, kind in _SIGNS if data.startswith(sign)), None)
    if known is None and data.startswith(b"RIFF"):
        known = _RIFF.get(data[8:12])
    if known is None and (not data or stated in _SIGNED):
        return None
    known = known or stated or None
    if meant == "document":
        return known or _text(data)
    return known if known is not None and known.startswith(f"{meant}/") else None


def written(data: bytes) -> str:
    """Bytes as requests hold them."""
    return b64encode(data).decode()


def _named(request: ChatRequest) -> dict[str, Media]:
    """What a request names by address, by those addresses."""
    found: dict[str, Media] = {}
    for message in request.messages:
        for media in _addressed(message.content):
            if media.url is not None:
                found.setdefault(media.url, media)
    return found


def _text(data: bytes) -> str | None:
    try:
        data.decode()
    except ValueError:
        return None
    return "text/plain"


def _stated(media: Media) -> str | None:
    return media.media_type or named(media.url or "")


def _typed(media: Media) -> str:
    stated = _stated(media)
    return stated if stated is not None and "*" not in stated else _STANDING[media.kind]


def _addressed(blocks: tuple[Block, ...]) -> Iterator[Media]:
    for block in blocks:
        if type(block) is ToolResult:
            yield from _addressed(block.content)
        elif type(block) is Media and block.url is not None and block.url.startswith(("http://", "https://")):
            yield block


def _placed(blocks: tuple[Block, ...], found: Found) -> tuple[Block, ...]:
    changed = False
    placed: list[Block] = []
    for block in blocks:
        one: Block = block
        if type(block) is ToolResult:
            content = _placed(block.content, found)
            one = block if content is block.content else replace(block, content=content)
        elif type(block) is Media and block.url is not None and block.url in found:
            kind, data = found[block.url]
            one = replace(block, url=None, data=data, media_type=kind)
        changed = changed or one is not block
        placed.append(one)
    return tuple(placed) if changed else blocks
