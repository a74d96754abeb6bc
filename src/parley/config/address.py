"""Addresses as text: base URLs of providers, listeners, names in Host."""

import re
from urllib.parse import urlsplit

NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
V4 = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
_REGION = re.compile(r"\.([a-z]{2,}(?:-[a-z]+)+-\d+)\.")
LISTENER = re.compile(r"(?:\[([0-9A-Fa-f:.%a-z]+)\]|([^:\[\]\s]+)):(\d{1,5})")


def base_url(text: str) -> str:
    """The URL without its final slash. Raises ValueError, which never repeats the URL: it may hold a password."""
    if any(letter.isspace() or ord(letter) < 32 for letter in text):
        raise ValueError("a base URL has no spaces")
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise ValueError("not a valid URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("expected a URL that begins with http:// or https:// and names a host")
    if "@" in parts.netloc:
        raise ValueError("a base URL holds no user name and no password: use api_key or headers")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError("a base URL has no query and no fragment")
    if port == 0 or not (is_address(host) or is_name(host)):
        raise ValueError("the URL names no valid host and port")
    return text.rstrip("/")


def listener(text: str) -> str:
    """HOST:PORT, in brackets for IPv6. Raises ValueError."""
    found = LISTENER.fullmatch(text)
    if found is None:
        raise ValueError("expected HOST:PORT such as 127.0.0.1:4242 or [::1]:4242")
    host = found[1] or found[2]
    if int(found[3]) > 65535:
        raise ValueError("a port is at most 65535")
    if not (is_address(host) if found[1] or V4.fullmatch(host) else is_name(host)):
        raise ValueError("not a valid host name or address")
    return text


def is_name(text: str) -> bool:
    """Whether the text is a host name."""
    return len(text) <= 253 and NAME.fullmatch(text) is not None and not V4.fullmatch(text)


def is_address(text: str) -> bool:
    """Whether the text is an IPv4 or IPv6 address."""
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def region_of(origin: str) -> str | None:
    """The region of AWS that a host's name holds, None where it holds none."""
    found = _REGION.search(f".{origin.partition('://')[2].partition('/')[0].partition(':')[0]}.")
    return found[1] if found else None
