"""Which metrics there are. Names: fault contract rule 6, product contract section 5, and the conventions for
generative AI (parley.gateway.genai).

Labels are bounded by the configuration and the tables of kinds, never by what a caller sends.
"""

from typing import Final, Literal, TypeAlias

from msgspec import Struct

from parley.gateway import genai

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
# How values of several processes make one: added, or the largest, the smallest, the worst state of a breaker.
Merge: TypeAlias = Literal["sum", "max", "min", "worst"]
Key: TypeAlias = tuple[str, ...]

# Configurations, and files included by them, that were not taken. Has no labels and is always shown.
REQUESTS = "parley_requests_total"
REJECTED = "parley_config_rejected_total"
CACHE = "parley_cache_total"
COST = "parley_cost_usd_total"
UNPRICED = "parley_cost_unknown_total"
TOKENS = "parley_tokens_total"
BREAKER = "parley_breaker_state"
STREAMS = "parley_streams_open"
MESSAGES = "parley_messages_total"
BACKLOG = "parley_messages_backlog"
AGE = "parley_messages_age_seconds"
IN_FLIGHT = "parley_messages_in_flight"
BATCHES = "parley_batches_total"
BATCHES_OPEN = "parley_batches_open"
BATCH_LINES = "parley_batch_lines_total"
BATCH_IN_FLIGHT = "parley_batch_lines_in_flight"
LOADED = "parley_config_loaded_timestamp_seconds"
LAG = "parley_loop_lag_seconds"
LOG_DROPPED = "parley_log_dropped_total"
STORE_ERRORS = "parley_store_errors_total"
STORE_DROPPED = "parley_store_dropped_total"
WORKERS = "parley_workers"
EXITS = "parley_worker_exits_total"


class Family(Struct, frozen=True):
    """What one metric is. ``bounds`` are the upper bounds of a histogram's buckets, without the last, infinite one.
    ``shown``: with its zero, also before anything happened; only for those without labels."""

    help: str
    labels: tuple[str, ...] = ()
    kind: Kind = "counter"
    merge: Merge = "sum"
    bounds: tuple[float, ...] = ()
    shown: bool = False


_OPERATION: Final = genai.prometheus(genai.OPERATION)
_PROVIDER: Final = genai.prometheus(genai.PROVIDER)
_MODEL: Final = genai.prometheus(genai.REQUEST_MODEL)
_TYPE: Final = genai.prometheus(genai.TOKEN_TYPE)
_ERROR: Final = genai.prometheus(genai.ERROR)
_SERIES: Final = (_OPERATION, _PROVIDER, _MODEL)

TOKEN_USAGE: Final = genai.prometheus(genai.TOKENS)
CLIENT_DURATION: Final = genai.prometheus(genai.CLIENT_DURATION, "seconds")
SERVER_DURATION: Final = genai.prometheus(genai.SERVER_DURATION, "seconds")
FIRST_TOKEN: Final = genai.prometheus(genai.FIRST_TOKEN, "seconds")
PER_TOKEN: Final = genai.prometheus(genai.PER_TOKEN, "seconds")


def _gauge(help: str, *labels: str, merge: Merge = "sum") -> Family:
    return Family(help, labels, "gauge", merge)


def _total(help: str, *labels: str) -> Family:
    return Family(help, labels, shown=not labels)


def _curve(help: str, bounds: tuple[float, ...], *labels: str) -> Family:
    return Family(help, (*_SERIES, *labels), "histogram", bounds=bounds)


FAMILIES: Final[dict[str, Family]] = {
    REQUESTS: _total("Requests that have ended, by how", "dialect", "outcome", "kind"),
    "parley_upstream_errors_total": _total("Failed tries", "provider", "kind", "phase"),
    "parley_retries_total": _total("Further tries at the same target", "provider", "reason"),
    "parley_fallbacks_total": _total("Further tries at another target", "from", "to"),
    "parley_shed_total": _total("Requests refused because of a limit", "reason"),
    "parley_rejected_total": _total("Requests refused at the door", "reason"),
    "parley_client_aborts_total": _total("Callers that left before the end", "phase"),
    STORE_ERRORS: _total("What the store could not do", "kind"),
    MESSAGES: _total("Messages from brokers, by what came of them", "broker", "outcome"),
    BATCHES: _total("Batches that have ended, by how", "status"),
    BATCH_LINES: _total("Lines of batches, by what came of them", "outcome"),
    CACHE: _total("Requests that the response cache was asked about", "result"),
    TOKENS: _total("Tokens, as counted by the provider or estimated", "provider", "model", "kind", "usage"),
    COST: _total("What answers cost, in USD", "provider", "model"),
    UNPRICED: _total("Answers whose price is not known", "provider", "model"),
    "parley_ledger_dropped_total": _total("Requests that the ledger has lost"),
    STORE_DROPPED: _total("Writes that the store could not take"),
    LOG_DROPPED: _total("Log lines that the sink could not take"),
    "parley_otel_dropped_total": _total("Spans that the collector could not take"),
    REJECTED: _total("Configurations and files that were not taken"),
    EXITS: _total("Workers that ended without being told to"),
    STREAMS: _gauge("Streams open now"),
    BREAKER: _gauge("0 closed, 1 open, 2 half-open; the worst of its endpoints", "provider", merge="worst"),
    BACKLOG: _gauge("Messages that wait", "stream", merge="max"),
    AGE: _gauge("Seconds that the message which came last had waited", "stream", merge="max"),
    IN_FLIGHT: _gauge("Messages that are worked on", "stream"),
    BATCHES_OPEN: _gauge("Batches that are not over, of all processes on the store", "status", merge="max"),
    BATCH_IN_FLIGHT: _gauge("Lines of batches that are asked now"),
    LOADED: _gauge("When the configuration was loaded, in seconds since 1970", merge="min"),
    LAG: _gauge("The longest that the event loop was late in the last 30 s", merge="max"),
    WORKERS: _gauge("Processes that serve now", merge="max"),
    TOKEN_USAGE: _curve("Tokens of an answer, as the provider counted them", genai.TOKEN_BOUNDS, _TYPE),
    CLIENT_DURATION: _curve("Duration of the last try at a provider", genai.SECOND_BOUNDS, _ERROR),
    SERVER_DURATION: _curve("Duration of a request, all tries together", genai.SECOND_BOUNDS, _ERROR),
    FIRST_TOKEN: _curve("Time to the first content of a stream", genai.FIRST_BOUNDS),
    PER_TOKEN: _curve("Time for each token of a stream after its first", genai.PACE_BOUNDS),
    "process_cpu_seconds_total": Family("Processor time, user and system"),
    "process_resident_memory_bytes": _gauge("Resident memory"),
    "process_virtual_memory_bytes": _gauge("Virtual memory"),
    "process_open_fds": _gauge("Open file descriptors"),
    "process_max_fds": _gauge("Largest number of open file descriptors of one process", merge="min"),
    "process_start_time_seconds": _gauge("When it was started, in seconds since 1970", merge="min"),
}
