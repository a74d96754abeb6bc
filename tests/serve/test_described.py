"""/openapi.json, /docs and what the page loads."""

import asyncio
import re
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec import json
from starlette.applications import Starlette

from parley.serve.described import document, routes
from parley.serve.house import House

HOUSE = cast(House, SimpleNamespace(gateway=SimpleNamespace(request_id=lambda given: given or "req-1")))


async def got(path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one answer."""
    told: list[dict[str, Any]] = []
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": [], "scheme": "http", "server": ("test", 80), "root_path": "",
    }  # fmt: skip

    requests = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        for request in requests:
            return request
        await asyncio.Event().wait()  # The caller stays and says nothing.
        raise AssertionError

    async def send(message: Any) -> None:
        told.append(message)

    await Starlette(routes=routes(HOUSE))(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in told[0]["headers"]}
    return told[0]["status"], headers, b"".join(message.get("body", b"") for message in told[1:])


async def test_the_document_is_served() -> None:
    status, headers, body = await got("/openapi.json")
    assert (status, headers["content-type"], headers["x-request-id"]) == (200, "application/json", "req-1")
    assert body == document()
    assert json.decode(body)["openapi"] == "3.1.0"


async def test_the_page_loads_nothing_that_is_not_here() -> None:
    status, headers, page = await got("/docs")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'self'" in headers["content-security-policy"]
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.decode())
    assert [name for name in loaded if not name.startswith("data:")] == ["docs/ui.css", "docs/ui.js", "docs/start.js"]
    for name in loaded[1:]:
        status, headers, body = await got(f"/{name}")
        kind = "text/css" if name.endswith(".css") else "text/javascript"
        assert (status, headers["content-type"].partition(";")[0]) == (200, kind)
        assert len(body) == int(headers["content-length"]) > 100


async def test_the_page_starts_on_our_document() -> None:
    _, _, script = await got("/docs/start.js")
    assert b'url: "openapi.json"' in script
    _, _, viewer = await got("/docs/ui.js")
    assert b"SwaggerUIBundle" in viewer


@pytest.mark.parametrize("name", ["other.js", "swagger_bundle.js", "..", "__init__.py"])
async def test_no_other_file_is_served(name: str) -> None:
    status, headers, _ = await got(f"/docs/{name}")
    assert (status, headers["content-type"]) == (404, "text/plain; charset=utf-8")


async def test_without_the_package_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parley.serve.described._folder", lambda: None)
    status, _, body = await got("/docs/ui.js")
    assert (status, body) == (501, b"/docs needs the package offapi: pip install offapi\n")


async def test_only_reading_is_possible() -> None:
    status, headers, _ = await got("/openapi.json", "POST")
    assert (status, sorted(headers["allow"].split(", "))) == (405, ["GET", "HEAD"])
