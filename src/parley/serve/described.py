"""The server's description of itself: /openapi.json, and /docs to read it in a browser without any other server.

The page's assets come from an installed package; nothing of it is imported, and no file is read before it is asked for.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from parley.api.surface import Verdict, document, unserved
from parley.serve.house import House

__all__ = ["Verdict", "document", "routes", "unserved"]

_PACKAGE: Final = "offapi"
_ASSETS: Final = {
    "ui.css": ("swagger_style.css", "text/css"),
    "ui.js": ("swagger_bundle.js", "text/javascript"),
}
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Parley: the HTTP API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/ui.css">
</head>
<body>
<div id="ui"></div>
<script src="docs/ui.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START: Final = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#ui",
  presets: [SwaggerUIBundle.presets.apis],
  docExpansion: "none",
  defaultModelsExpandDepth: -1,
  validatorUrl: null,
  syntaxHighlight: false
});
"""
_HEADERS: Final = {
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:",
    "x-content-type-options": "nosniff",
}


def routes(house: House) -> list[Route]:
    """The document, the page and what the page loads."""
    pages = _Described(house)
    return [
        Route("/openapi.json", pages.description),
        Route("/docs", pages.page),
        Route("/docs/{name}", pages.asset),
    ]


class _Described:
    def __init__(self, house: House) -> None:
        self._house = house

    async def description(self, request: Request) -> Response:
        return Response(document(), headers=self._named(request), media_type="application/json")

    async def page(self, request: Request) -> Response:
        return Response(_PAGE, headers=self._named(request) | _HEADERS, media_type="text/html")

    async def asset(self, request: Request) -> Response:
        name, headers = request.path_params["name"], self._named(request) | _HEADERS
        if name == "start.js":
            return Response(_START, headers=headers, media_type="text/javascript")
        if name not in _ASSETS:
            return PlainTextResponse(f"there is nothing at /docs/{name[:100]}\n", 404, headers)
        folder = _folder()
        if folder is None:
            return PlainTextResponse(f"/docs needs the package {_PACKAGE}: pip install {_PACKAGE}\n", 501, headers)
        file, kind = _ASSETS[name]
        return FileResponse(folder / file, headers=headers | {"cache-control": "max-age=86400"}, media_type=kind)

    def _named(self, request: Request) -> dict[str, str]:
        given = request.headers.get("x-request-id")
        request_id = self._house.gateway.request_id(given.encode("latin-1") if given else None)
        return {"x-request-id": request_id, "request-id": request_id}


@cache
def _folder() -> Path | None:
    """Where the package lies."""
    found = find_spec(_PACKAGE)
    places = found.submodule_search_locations if found is not None else None
    return Path(next(iter(places))) if places else None
