"""The caller's own path of what a provider cannot take: other wires know blocks by their number in a turn, and
parameters by OpenAI's names. Shared by wires.

A path is followed through the request itself; what has another name there is found by it, and what is not there at all
is left off the end.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

Json: TypeAlias = Mapping[str, Any]
# The paths of every block of the turn at a path, in the order in which they are read.
Places: TypeAlias = Callable[[Json, str], list[str]]
Moved: TypeAlias = Mapping[str, tuple[int, ...]]

_UNMOVED: Final[Moved] = {}
_BLOCK: Final = re.compile(r"(.+?)\.(?:content|parts)\[(\d+)\](.*)")
_STEP: Final = re.compile(r"[^.\[\]]+|\[\d+\]")
_UPPER: Final = re.compile("[A-Z]")
# What a caller may call it instead.
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "detail": ("image_url.detail",),
    "name": ("file.filename", "filename", "title", "inlineData.displayName", "fileData.displayName"),
    "title": ("file.filename", "filename", "inlineData.displayName", "fileData.displayName"),
    "strict": ("function.strict",),
    "signature": ("thoughtSignature", "thought_signature", "encrypted_content"),
    "reasoning_content": ("reasoning", "thinking_blocks"),
    "reasoning": ("thinking",),
    "thinking": ("thinking_blocks",),
    "tools": ("functions",),
    "tool_choice": ("function_call",),
}


# What wires call the signature of a turn's thoughts, and where callers have such a thing.
_SEAL: Final = ".thinking.signature"
_CALLS: Final = frozenset({"functionCall", "function_call"})
_SEALS: Final = ("signature", "thoughtSignature", "thought_signature", "encrypted_content")


def plain(name: str) -> bool:
    """Whether a name can be nothing but a top-level member, called so by everyone."""
    return "." not in name and "[" not in name and name not in _NAMES


def own_paths(request: Json, name: str, places: Places, moved: Moved = _UNMOVED) -> list[str]:
    """The same, where one name may stand for several things: the seals of all of a turn's thoughts."""
    if name.endswith(_SEAL):
        return _sealed(request, places(request, name.removesuffix(_SEAL))) or [name]
    return [own_path(request, name, places, moved)]


def own_path(request: Json, name: str, places: Places, moved: Moved = _UNMOVED) -> str:
    """The path in the caller's request of what is called ``name``; the name itself where nothing of it is there, "" for
    what the caller did not send. ``moved``: the numbers that the blocks of a turn have there, -1 for none."""
    if name.endswith(_SEAL):
        return own_paths(request, name, places)[0]
    block = _BLOCK.fullmatch(name)
    if block is not None:
        turn, number, rest = block[1], int(block[2]), block[3]
        there = moved.get(turn, ())
        number = there[number] if number < len(there) else number
        if number < 0:
            return ""
        answers = _is_result(value_at(request, turn)) and _BLOCK.fullmatch(f"-{rest}") is not None
        found = [] if answers else places(request, turn)
        if answers:
            name = turn + rest
        elif number < len(found):
            name = found[number] + rest
    return _followed(request, name) or name


def value_at(request: Json, path: str) -> Any:
    """What stands at a path, None where nothing does."""
    value: Any = request
    for step in _STEP.findall(path):
        value = _step(value, step)
    return value


def listed(path: str, value: Any) -> list[str]:
    """The paths of the items of a list, the path itself of any other value but null."""
    if isinstance(value, list):
        return [f"{path}[{index}]" for index in range(len(value))]
    return [] if value is None else [path]


def plain_places(request: Json, turn: str) -> list[str]:
    """The places of a wire whose turns, and instructions, are one text or a list of blocks."""
    value = value_at(request, turn)
    if isinstance(value, dict):
        inside = "parts" if "parts" in value else "content"
        return listed(f"{turn}.{inside}", value.get(inside))
    return listed(turn, value)


def prompt_places(request: Json, turn: str) -> list[str]:
    """The place of the one text of a request that is no conversation."""
    return ["prompt"]


def _is_result(turn: Any) -> bool:
    """Whether a turn is by itself what a tool answered."""
    return isinstance(turn, dict) and turn.get("role") == "tool"


def _step(value: Any, step: str) -> Any:
    if step.startswith("["):
        index = int(step[1:-1])
        return value[index] if isinstance(value, list) and index < len(value) else None
    return value.get(step) if isinstance(value, dict) else None


def _sealed(request: Json, places: list[str]) -> list[str]:
    """The seals of the thoughts at those places; of calls only where no thought has one."""
    thoughts: list[str] = []
    calls: list[str] = []
    for place in places:
        value = value_at(request, place)
        if not isinstance(value, dict):
            continue
        if value.get("type") == "redacted_thinking":
            thoughts.append(place)
        elif (name := next((name for name in _SEALS if value.get(name)), None)) is not None:
            (calls if _CALLS & value.keys() else thoughts).append(f"{place}.{name}")
    return thoughts or calls[:1]


def _followed(request: Json, name: str) -> str:
    value: Any = request
    path = ""
    for step in _STEP.findall(name):
        word, found = _said(value, step)
        if found is None and not (isinstance(value, dict) and word in value):
            break
        path += word if word.startswith("[") or not path else f".{word}"
        value = found
    return path


def _said(value: Any, step: str) -> tuple[str, Any]:
    """A step as the caller has it, and what it leads to."""
    snake = _UPPER.sub(lambda letter: "_" + letter[0].lower(), step)
    for word in (step, *_NAMES.get(step, ()), snake):
        found = value_at(value, word) if isinstance(value, dict) else _step(value, word)
        if found is not None:
            return word, found
    return step, None
