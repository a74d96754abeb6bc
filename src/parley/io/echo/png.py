"""PNG files, written and looked at (RFC 2083): four colours, a pattern of cells, one comment."""

import struct
import zlib
from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_HEAD: Final = struct.Struct(">IIBBBBB")
_PALETTE, _TWO_BITS, _UP = 3, 2, b"\x02"
LONGEST_COMMENT: Final = 1000


def drawn(size: tuple[int, int], seed: bytes, cells: int, comment: str, *, transparent: bool = False) -> bytes:
    """A picture of ``size`` (width, height) pixels: ``cells`` by ``cells`` fields, mirrored left to right, in colours
    and places taken from ``seed`` (32 bytes). A transparent one lacks its background."""
    width, height = size
    palette = b"".join(bytes((*seed[place : place + 2], seed[place + 2] | 0x40)) for place in (0, 3, 6, 9))
    head = _HEAD.pack(width, height, _TWO_BITS, _PALETTE, 0, 0, 0)
    text = b"Description\0\0\0\0\0" + comment[:LONGEST_COMMENT].replace("\0", " ").encode()
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", head),
            _chunk(b"PLTE", palette),
            _chunk(b"tRNS", b"\0") if transparent else b"",
            _chunk(b"iTXt", text),
            _chunk(b"IDAT", zlib.compress(_rows(width, height, seed, cells), 6)),
            _chunk(b"IEND", b""),
        )
    )


def size_of(data: bytes | memoryview) -> tuple[int, int] | None:
    """Width and height of a PNG file, None where it is none."""
    head = bytes(data[:24])
    if len(head) < 24 or not head.startswith(SIGNATURE) or head[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", head[16:])
    return width, height


def _rows(width: int, height: int, seed: bytes, cells: int) -> bytes:
    """All rows with their filters: most repeat the one above, which the filter Up writes as zeros."""
    same = _UP + bytes((width + 3) // 4)
    rows: list[bytes] = []
    for line in range(cells):
        first, end = height * line // cells, height * (line + 1) // cells
        if first < end:
            rows += [b"\0" + _row(width, seed, cells, line), same * (end - first - 1)]
    return b"".join(rows)


def _row(width: int, seed: bytes, cells: int, line: int) -> bytes:
    """One row of pixels, four to a byte, the leftmost in the highest bits."""
    pixels = bytearray()
    for column in range(cells):
        mirrored = min(column, cells - 1 - column)
        colour = seed[(line * cells + mirrored) % len(seed)] % 4
        pixels += bytes((colour,)) * (width * (column + 1) // cells - width * column // cells)
    pixels += bytes(-len(pixels) % 4)
    return bytes(
        a << 6 | b << 4 | c << 2 | d
        for a, b, c, d in zip(pixels[::4], pixels[1::4], pixels[2::4], pixels[3::4], strict=True)
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
