"""Asking a running gateway over HTTP: blocking, one connection, as a command line needs it.

The key of a gateway that wants one comes from PARLEY_API_KEY: options are visible in process lists.
"""

import http.client
import os
import socket
import ssl
from collections.abc import Iterator
from typing import Any, NoReturn
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request
from urllib.request import build_opener as opener

import click

from parley import __version__
from parley.cli.exits import Code, stop

CONNECT = 5.0
IDLE = 600.0
KEY = "PARLEY_API_KEY"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Reply:
    """Status, content type and the bytes as they come. Stops with exit code 5 where the gateway breaks off."""

    def __init__(self, answer: Any, base: str) -> None:
        self.status: int = answer.status
        self.content_type: str = answer.headers.get("content-type") or ""
        self._answer = answer
        self._base = base

    def __iter__(self) -> Iterator[bytes]:
        try:
            while data := self._answer.read1(65536):
                yield data
        except (OSError, http.client.HTTPException) as error:
            click.echo()
            stop(Code.UPSTREAM, f"{self._base} broke off in the middle of its answer ({_reason(error)}).")
        finally:
            self._answer.close()

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self)


def base_of(url: str) -> str:
    """The API's base URL for what a user types: scheme and ``/v1`` may be missing."""
    full = url if "://" in url else f"http://{url}"
    if not _valid(full):
        stop(Code.USAGE, f"--url {url}: expected http://HOST:PORT or https://HOST.")
    full = full.rstrip("/")
    return full if full.endswith("/v1") else f"{full}/v1"


def _valid(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and not (parts.query or parts.fragment)
        )
    except ValueError:
        return False


def ask(url: str, path: str, body: bytes | None = None, *, top: bool = False) -> Reply:
    """GET, or POST of a JSON body, to ``path`` below the API's base, or below the ``top`` of the gateway; any status is
    an answer."""
    base = base_of(url)
    base = base.removesuffix("/v1") if top else base
    headers = {"user-agent": f"parley/{__version__}", "accept": "*/*"}
    if body is not None:
        headers["content-type"] = "application/json"
    if os.environ.get(KEY):
        headers["authorization"] = f"Bearer {os.environ[KEY]}"
    request = Request(base + path, data=body, headers=headers)  # noqa: S310  base_of allows http and https only
    try:
        return Reply(_opener(base).open(request, timeout=CONNECT), base)
    except HTTPError as answer:
        return Reply(answer, base)
    except URLError as error:
        _unreachable(base, error)
    except (OSError, http.client.HTTPException) as error:
        stop(Code.UPSTREAM, f"{base} took the request and gave no answer ({_reason(error)}).")


def reach(url: str) -> None:
    """Stops with exit code 6 where nobody listens."""
    base = base_of(url)
    parts = urlsplit(base)
    try:
        place = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        socket.create_connection(place, timeout=CONNECT).close()
    except OSError as error:
        _unreachable(base, error)


def _unreachable(base: str, error: Exception) -> NoReturn:
    fix = "Is it running? `parley serve` starts one." if urlsplit(base).hostname in _LOOPBACK else ""
    stop(Code.UNREACHABLE, f"{base} cannot be reached: {_reason(error)}.", fix)


class _Http(http.client.HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(IDLE)


class _Https(http.client.HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(IDLE)


class _Plain(HTTPHandler):
    def http_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(_Http, req)


class _Tls(HTTPSHandler):
    def https_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(_Https, req, context=ssl.create_default_context())


class _Stay(HTTPRedirectHandler):
    """A redirect is an answer, not an order: the key stays with the host it was given for."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _opener(base: str) -> OpenerDirector:
    proxies = ProxyHandler({}) if urlsplit(base).hostname in _LOOPBACK else ProxyHandler()
    return opener(proxies, _Plain, _Tls, _Stay)


def _reason(error: Exception) -> str:
    inner = error.reason if isinstance(error, URLError) else error
    if isinstance(inner, TimeoutError):
        return "no answer in time"
    return str(getattr(inner, "strerror", None) or inner or type(inner).__name__)
