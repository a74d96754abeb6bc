"""What can go wrong, whose fault it is, and what may be done about it.

ParleyError            the one exception of the pure core and the gateway; it carries a Failure
    Failure            the value: kind, message, field, hints
        Kind           a row of KINDS: default status, blame, how retry sees it

Foreign errors are mapped to a Failure once, where they enter. Codes: product contract section 5.
"""

from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

Blame: TypeAlias = Literal["caller", "gateway", "upstream"]
Retry: TypeAlias = Literal["never", "key", "transient"]


class Kind(Struct, frozen=True):
    """Facts of one error code. ``retry``: never, on another key only, or anywhere (transient)."""

    code: str
    status: int
    blame: Blame
    retry: Retry = "never"


KINDS: dict[str, Kind] = {
    kind.code: kind
    for kind in (
        Kind("invalid_json", 400, "caller"),
        Kind("invalid_request", 400, "caller"),
        Kind("model_not_found", 404, "caller"),
        Kind("not_implemented", 501, "gateway"),
        Kind("unauthorized", 401, "caller"),
        Kind("forbidden", 403, "caller"),
        Kind("rate_limited", 429, "caller"),
        Kind("budget_exceeded", 429, "caller"),
        Kind("overloaded", 503, "gateway"),
        Kind("body_too_large", 413, "caller"),
        Kind("upstream_unreachable", 502, "upstream", "transient"),
        Kind("upstream_connect_timeout", 504, "upstream", "transient"),
        Kind("upstream_timeout", 504, "upstream", "transient"),
        Kind("upstream_tls", 502, "upstream", "transient"),
        Kind("upstream_closed", 502, "upstream", "transient"),
        Kind("upstream_redirect", 502, "upstream", "transient"),
        Kind("upstream_auth", 502, "upstream", "key"),
        Kind("upstream_rejected", 400, "caller"),
        Kind("upstream_rate_limited", 429, "upstream", "transient"),
        Kind("upstream_error", 502, "upstream", "transient"),
        Kind("upstream_bad_response", 502, "upstream", "transient"),
        Kind("upstream_incomplete", 502, "upstream", "transient"),
        # The registrations contract's own code: an engine of this machine is not ready yet; ask it again, or another.
        Kind("model_loading", 503, "gateway", "transient"),
        Kind("no_upstream", 503, "upstream"),
        Kind("url_not_allowed", 400, "caller"),
        Kind("internal", 500, "gateway"),
    )
}


# Finer words of failures between nodes: another node has tried and says so; a request came round to whoever sent it on.
NODE_ANSWERED = "node_answered"
NODE_LOOP = "node_loop"
# What is turned away at the door: the label of parley_rejected_total (fault contract section 4).
REJECTED: dict[str, str] = {
    "invalid_json": "json",
    "unauthorized": "auth",
    "body_too_large": "body_too_large",
    "url_not_allowed": "ssrf",
}


class Failure(Struct, frozen=True):
    """One failure. ``message`` is for the caller: no key, no upstream address, no stack.

    ``detail`` is the finer word for logs and metrics (fault contract, column "log kind").
    ``retry_after`` in seconds. ``param`` is the JSON path of the field at fault ("messages[0].content").
    ``body`` is the upstream's own error body, in ``wire``, for a caller who speaks that wire.
    ``upstream_type``/``upstream_code`` are the provider's own words (e.g. ``context_length_exceeded``).
    ``model`` is what the caller asked for, for wires whose errors name it.
    ``urls`` are addresses in the request for which alone a provider cannot take it, for it takes the data itself: each
    with the kind of thing that is meant and its media type, "" where nobody says.
    ``final``: whoever answered has judged the request, or repeated it already; it is asked nowhere else, and no health
    suffers by it.
    """

    kind: str
    message: str
    status: int | None = None
    param: str | None = None
    detail: str = ""
    retry_after: float | None = None
    wire: str | None = None
    body: bytes | None = None
    upstream_type: str | None = None
    upstream_code: str | None = None
    model: str | None = None
    final: bool = False
    urls: tuple[tuple[str, str, str], ...] = ()

    @property
    def code(self) -> Kind:
        """The row of KINDS this failure belongs to."""
        return KINDS[self.kind]

    @property
    def http_status(self) -> int:
        """The status to answer with, before any dialect's own exception (529)."""
        return self.status if self.status is not None else KINDS[self.kind].status

    @property
    def log_kind(self) -> str:
        """The word for logs and metrics."""
        return self.detail or self.kind


class ParleyError(Exception):
    """The one exception: raised anywhere, mapped at the border, shaped by the caller's dialect."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def invalid(message: str, param: str | None = None) -> ParleyError:
    """An ``invalid_request`` error that names the field at fault."""
    return ParleyError(Failure("invalid_request", message, param=param))


def at(error: ParleyError, prefix: str) -> ParleyError:
    """The same error with its field path placed below ``prefix``."""
    inner = error.failure.param
    joined = prefix if not inner else prefix + inner if inner.startswith("[") else f"{prefix}.{inner}"
    return ParleyError(replace(error.failure, param=joined))
