"""Requests and sums as programs read them: JSON objects, or lines of CSV. Money is in US dollars, exact."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from parley.prices.units import dollars
from parley.store.ledger import Row
from parley.store.usage import GRAINS, Sum

# No row is ever read back: numbers keep every digit.
json: Final = msgspec.json.Encoder(decimal_format="number").encode
# What a spreadsheet would take for a formula.
_ACTIVE: Final = ("=", "+", "-", "@", "\t", "\r")


def request(id: bytes, row: Row) -> dict[str, Any]:
    """One request. ``cost`` is null where the price is not known; parts of the tokens are null where the provider did
    not report them."""
    return {
        "id": id.hex(),
        "time": moment(row.at),
        "request_id": row.request_id,
        "key": row.key or None,
        "key_name": row.key_name or None,
        "tags": dict(row.tags),
        "dialect": row.dialect,
        "operation": row.operation,
        "model": row.model,
        "provider": row.provider or None,
        "target": row.target or None,
        "status": row.status,
        "outcome": row.outcome,
        "error": row.kind or None,
        "attempts": row.attempts,
        "ms": round(row.ms, 3),
        "ttfb_ms": None if row.ttfb_ms is None else round(row.ttfb_ms, 3),
        "stream": row.stream,
        "replayed": row.replayed,
        "bytes_out": row.bytes_out,
        "usage": "estimated" if row.estimated else "exact",
        "input_tokens": row.input,
        "output_tokens": row.output,
        "cached_tokens": row.cached,
        "cache_write_tokens": row.cache_write,
        "reasoning_tokens": row.reasoning,
        "audio_input_tokens": row.audio_input,
        "audio_output_tokens": row.audio_output,
        "images": row.images,
        "audio_seconds": row.seconds,
        "cost": dollars(row.cost),
    }


def said(row: Any) -> dict[str, Any]:
    """What was kept of a request and its answer; JSON as it is, what was cut off as text."""
    return {
        "time": moment(row.at),
        "request_id": row.request_id,
        "key": row.key,
        "cut": bool(row.cut),
        "request": _body(row.request),
        "answer": _body(row.answer),
    }


def total(by: Sequence[str], found: Sum) -> dict[str, Any]:
    """One sum. ``cost`` is what the requests cost whose price is known; null where that is nothing and others cost who
    knows what. ``unpriced`` counts the latter."""
    counts = found.counts
    made: dict[str, Any] = {
        name: moment(int(value or 0)) if name in GRAINS else value for name, value in zip(by, found.of, strict=True)
    }
    if "key" in by:
        made["key"] = made["key"] or None
        made["key_name"] = found.name or None
    requests = counts["requests"]
    return {
        **made,
        "requests": requests,
        "errors": counts["errors"],
        "aborts": counts["aborts"],
        "input_tokens": counts["input"],
        "output_tokens": counts["output"],
        "cached_tokens": counts["cached"],
        "cache_write_tokens": counts["cache_write"],
        "reasoning_tokens": counts["reasoning"],
        "audio_input_tokens": counts["audio_input"],
        "audio_output_tokens": counts["audio_output"],
        "images": counts["images"],
        "audio_seconds": counts["sound_ms"] / 1000,
        "estimated": counts["estimated"],
        "mean_ms": round(counts["ms"] / requests, 3) if requests else None,
        # Requests that were refused cost nothing: that says nothing about those that were answered.
        "cost": dollars(counts["cost"]) if counts["cost"] or not counts["unpriced"] else None,
        "unpriced": counts["unpriced"],
    }


def table(rows: Iterable[Mapping[str, Any]], *, head: bool = True) -> str:
    """Lines of CSV, with the names of the columns first. No text of a caller's begins like a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    for number, row in enumerate(rows):
        if not number and head:
            writer.writerow(row)
        writer.writerow([_cell(value) for value in row.values()])
    return out.getvalue()


def moment(at: float) -> str:
    """ISO 8601 in UTC, to the millisecond where there is a part of a second."""
    made = datetime.fromtimestamp(at, UTC)
    precise = "seconds" if isinstance(at, int) else "milliseconds"
    return made.isoformat(timespec=precise).replace("+00:00", "Z")


def _body(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return bytes(body).decode("utf-8", "replace")


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_ACTIVE) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return _cell(json(value).decode()) if value else ""
    return format(value, "f") if type(value).__name__ == "Decimal" else value
