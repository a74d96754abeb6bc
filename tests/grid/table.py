"""docs/compatibility.md, written from what the grid measured."""

import os
from collections.abc import Mapping
from pathlib import Path

from grid import callers, fakes, features
from grid.callers import Caller
from grid.cells import Outcome, outcome

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "compatibility.md"
WRITE = os.environ.get("GRID_WRITE") == "1"
MARKS = {
    "passed": "✓",
    "unasked": "·",
    "refused": "refused",
    "dropped": "dropped",
    "silent": "silent",
    "whole": "✓ whole",
    "client": "client",
}
HEAD = """# Compatibility

Who can speak to whom, and what survives. Written by the tests: every cell was measured with the official client named,
through `parley serve`, against a provider that answers by its contract and refuses what that does not allow. To
measure it again: `make tables`; a test compares this page with what it finds. The same clients are tested against a
real llama.cpp on both of its wires.

What a provider cannot take is in [losses.md](losses.md), field by field.

| Mark | Meaning |
| --- | --- |
| ✓ | passed: what the caller asked for arrived, and what the provider answered came back |
| · | the caller's dialect, or this client of it, has no words for it |
| refused | `400 invalid_request` naming the field; the provider is not asked |
| dropped | the request goes without it, and `x-parley-dropped` names it |
| silent | the provider takes the request, but its answers have no such thing |
| ✓ whole | passed for whole answers; in streams it is the client that cannot |
| client | it is the client that cannot |

Numbers lead to the reasons at the end. *Thinking* is asked for and comes back as such; *signed thinking* is what a
provider sealed, returned to it byte for byte with the results of its tools. Errors are a provider's own, as the
caller's dialect has them; *cut stream* ends without its terminator and must look broken.
"""


class Notes:
    """Reasons and their numbers."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def mark(self, found: Outcome) -> str:
        """A cell."""
        if not found.why:
            return MARKS[found.how]
        if found.why not in self.reasons:
            self.reasons.append(found.why)
        return f"{MARKS[found.how]} ({self.reasons.index(found.why) + 1})"


def page(clients: Mapping[str, Caller], measured: Mapping[tuple[str, str, str], Outcome]) -> str:
    """The page. What this run did not measure is what it was last found to be."""
    notes, providers = Notes(), fakes.made()
    parts = [HEAD]
    for name in callers.NAMES:
        caller = clients[name]
        parts.append(f"## {caller.title}\n")
        parts.append(_row(["", *(fake.title for fake in providers)]))
        parts.append(_row(["---"] * (len(providers) + 1)))
        for feature in features.FEATURES:
            expected = [outcome(name, caller.lacks, fake.name, feature) for fake in providers]
            found = [
                measured.get((name, fake.name, feature), known) for fake, known in zip(providers, expected, strict=True)
            ]
            parts.append(_row([features.slug(feature), *map(notes.mark, found)]))
        parts.append("")
    parts.append("## Reasons\n")
    parts += [f"{number}. {why}." for number, why in enumerate(notes.reasons, 1)]
    return "\n".join(parts) + "\n"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
