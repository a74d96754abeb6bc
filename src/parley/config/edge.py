"""The rest of the file: listeners, names, limits, keys, and what is not available yet."""

import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TypeVar

from parley.config.address import is_name, listener
from parley.config.amounts import SECONDS, duration, size
from parley.config.document import Path
from parley.config.report import Report
from parley.config.shape import File, LimitsEntry
from parley.settings import SERVED_STORE, Limits

T = TypeVar("T")

SIZES = ("body", "upload", "header")
TIMES = ("header_time", "body_time")
INSTALL = "pip install 'parley[postgres]'"
INSTALL_GRPC = "pip install 'parley[grpc]'"
GRPC = "127.0.0.1:50001"
NO_GRPC = "the gRPC listener needs packages that are not installed"
COUNTS = ("connections", "streams")

# Key of the file -> what it will be, and the way out until then.
PENDING: Mapping[str, tuple[str, str]] = {}


def reject_pending(file: File, report: Report) -> None:
    """Everything that later versions own is refused by name, never passed over. Empty values are no wish."""
    for name, (what, hint) in PENDING.items():
        if getattr(file, name) not in (None, [], {}):
            report.later((name,), what, hint)


def listeners_of(file: File, report: Report) -> tuple[str, ...]:
    """Addresses to listen on, each once."""
    given = (file.listen,) if isinstance(file.listen, str) else file.listen
    if not given:
        report.add(("listen",), "no address to listen on", "write 127.0.0.1:4242, or remove listen", key=True)
    for index, text in enumerate(given):
        path: Path = ("listen",) if isinstance(file.listen, str) else ("listen", index)
        _checked(listener, text, path, report)
        if text in given[:index]:
            report.add(path, f"{text} is given twice", "keep one of them")
    return given


def grpc_of(file: File, report: Report, *, wanted: bool) -> str:
    """Where gRPC is served: as said, at the usual address where it is ``wanted`` anyway, else nowhere ("")."""
    given = file.grpc
    if given is None:
        return GRPC if wanted and grpc_installed() else ""
    _checked(listener, given, ("grpc",), report)
    if not grpc_installed():
        report.add(("grpc",), NO_GRPC, INSTALL_GRPC)
        return ""
    return given


def grpc_installed() -> bool:
    """Whether all that serves gRPC is here; nothing of it is imported."""
    return all(find_spec(name) is not None for name in ("grpc", "grpc_reflection", "grpc_status", "dapr"))


def hosts_of(file: File, report: Report) -> tuple[str, ...]:
    """Names accepted in Host, in lower case."""
    given = (file.hosts,) if isinstance(file.hosts, str) else file.hosts
    for index, text in enumerate(given):
        if not is_name(text):
            path: Path = ("hosts",) if isinstance(file.hosts, str) else ("hosts", index)
            report.add(path, f'"{text}" is not a host name', "a name without scheme and port, such as llm.example.org")
    return tuple(text.lower().rstrip(".") for text in given)


def store_of(file: File, report: Report) -> str | None:
    """The URL of the store, as given."""
    url = file.store
    if url is None or (url.startswith("sqlite:///") and len(url) > len("sqlite:///")):
        return url
    if not re.fullmatch(SERVED_STORE, url):
        message = "expected sqlite:///FILE, as in sqlite:///parley.db or sqlite:////var/parley.db, or postgresql://..."
        report.add(("store",), message, "remove it for the file in the user's data directory")
    elif find_spec("psycopg") is None:
        report.add(("store",), "a store on PostgreSQL needs psycopg, which is not installed", INSTALL)
    else:
        return url
    return None


def retention_of(file: File, report: Report) -> float:
    """Seconds that conversations are kept."""
    kept = _checked(duration, file.conversations.retention, ("conversations", "retention"), report)
    return 30 * SECONDS["d"] if kept is None else kept


def limits_of(entry: LimitsEntry, report: Report) -> Limits:
    """Limits in bytes and seconds."""
    made: dict[str, float] = {}
    for names, read in ((SIZES, size), (TIMES, duration), (COUNTS, _count)):
        for name in names:
            value = _checked(read, getattr(entry, name), ("limits", name), report)
            if value is not None:
                made[name] = value
    return Limits(**made)  # type: ignore[arg-type]


def _count(value: int) -> int:
    """A number of things."""
    if value < 1:
        raise ValueError("must be at least 1")
    return value


def _checked(read: Callable[..., T], value: object, path: Path, report: Report) -> T | None:
    """What ``read`` makes of the value; its complaint becomes a problem."""
    try:
        return read(value)
    except ValueError as error:
        report.add(path, str(error))
        return None
