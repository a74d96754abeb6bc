"""Short ways to ask the echo model and to read what it says."""

import asyncio
from typing import Any

from msgspec import json
from peers import ORIGIN
from servers import Waiting

from parley.failure import Failure
from parley.io.echo import Echo
from parley.ports import Call, Destination

JSON = b"application/json"
BOUNDARY = b"a-boundary"


def sent(path: str, body: bytes, kind: bytes = JSON) -> Call:
    to = Destination(method=b"POST", origin=ORIGIN, path=f"/v1{path}".encode())
    return Call(to, b"accept: */*\r\nContent-Type: " + kind + b"\r\nx-a: b\r\n", (body,), 60.0)


async def asked(path: str, body: bytes, kind: bytes = JSON) -> Waiting:
    """All that is heard; nothing before ``send`` returns."""
    ear = Waiting()
    Echo(asyncio.get_running_loop()).send(sent(path, body, kind), ear)
    assert (ear.status, ear.ended) == (0, [])
    async with asyncio.timeout(30):
        await ear.over.wait()
    return ear


async def bytes_at(path: str, members: Any) -> tuple[bytes, bytes]:
    """Content type and body of a whole answer to a JSON request, or to a form given as (fields, files)."""
    body, kind = form(*members) if isinstance(members, tuple) else (json.encode(members), JSON)
    ear = await asked(path, body, kind)
    status, content = ear.whole
    assert status == 200
    ((name, value),) = ear.headers
    assert name == b"content-type"
    return value, content


async def object_at(path: str, members: Any) -> dict[str, Any]:
    kind, content = await bytes_at(path, members)
    assert kind == JSON
    made: dict[str, Any] = json.decode(content)
    return made


async def events_at(path: str, members: Any) -> list[tuple[str, dict[str, Any]]]:
    """Names (of the event line, "" without one) and data."""
    kind, content = await bytes_at(path, members)
    assert kind == b"text/event-stream"
    assert content.endswith(b"\n\n")
    found = []
    for block in content[:-2].split(b"\n\n"):
        lines = dict(line.split(b": ", 1) for line in block.split(b"\n"))
        found.append((lines.get(b"event", b"").decode(), json.decode(lines[b"data"])))
    return found


async def refused(path: str, members: Any) -> Failure:
    body, kind = form(*members) if isinstance(members, tuple) else (json.encode(members), JSON)
    (failure,) = (await asked(path, body, kind)).ended
    assert isinstance(failure, Failure)
    assert failure.http_status == 400
    return failure


def form(
    fields: dict[str, str | list[str]], files: dict[str, bytes] | list[tuple[str, bytes]] | None = None
) -> tuple[bytes, bytes]:
    """A multipart body and its content type; files are named after their field."""
    parts = b""
    for name, values in fields.items():
        for value in values if isinstance(values, list) else [values]:
            parts += b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (
                BOUNDARY, name.encode(), value.encode(),
            )  # fmt: skip
    for name, data in files.items() if isinstance(files, dict) else files or ():
        parts += b'--%b\r\nContent-Disposition: form-data; name="%b"; filename="%b.bin"\r\n\r\n%b\r\n' % (
            BOUNDARY, name.encode(), name.removesuffix("[]").encode(), data,
        )  # fmt: skip
    return parts + b"--%b--\r\n" % BOUNDARY, b"multipart/form-data; boundary=" + BOUNDARY
