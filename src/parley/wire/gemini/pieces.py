"""A call whose arguments come in pieces, each with the path where it belongs: ``$.city``, ``$.days[0].name``.

Only some servers send them, and only when asked to. Source: provider contract 3.4.
"""

import re
from itertools import pairwise
from typing import Any, Final

from parley.wire.gemini.names import Json, word

_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d{1,4})\]|\['([^']*)'\]")
_VALUES: Final = ("stringValue", "numberValue", "boolValue", "nullValue")


class Pieces:
    """One call under way; ``args`` is what is known of its arguments."""

    __slots__ = ("args", "id", "name", "signature")

    def __init__(self, part: Json) -> None:
        call = part["functionCall"]
        self.id = call.get("id")
        self.name = word(call, "name") or ""
        self.signature = word(part, "thoughtSignature")
        self.args: Json = dict(call.get("args") or {})

    @staticmethod
    def begins(part: Any, open_: "Pieces | None") -> bool:
        """Whether the part is a piece of a call: one that says so, or any of a call that is not whole yet."""
        call = part.get("functionCall") if type(part) is dict else None
        if type(call) is not dict:
            return False
        pieced = type(call.get("partialArgs")) is list or call.get("willContinue") is True
        return pieced or (open_ is not None and not call.get("args"))

    def take(self, call: Json) -> bool:
        """Add a piece; whether it was the last."""
        for item in call.get("partialArgs") or ():
            path = word(item, "jsonPath")
            name = next((name for name in _VALUES if type(item) is dict and name in item), None)
            if path is not None and name is not None:
                self._put(path, None if name == "nullValue" else item[name])
        return call.get("willContinue") is not True

    def _put(self, path: str, value: Any) -> None:
        """Set the value at its path; text that is there already grows."""
        steps: list[str | int] = [
            int(match[2]) if match[2] is not None else match[1] or match[3] or "" for match in _STEP.finditer(path)
        ]
        holder: Any = self.args
        for step, following in pairwise(steps):
            holder = _within(holder, step, [] if type(following) is int else {})
        if not steps:
            return
        before = _within(holder, steps[-1], value)
        if before is not value:
            grown = before + value if type(before) is str and type(value) is str else value
            holder[steps[-1]] = grown


def _within(holder: Any, step: str | int, fresh: Any) -> Any:
    """What is at that step, ``fresh`` put there where nothing is."""
    if type(holder) is list and type(step) is int:
        while len(holder) <= step:
            holder.append(fresh if len(holder) == step else None)
        return holder[step]
    if type(holder) is dict:
        return holder.setdefault(str(step), fresh)
    return fresh
