"""Signatures of AWS (Signature Version 4) for calls that differ in path, body and time alone.

botocore makes the first one for a host with its keys; where ours is the same to the last byte, all others are made
here, with a key that is derived once a day. Source: provider contract 10.
"""

import re
import time
from hashlib import sha256
from hmac import digest
from typing import Any, Final
from urllib.parse import quote

from parley.ports import Call

SERVICE: Final = "bedrock"
_METHOD: Final = "AWS4-HMAC-SHA256"
# A path without a query, and without the segments that botocore takes out.
_PLAIN: Final = re.compile(rb"(?:/(?!\.\.?(?:/|$))[A-Za-z0-9_.~%:-]+)+")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


class Signer:
    """Signs with ``frozen`` keys (access_key, secret_key, token) for a region and one host."""

    __slots__ = ("_access", "_day", "_host", "_key", "_names", "_region", "_secret", "_token", "_trusted")

    def __init__(self, frozen: Any, region: str, origin: str) -> None:
        self._access = str(frozen.access_key)
        self._secret = str(frozen.secret_key)
        self._token = str(frozen.token) if frozen.token else ""
        self._region = region
        self._host = host_of(origin)
        self._names = "content-type;host;x-amz-date" + (";x-amz-security-token" if self._token else "")
        self._day = ""
        self._key = b""
        self._trusted: bool | None = None

    def lines(self, call: Call, body: bytes | memoryview) -> str:
        """The header lines of the signature; "" where it is botocore's to make."""
        if not self._trusted or _PLAIN.fullmatch(call.to.path) is None:
            return ""
        return self.made(call, body, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))

    def compare(self, call: Call, body: bytes | memoryview, lines: str) -> None:
        """Take note of whether botocore, whose header lines these are, signs as we do."""
        if self._trusted is None and _PLAIN.fullmatch(call.to.path) is not None:
            stamp = lines.partition("x-amz-date: ")[2].partition("\r\n")[0]
            self._trusted = bool(stamp) and self.made(call, body, stamp) == lines

    def made(self, call: Call, body: bytes | memoryview, stamp: str) -> str:
        """The header lines for that time, ``YYYYMMDDThhmmssZ``."""
        token = f"x-amz-security-token:{self._token}\n" if self._token else ""
        canonical = (
            f"{call.to.method.decode()}\n{quote(call.to.path.decode(), safe='/~')}\n\ncontent-type:application/json\n"
            f"host:{self._host}\nx-amz-date:{stamp}\n{token}\n{self._names}\n{sha256(body).hexdigest()}"
        )
        scope = f"{stamp[:8]}/{self._region}/{SERVICE}/aws4_request"
        text = f"{_METHOD}\n{stamp}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = _mac(self._key_of(stamp[:8]), text).hex()
        sent = f"x-amz-security-token: {self._token}\r\n" if self._token else ""
        return (
            f"x-amz-date: {stamp}\r\n{sent}authorization: {_METHOD} Credential={self._access}/{scope}, "
            f"SignedHeaders={self._names}, Signature={signature}\r\n"
        )

    def _key_of(self, day: str) -> bytes:
        if day != self._day:
            key = f"AWS4{self._secret}".encode()
            for step in (day, self._region, SERVICE, "aws4_request"):
                key = _mac(key, step)
            self._day, self._key = day, key
        return self._key


def host_of(origin: str) -> str:
    """The host header, without the port that goes without saying."""
    scheme, _, host = origin.lower().partition("://")
    return host.removesuffix(_DEFAULT_PORTS.get(scheme, ""))


def _mac(key: bytes, text: str) -> bytes:
    return digest(key, text.encode(), "sha256")
