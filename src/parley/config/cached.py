"""Where answers are kept for the same request to come again, and for how long: the file's word and a model's own."""

from importlib.util import find_spec
from typing import Protocol
from urllib.parse import urlsplit

from msgspec import UNSET

from parley.config.amounts import duration, size
from parley.config.document import Path
from parley.config.parts import CacheEntry, ModelCacheEntry
from parley.settings import Caching

OFF = "off"
PLACES = (OFF, "memory", "store")
EXPECTED = "expected off, memory, store or redis://HOST:PORT/NUMBER"
MISSING = "answers in Redis need its client, which is not installed"


class Told(Protocol):
    """Where mistakes are written down."""

    def add(self, path: Path, message: str, hint: str = "") -> None:
        """One of them."""


def caching_of(entry: CacheEntry, report: Told) -> tuple[Caching, int]:
    """The file's: what holds for every model that says nothing of its own, and how many bytes are kept in one place."""
    made = Caching(_place(entry.responses, report), _ttl(entry.ttl, report))
    try:
        return made, size(entry.size)
    except ValueError as error:
        report.add(("cache", "size"), str(error))
        return made, 0


def own_caching(entry: ModelCacheEntry, report: Told) -> Caching:
    """A model's own; None where it says nothing."""
    place = None if entry.responses is UNSET else _place(entry.responses, report)
    return Caching(place, None if entry.ttl is UNSET else _ttl(entry.ttl, report))


def _place(text: str, report: Told) -> str:
    if text in PLACES:
        return text
    if not text.startswith(("redis://", "rediss://")) or not names_host(text):
        # What is there may hold a password.
        report.add(("cache", "responses"), EXPECTED, f"write {OFF}, or memory")
    elif find_spec("redis") is None:
        report.add(("cache", "responses"), MISSING, "pip install 'parley[redis]'")
    else:
        return text
    return OFF


def names_host(url: str) -> bool:
    """Whether it is the URL of a Redis."""
    try:
        parts = urlsplit(url)
        number = parts.path.strip("/")
        return bool(parts.hostname) and parts.port != 0 and (not number or number.isdigit())
    except ValueError:
        return False


def _ttl(value: int | float | str, report: Told) -> float:
    try:
        return duration(value)
    except ValueError as error:
        report.add(("cache", "ttl"), str(error))
        return 0.0
