"""The one terminal line of a request, as a value and as JSON text. Source: fault contract rule 5."""

from typing import Literal

import msgspec
from msgspec import Struct

Phase = Literal["pre", "mid", "done"]


class Record(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """How one request ended. Milliseconds, tokens; no key, no prompt, no answer."""

    event: str = "request.end"
    request_id: str
    dialect: str
    model: str
    provider: str
    attempts: int
    phase: Phase
    outcome: Literal["ok", "error", "client_abort"]
    kind: str
    status: int
    ms: float
    ttfb_ms: float | None
    in_tok: int | None
    out_tok: int | None
    usage: Literal["exact", "estimated"]


line = msgspec.json.Encoder().encode
