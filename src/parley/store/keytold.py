"""A key as programs are told of it: by ``parley keys --json`` and by the admin API alike. See docs/keys.md."""

from datetime import UTC, datetime
from typing import Any, Final

from parley.keys import Holder, is_key
from parley.limits import PICO
from parley.store.keys import Key

MAX_NAME: Final = 128
NAME_RULE: Final = f"a name has 1 to {MAX_NAME} visible characters and no space around them"
# 9999-12-31T23:59:59Z.
LAST_MOMENT: Final = 253_402_300_799
# Limits as they are shown; null where nothing was said.
LIMITS: Final = ("rpm", "tpm", "parallel", "budget", "budget_period", "priority")


def told(key: Key, text: str | None = None, spent: int = 0) -> dict[str, Any]:
    """``text`` is the key itself, where it was just made; ``spent`` in picodollars, told in USD. Times are ISO 8601,
    null where there is none."""
    holder = key.holder
    made: dict[str, Any] = {"id": holder.id, "name": holder.name, "kind": holder.kind}
    if text is not None:
        made["key"] = text
    return {
        **made,
        "models": list(holder.models),
        "dialects": list(holder.dialects),
        "sources": list(holder.sources),
        "tags": dict(holder.tags),
        **limits(holder),
        "spent": spent / PICO,
        "created": moment(key.created),
        "expires": moment(holder.expires),
        "revoked": moment(key.revoked),
        "last_used": moment(key.used),
    }


def limits(holder: Holder) -> dict[str, Any]:
    """Limits and defaults: money in US dollars, the period in seconds."""
    said = holder.limits
    if said is None:
        return {**dict.fromkeys(LIMITS), "defaults": dict(holder.defaults)}
    made: dict[str, Any] = {name: getattr(said, name) for name in LIMITS}
    made["budget"] = None if said.budget is None else said.budget / PICO
    made["budget_period"] = said.budget_period or None
    made["priority"] = said.priority or None
    return {**made, "defaults": dict(holder.defaults)}


def moment(seconds: float | None) -> str | None:
    """A time, to the second; one that no calendar knows is the last that it does."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(min(int(seconds), LAST_MOMENT), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_name(text: str) -> bool:
    """Whether a key may be called that: one that is a key itself would be shown wherever names are."""
    return 0 < len(text) <= MAX_NAME and text.isprintable() and text == text.strip() and not is_key(text)
