"""Verbatim or rebuilt: the only place that decides, and both ways of carrying it out.

A request whose wire is the target's own, and whose edits are all top-level members, goes through as
bytes; anything else is decoded to the canonical form and encoded again. Answers take the same way
back. Everything that carries an answer has ``feed`` and ``close``, so the gateway cannot tell them apart.
"""

from parley.relay.answer import (
    MAX_ANSWER,
    Asis,
    RebuiltStream,
    RebuiltWhole,
    Relay,
    Through,
    VerbatimStream,
    VerbatimWhole,
    bad_answer,
    merged,
    relay,
    untranslated,
    verbatim,
)
from parley.relay.request import Outgoing, Passage, can, carried, outgoing, outgoing_form, passage

__all__ = [
    "MAX_ANSWER",
    "Asis",
    "Outgoing",
    "Passage",
    "RebuiltStream",
    "RebuiltWhole",
    "Relay",
    "Through",
    "VerbatimStream",
    "VerbatimWhole",
    "bad_answer",
    "can",
    "carried",
    "merged",
    "outgoing",
    "outgoing_form",
    "passage",
    "relay",
    "untranslated",
    "verbatim",
]
