"""Verbatim or rebuilt: the only place that decides, and both ways of carrying it out.

A request whose wire is the target's own, and whose edits are all top-level members, goes through as
bytes; anything else is decoded to the canonical form and encoded again. Answers take the same way
back. Everything that carries an answer has ``feed`` and ``close``, so the gateway cannot tell them apart.
"""

from parley.relay.answer import (
    MAX_ANSWER,
    Asis,
    MeteredStream,
    RebuiltWhole,
    Through,
    VerbatimStream,
    VerbatimWhole,
    relay,
    untranslated,
    verbatim,
)
from parley.relay.carrier import Relay, bad_answer, merged
from parley.relay.formed import outgoing_form
from parley.relay.keeper import Keeper
from parley.relay.proxied import Proxied, ProxiedStream
from parley.relay.rebuilt import RebuiltStream
from parley.relay.request import Outgoing, Passage, can, carried, outgoing, passage
from parley.relay.seals import Seals
from parley.relay.tap import Tapped

__all__ = [
    "MAX_ANSWER",
    "Asis",
    "Keeper",
    "MeteredStream",
    "Outgoing",
    "Passage",
    "Proxied",
    "ProxiedStream",
    "RebuiltStream",
    "RebuiltWhole",
    "Relay",
    "Seals",
    "Tapped",
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
