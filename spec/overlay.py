"""OpenAPI Overlay 1.0.0, applied strictly: what changes nothing is an error, so that no correction ages in silence.

Source: the OpenAPI Initiative's Overlay Specification 1.0.0, section 4.4.
"""

from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonpath_rfc9535 as jsonpath
import yaml
from msgspec.json import decode, encode

_DOCUMENT = {"overlay", "info", "extends", "actions"}
_ACTION = {"target", "description", "update", "remove"}


class OverlayError(Exception):
    """What is wrong with an overlay, with the number and the target of the action."""


def read(path: Path) -> list[dict[str, Any]]:
    """The actions of an overlay file, checked for form."""
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or found.get("overlay") != "1.0.0":
        raise OverlayError(f"{path.name}: not an overlay of version 1.0.0")
    if unknown := set(found) - _DOCUMENT:
        raise OverlayError(f"{path.name}: unknown member {sorted(unknown)[0]!r}")
    if not isinstance(found.get("info"), dict) or not {"title", "version"} <= set(found["info"]):
        raise OverlayError(f"{path.name}: info needs a title and a version")
    actions = found.get("actions")
    if not isinstance(actions, list) or not actions:
        raise OverlayError(f"{path.name}: there are no actions")
    for number, action in enumerate(actions):
        if problem := _malformed(action):
            raise OverlayError(f"{path.name}: action {number}: {problem}")
    # What YAML's aliases share must not be shared any more once it is changed.
    plain: list[dict[str, Any]] = decode(encode(actions))
    return plain


def apply(document: dict[str, Any], actions: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """A changed copy. Each action sees what those before it have done; raises OverlayError where one finds nothing."""
    changed = deepcopy(document)
    for number, action in enumerate(actions):
        try:
            _act(changed, action)
        except (OverlayError, jsonpath.JSONPathError) as error:
            raise OverlayError(f"action {number}, target {action['target']}: {error}") from None
    return changed


def _malformed(action: Any) -> str:
    if not isinstance(action, dict) or not isinstance(action.get("target"), str):
        return "it needs a target, a JSONPath"
    if unknown := set(action) - _ACTION:
        return f"unknown member {sorted(unknown)[0]!r}"
    if ("update" in action) == (action.get("remove") is True):
        return "it must either update or remove"
    return ""


def _act(document: dict[str, Any], action: dict[str, Any]) -> None:
    found = jsonpath.find(action["target"], document)
    if not found:
        raise OverlayError("nothing is there")
    for node in reversed(found):  # From the end, so that removed items of a list do not move the others.
        if action.get("remove"):
            _remove(document, node.location)
        else:
            _update(node.value, deepcopy(action["update"]))


def _remove(document: Any, location: tuple[str | int, ...]) -> None:
    if not location:
        raise OverlayError("the document itself cannot be removed")
    *above, last = location
    for key in above:
        document = document[key]
    del document[last]


def _update(target: Any, update: Any) -> None:
    if isinstance(target, list):
        target.append(update)
    elif not isinstance(target, dict) or not isinstance(update, dict):
        raise OverlayError("only objects and lists can be updated, an object with an object")
    elif _merge(target, update) == 0:
        raise OverlayError("the update changes nothing")


def _merge(target: dict[str, Any], update: dict[str, Any]) -> int:
    """Merge member by member, lists by adding; how many members changed."""
    changes = 0
    for name, value in update.items():
        held = target.get(name)
        if isinstance(held, dict) and isinstance(value, dict):
            changes += _merge(held, value)
        elif isinstance(held, list) and isinstance(value, list):
            changes += len(value)
            held.extend(value)
        elif name not in target or held != value:
            target[name] = value
            changes += 1
    return changes
