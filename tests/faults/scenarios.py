"""The scenarios of the fault upstream: what it does with one request, by the name in the path.

A scenario is ``async (scene) -> bool``; True keeps the connection. Arguments follow the name after colons.
Rows of the fault contract are named in the docstrings.
"""

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from faults.scene import CHUNKED, GAP, TEXTS, Scene
from faults.speech import WIDE, WORDS, Anthropic


async def ok(scene: Scene) -> bool:
    return await scene.ok(int(scene.arg(0, TEXTS)))


async def hang(scene: Scene) -> bool:
    """U6: accepts, never answers."""
    await asyncio.Event().wait()
    return False


async def slow_head(scene: Scene) -> bool:
    """U7: headers byte by byte."""
    for byte in b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Pad: " + b"p" * 500:
        await scene.conn.send(bytes([byte]))
        await asyncio.sleep(0.2)
    return False


async def close0(scene: Scene) -> bool:
    """U8: closes without a byte, each time or the first K times."""
    return False if scene.turn < scene.arg(0, float("inf")) else await scene.ok()


async def rst(scene: Scene) -> bool:
    """U9: RST at once; with an argument M1: RST after N events."""
    if scene.args:
        await scene.begun()
    scene.conn.reset()
    return False


async def stale(scene: Scene) -> bool:
    """U10: answers, and is dead when the next request arrives (``stale:close``: says so by FIN at once)."""
    await scene.ok()
    scene.conn.stale = True
    return scene.args != ["close"]


async def status(scene: Scene) -> bool:
    """U11, U15, U16: CODE each time, or K times with Retry-After and then well."""
    if scene.turn >= scene.arg(1, float("inf")):
        return await scene.ok()
    extra = f"Retry-After: {scene.args[2]}\r\n".encode() if len(scene.args) > 2 else b""
    return await scene.error(int(scene.args[0]), extra)


async def burst(scene: Scene) -> bool:
    """U13: 5xx of every kind for some seconds after the first request."""
    if time.monotonic() - scene.upstream.began[scene.request.key] > scene.arg(0, 1):
        return await scene.ok()
    return await scene.error(scene.upstream.random.choice((500, 502, 503, 504)))


async def html(scene: Scene) -> bool:
    """U17: a page instead of an answer."""
    return await scene.whole(b"<!doctype html><h1>It works!</h1>", kind="text/html")


async def empty(scene: Scene) -> bool:
    """U17: 200 and nothing."""
    return await scene.whole(b"", kind="text/event-stream" if scene.stream else "application/json")


async def badjson_body(scene: Scene) -> bool:
    """U18."""
    return await scene.whole(b'{"id": "x", "choices": [')


async def badshape(scene: Scene) -> bool:
    """U18."""
    return await scene.whole(b'{"weather": "fine"}')


async def big(scene: Scene) -> bool:
    """U18: 50 MB of JSON."""
    size, part = 50 * 1000 * 1000, b" " * 100_000
    await scene.head(200, b"Content-Length: %d\r\n" % (size + 1), "application/json")
    await scene.conn.send(b"{")
    for _ in range(size // len(part)):
        await scene.conn.send(part)
    return False


async def redir(scene: Scene) -> bool:
    """U19: a redirect to this very server."""
    place = f"Location: http://127.0.0.1:{scene.upstream.port}/ok~redirected{scene.request.target}\r\n"
    return await scene.whole(b"", int(scene.arg(0, 302)), place.encode())


async def flood1xx(scene: Scene) -> bool:
    """U20: interim answers without end."""
    for _ in range(100_000):
        await scene.conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 20)
    return False


async def bighead(scene: Scene) -> bool:
    """U20: one megabyte of headers."""
    await scene.conn.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(1000):
        await scene.conn.send(b"X-Pad-%d: %b\r\n" % (number, b"p" * 1000))
    return await scene.whole(b"{}")


async def badstatus(scene: Scene) -> bool:
    """U20: not a status line."""
    await scene.conn.send(b"HTTP/1.1 two-hundred fine\r\nContent-Length: 0\r\n\r\n")
    return False


async def err_first(scene: Scene) -> bool:
    """U21: 200, and the first event is an error."""
    if not scene.stream:
        return await scene.error(529)
    await scene.head(200, CHUNKED)
    await scene.events([scene.speech.failure()])
    return await scene.end()


async def bomb(scene: Scene) -> bool:
    """U22: a megabyte that unpacks to a gigabyte."""
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = press.compress(b" " * (1 << 20)) + press.flush(zlib.Z_FULL_FLUSH)
    await scene.head(200, CHUNKED + b"Content-Encoding: gzip\r\n", "application/json")
    await scene.conn.chunk(gzip.compress(b"", 9)[:10] + block)
    for _ in range(1023):
        await scene.conn.chunk(block)
    return await scene.end()


async def trunc(scene: Scene) -> bool:
    """M2: the last chunk never comes."""
    await scene.begun()
    return False


async def no_done(scene: Scene) -> bool:
    """M3: a clean end with neither finish reason nor terminator."""
    await scene.talk(5)
    return await scene.end()


async def no_done_finish(scene: Scene) -> bool:
    """M3: a clean end after the finish reason, without the terminator."""
    await scene.talk(5)
    await scene.events(scene.speech.finish())
    return await scene.end()


async def stall(scene: Scene) -> bool:
    """M4: N events, then silence."""
    await scene.begun()
    await asyncio.Event().wait()
    return False


async def badjson(scene: Scene) -> bool:
    """M6: after N events one whose data is not JSON, then on as if nothing were."""
    await scene.talk(int(scene.arg(0, 3)))
    name = b"event: content_block_delta\n" if isinstance(scene.speech, Anthropic) else b""
    await scene.events([name + b'data: {"choices":[{"index":0,"delta":{"content":"bro\n\n', scene.speech.text("zulu ")])
    return await scene.rest()


def _multiline(event: bytes) -> bytes:
    name, _, data = event.rstrip(b"\n").rpartition(b"data: ")
    if not data.startswith(b"{"):
        return event
    lines = json.dumps(json.loads(data), ensure_ascii=False, indent=1).encode().split(b"\n")
    return name + b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"


ODD: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda event: event,
    "crlf": lambda event: event.replace(b"\n", b"\r\n"),
    "cr": lambda event: event.replace(b"\n", b"\r"),
    "bom": lambda event: event,
    "multiline": _multiline,
    "comments": lambda event: b": keep-alive\n\n:\n" + event[:-1] + b": tail\n\n",
    "nospace": lambda event: event.replace(b"data: ", b"data:").replace(b"event: ", b"event:"),
    "idretry": lambda event: b"id: 7\nretry: 100\nunknown: x\nplain\n" + event,
    "namelast": lambda event: b"".join(sorted(event.splitlines(keepends=True)[:-1])) + b"\n",
}


def wide(scene: Scene) -> list[bytes]:
    """A whole stream whose text leaves ASCII, as separate events."""
    return scene.speech.opening() + [scene.speech.text(text) for text in WIDE] + scene.speech.closing()


async def odd(scene: Scene) -> bool:
    """M7: legal forms that are seldom seen."""
    await scene.head(200, CHUNKED)
    if scene.args[0] == "bom":
        await scene.conn.chunk(b"\xef\xbb\xbf")
    await scene.events(ODD[scene.args[0]](event) for event in wide(scene))
    return await scene.end()


async def slice_(scene: Scene) -> bool:
    """M8: N bytes at a time, whatever they split."""
    data, size = b"".join(wide(scene)), int(scene.args[0])
    await scene.head(200, CHUNKED)
    for place in range(0, len(data), size):
        await scene.conn.chunk(data[place : place + size])
        await asyncio.sleep(0)
    return await scene.end()


async def two_per_packet(scene: Scene) -> bool:
    """M8: two events in each write."""
    events = wide(scene)
    await scene.head(200, CHUNKED)
    await scene.events(b"".join(events[place : place + 2]) for place in range(0, len(events), 2))
    return await scene.end()


async def badutf8(scene: Scene) -> bool:
    """M9: after N events, bytes that are no UTF-8."""
    await scene.talk(int(scene.arg(0, 3)))
    await scene.events([scene.speech.text("zulu").replace(b"zulu", b"\xc3\x28\xff")])
    return await scene.rest()


async def bigline(scene: Scene) -> bool:
    """M10: one event of ten megabytes."""
    await scene.talk(2)
    await scene.conn.chunk(scene.speech.text("y")[:-4])
    for _ in range(100):
        await scene.conn.chunk(b"y" * 100_000)
    return await scene.rest()


async def err(scene: Scene) -> bool:
    """M11: an error object after N events."""
    await scene.talk(int(scene.arg(0, 5)))
    await scene.events([scene.speech.failure()])
    return await scene.end()


async def after_done(scene: Scene) -> bool:
    """M12: events after the terminator."""
    await scene.talk(5)
    await scene.events(scene.speech.closing())
    await asyncio.sleep(GAP)
    await scene.events([scene.speech.text("zulu ")])
    return await scene.end()


async def usage(scene: Scene) -> bool:
    """M13: usage not at all, in the last chunk, or twice."""
    reports = {"none": [], "last": [(11, 7)], "twice": [(5, 3), (11, 7)]}[scene.args[0]]
    await scene.talk(5)
    await scene.events(scene.speech.finish())
    for tokens in reports:
        await scene.events(scene.speech.usage(tokens))
    await scene.events(scene.speech.end())
    return await scene.end()


async def tools(scene: Scene) -> bool:
    """Two tool calls, their arguments in fragments."""
    await scene.talk(1)
    await scene.events(scene.speech.tool(0, "get_weather", ['{"ci', 'ty": "Par', 'is"}']))
    await scene.events(scene.speech.tool(1, "get_time", ['{"zone"', ': "UTC"}']))
    await scene.events(scene.speech.closing("tool"))
    return await scene.end()


async def tool_cut(scene: Scene) -> bool:
    """M14: arguments that stop in the middle."""
    await scene.talk(1)
    await scene.events(scene.speech.tool(0, "get_weather", ['{"ci', 'ty": "Par']))
    await asyncio.sleep(GAP)
    return await scene.end() if scene.args else False


async def endless(scene: Scene) -> bool:
    """M15: a million events."""
    await scene.talk(1_000_000, gap=0.001)
    return await scene.rest()


async def flood(scene: Scene) -> bool:
    """M16: as fast as it can, numbered, 64 MB in all."""
    await scene.head(200, CHUNKED)
    await scene.events(scene.speech.opening())
    for number in range(16_000):
        await scene.conn.chunk(scene.speech.text(f"{number:08d} " + WORDS[number % 26] * 700), 1)
    return await scene.rest()


async def slow(scene: Scene) -> bool:
    """Seconds of silence, then well."""
    await asyncio.sleep(scene.arg(0, 1))
    return await scene.ok()


async def trickle(scene: Scene) -> bool:
    """N events, one each so many seconds."""
    return await scene.ok(int(scene.arg(1, TEXTS)), scene.arg(0, 0.1))


SCENARIOS: dict[str, Callable[[Scene], Awaitable[bool]]] = {
    function.__name__.strip("_").replace("_", "-"): function
    for function in (
        *(ok, hang, slow_head, close0, rst, stale, status, html, empty, badjson_body, badshape, big, redir),
        *(flood1xx, bighead, badstatus, err_first, bomb, trunc, no_done, no_done_finish, stall, badjson, odd),
        *(slice_, two_per_packet, badutf8, bigline, err, after_done, usage, tools, tool_cut, endless, flood),
        *(slow, trickle),
    )
} | {"5xx": burst}


async def run(upstream: Any, conn: Any, request: Any) -> bool:
    """Answer one request; True when the connection may carry another."""
    scene = Scene(upstream, conn, request)
    if request.method == "GET":
        models = [{"id": "fault-1", "object": "model", "created": 1, "owned_by": "tests"}]
        return await scene.whole(json.dumps({"object": "list", "data": models}).encode())
    if request.target.split("?")[0].endswith("/count_tokens"):
        return await scene.whole(b'{"input_tokens":11}')
    if scene.name not in SCENARIOS:
        return await scene.whole(b'{"error":{"message":"no such scenario"}}', 404)
    return await SCENARIOS[scene.name](scene)
