"""Whose tokens are taken, as the file says it."""

from collections.abc import Mapping
from importlib.util import find_spec
from urllib.parse import urlsplit

from parley.config.amounts import duration
from parley.config.document import Path
from parley.config.parts import JwtEntry
from parley.config.report import Report
from parley.keys.token import ALGORITHMS, Issuer
from parley.settings import loopback

MISSING = "tokens of an issuer need joserfc, which is not installed"


def issuer_of(entry: JwtEntry | None, report: Report) -> Issuer | None:
    """The issuer, None where there is none."""
    if entry is None:
        return None
    if find_spec("joserfc") is None:
        report.add(("auth", "jwt"), MISSING, "pip install 'parley[oidc]'", key=True)
    _url(entry.issuer, ("auth", "jwt", "issuer"), report)
    if entry.jwks_url:
        _url(entry.jwks_url, ("auth", "jwt", "jwks_url"), report)
    audience = (entry.audience,) if isinstance(entry.audience, str) else entry.audience
    if not audience or not all(audience):
        report.add(
            ("auth", "jwt", "audience"), "no audience is given", "name what tokens for this gateway carry as aud"
        )
    for index, name in enumerate(entry.algorithms):
        if name not in ALGORITHMS:
            hint = f"known: {', '.join(ALGORITHMS)}"
            report.add(("auth", "jwt", "algorithms", index), f'"{name}" does not prove who signed a token', hint)
    return Issuer(
        issuer=entry.issuer,
        audience=audience,
        jwks=entry.jwks_url or "",
        algorithms=entry.algorithms,
        claims=_wanted(entry.claims),
        models=entry.models or "",
        name=entry.name or "",
        tags=entry.tags,
        leeway=_seconds(entry.leeway, "leeway", report),
        refresh=_seconds(entry.refresh, "refresh", report),
    )


def _wanted(claims: Mapping[str, str | int | bool | list[str]]) -> dict[str, tuple[str, ...]]:
    return {name: _texts(value) for name, value in claims.items()}


def _texts(value: str | int | bool | list[str]) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(value)
    return (str(value).lower() if isinstance(value, bool) else str(value),)


def _url(text: str, path: Path, report: Report) -> None:
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        host, parts = "", urlsplit("")
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment or "@" in parts.netloc:
        report.add(path, "not an address", "write https://host/path as the issuer itself does")
    elif parts.scheme == "http" and not loopback(host):
        report.add(path, "keys that come over plain http prove nothing", "write https://")


def _seconds(value: int | float | str, name: str, report: Report) -> float:
    try:
        return duration(value)
    except ValueError as error:
        report.add(("auth", "jwt", name), str(error))
        return 1.0
