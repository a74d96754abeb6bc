"""docs/losses.md: what becomes of each field on its way to each provider, found by sending it."""

import json
import os
from pathlib import Path
from typing import Any

from grid import fakes
from grid.fakes import Fake
from grid.samples_more import DIALECTS
from parley import jsontext, vendors
from parley.failure import ParleyError
from parley.relay import outgoing, passage
from parley.relay.request import Outgoing, carried
from parley.settings import Provider, Registration, Target, UnknownFields
from parley.wire import load

PAGE = Path(__file__).resolve().parents[2] / "docs" / "losses.md"
WRITE = os.environ.get("GRID_WRITE") == "1"
HEAD = """# What crosses

What becomes of each field of a request on its way to a provider of another wire. Generated from the code: each field
is sent alone, and what leaves is looked at; `make tables` writes this page anew, and a test compares it.

| Mark | Meaning |
| --- | --- |
| ✓ | forwarded, in the provider's words |
| as it is | the provider speaks the caller's own wire: it passes unread |
| refused | `400 invalid_request`; `param` names it |
| dropped | left out and named in `x-parley-dropped`; with `unknown_fields: strict` it is refused |
| aside | of no effect on the answer there, or true there without being asked: left out unnamed |

With `unknown_fields: strict` everything that would be dropped is refused instead. Names are paths in the caller's own
words; what is dropped may be only a part of what was sent, such as a file's name, and the header says which.
"""


def provider_of(fake: Fake) -> Provider:
    """The provider that the grid configures, as the vendor table has it."""
    entry = fake.provider("http://127.0.0.1:9")
    row = vendors.find(entry["type"])
    assert row is not None
    wire = row.choose(entry.get("wire"))
    assert wire is not None, entry
    return vendors.provider_of(row, "there", wire, endpoints=(entry["base_url"],), keys=("k",))


class Way:
    """From one dialect to one provider."""

    def __init__(self, dialect: str, fake: Fake, unknown: UnknownFields = "forward") -> None:
        name, asked, self.base, self.samples = DIALECTS[dialect]
        provider, inlet = provider_of(fake), load(name)
        operation = carried(provider, asked)
        assert operation is not None
        target = Target("there", "real-1")
        registration = Registration(model="m", targets=(target,), unknown_fields=unknown)
        self.passage = passage(inlet, registration, provider, target, operation, asked)

    def sent(self, members: dict[str, Any]) -> Outgoing:
        """A request with those members, as it leaves."""
        body = json.dumps({**self.base, **members}).encode()
        return outgoing(self.passage, body, jsontext.members(body))

    def named(self, members: dict[str, Any]) -> tuple[str, ...]:
        """What a caller hears of those members: the names of what was dropped or refused."""
        try:
            return self.sent(members).dropped
        except ParleyError as error:
            return (error.failure.param or "",)

    def fate(self, members: dict[str, Any]) -> str:
        """What becomes of the last of those members; the others are what it needs."""
        try:
            sent = self.sent(members)
        except ParleyError as error:
            named = error.failure.kind == "invalid_request" and error.failure.param
            return "refused" if named else f"refused without a name: {error.failure.message}"
        if sent.dropped:
            return "dropped"
        if self.passage.verbatim:
            return "as it is"
        *before, _ = members
        return "aside" if self._like({name: members[name] for name in before}, sent) else "✓"

    def _like(self, members: dict[str, Any], sent: Outgoing) -> bool:
        """Whether the same leaves without the last of the members."""
        try:
            other = self.sent(members)
        except ParleyError:
            return False
        return b"".join(other.body) == b"".join(sent.body) and other.headers == sent.headers


def table(dialect: str) -> dict[str, list[str]]:
    """The fates of every sample of a dialect, a column for each provider."""
    ways = [Way(dialect, fake) for fake in fakes.made()]
    return {label: [way.fate(members) for way in ways] for label, members in ways[0].samples.items()}


def page(tables: dict[str, dict[str, list[str]]]) -> str:
    """The page."""
    parts = [HEAD]
    titles = [fake.title for fake in fakes.made()]
    for dialect, rows in tables.items():
        parts += [f"## {dialect}\n", _row(["", *titles]), _row(["---"] * (len(titles) + 1))]
        parts += [_row([label, *fates]) for label, fates in rows.items()]
        parts.append("")
    return "\n".join(parts).rstrip("\n") + "\n"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
