"""What another wire's provider sealed, taken out of a request that else passes as it came. Shared by wires.

A conversation that began with one provider may go on with another whose wire the caller speaks itself: nobody reads
such a request, and the provider would refuse the other's signatures. Everything beside them stays byte for byte.
Source: provider contract 3.6 (2).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw

from parley import jsontext
from parley.wire import Cleared

Foreign: TypeAlias = Callable[[Mapping[str, Any]], bool]
Names: TypeAlias = frozenset[str]

_items: Final = msgspec.json.Decoder(list[Raw]).decode
_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_anything: Final = msgspec.json.Decoder(dict[str, Any]).decode
_BAD: Final = (msgspec.DecodeError, ValueError, RecursionError)


def without(members: jsontext.Members, name: str, inside: str, foreign: Foreign) -> Cleared | None:
    """The list ``name`` without foreign blocks, or, with ``inside``, without those in this list of its items; an item
    that held nothing else goes too. None where there is nothing to take out. What has another shape stays as it is."""
    gone: list[str] = []
    kept = []
    for index, item in enumerate(_list(members.get(name))):
        place = f"{name}[{index}]"
        left = _lessened(item, inside, foreign, place, gone) if inside else _stays(item, foreign, place, gone)
        if left is not None:
            kept.append(left)
    return ({name: Raw(jsontext.encode(kept))}, tuple(gone)) if gone else None


def unburdened(members: jsontext.Members, turns: str, names: Names, calls: str, seals: Names) -> Cleared | None:
    """The list ``turns`` without these members of its items, and without ``seals`` in the items of their ``calls``.
    None where there is nothing to take out. What has another shape stays as it is."""
    gone: list[str] = []
    kept = []
    for index, item in enumerate(_list(members.get(turns))):
        place = f"{turns}[{index}]"
        turn = _without(item, names, place, gone)
        kept.append(_within(turn, calls, seals, place, gone) if seals else turn)
    return ({turns: Raw(jsontext.encode(kept))}, tuple(gone)) if gone else None


def _without(item: Raw, names: Names, place: str, gone: list[str]) -> Raw:
    try:
        found = _members(item)
    except _BAD:
        return item
    taken = [name for name in found if name in names]
    gone += [f"{place}.{name}" for name in taken]
    return Raw(jsontext.encode({name: raw for name, raw in found.items() if name not in names})) if taken else item


def _within(item: Raw, calls: str, seals: Names, place: str, gone: list[str]) -> Raw:
    try:
        turn = _members(item)
    except _BAD:
        return item
    before = len(gone)
    kept = [_without(call, seals, f"{place}.{calls}[{at}]", gone) for at, call in enumerate(_list(turn.get(calls)))]
    return Raw(jsontext.encode({**turn, calls: kept})) if len(gone) > before else item


def _lessened(item: Raw, inside: str, foreign: Foreign, place: str, gone: list[str]) -> Raw | None:
    try:
        turn = _members(item)
    except _BAD:
        return item
    blocks = _list(turn.get(inside))
    kept = [block for at, block in enumerate(blocks) if _stays(block, foreign, f"{place}.{inside}[{at}]", gone)]
    if len(kept) == len(blocks):
        return item
    return Raw(jsontext.encode({**turn, inside: kept})) if kept else None


def _stays(block: Raw, foreign: Foreign, place: str, gone: list[str]) -> Raw | None:
    try:
        if not foreign(_anything(block)):
            return block
    except _BAD:
        return block
    gone.append(place)
    return None


def _list(raw: Raw | None) -> list[Raw]:
    try:
        return [] if raw is None else _items(raw)
    except _BAD:
        return []
