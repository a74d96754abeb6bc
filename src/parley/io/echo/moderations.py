"""Moderations: nothing is ever flagged. Source of the shape: surface contract section 9."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import json

from parley.failure import invalid
from parley.io.echo.asked import JSON, Ask, Said, object_of

_TEXT: Final = ("text",)
_BOTH: Final = ("text", "image")
# The categories and what each looks at.
CATEGORIES: Final[Mapping[str, tuple[str, ...]]] = {
    "harassment": _TEXT,
    "harassment/threatening": _TEXT,
    "hate": _TEXT,
    "hate/threatening": _TEXT,
    "illicit": _TEXT,
    "illicit/violent": _TEXT,
    "self-harm": _BOTH,
    "self-harm/instructions": _BOTH,
    "self-harm/intent": _BOTH,
    "sexual": _BOTH,
    "sexual/minors": _TEXT,
    "violence": _BOTH,
    "violence/graphic": _BOTH,
}
MODEL: Final = "omni-moderation-latest"


def moderation(ask: Ask) -> Said:
    """A result for each text, one for all parts of a mixed input."""
    fields = object_of(ask)
    model = fields.text("model") or MODEL
    results = [_result(kinds) for kinds in _inputs(fields.given("input"))]
    made = {"id": f"modr-echo-{ask.number}", "model": model, "results": results}
    return Said(JSON, iter((json.encode(made),)))


def _result(kinds: frozenset[str]) -> dict[str, Any]:
    return {
        "flagged": False,
        "categories": dict.fromkeys(CATEGORIES, False),
        "category_scores": dict.fromkeys(CATEGORIES, 0.0),
        "category_applied_input_types": {
            name: [kind for kind in looks if kind in kinds] for name, looks in CATEGORIES.items()
        },
    }


def _inputs(given: Any) -> list[frozenset[str]]:
    """For each result the kinds of input it is about."""
    texts = frozenset(_TEXT)
    if isinstance(given, str):
        return [texts]
    if not isinstance(given, list) or not given:
        raise invalid("input is required and must be a string or an array that is not empty", "input")
    if isinstance(given[0], str):
        for index, item in enumerate(given):
            if not isinstance(item, str):
                raise invalid(f"input[{index}] must be a string", f"input[{index}]")
        return [texts] * len(given)
    return [frozenset(_kind(item, f"input[{index}]") for index, item in enumerate(given))]


def _kind(item: Any, path: str) -> str:
    """Whether a part is text or an image."""
    if not isinstance(item, dict):
        raise invalid(f"{path} must be an object", path)
    if item.get("type") == "text":
        if not isinstance(item.get("text"), str):
            raise invalid(f"{path}.text is required and must be a string", f"{path}.text")
        return "text"
    if item.get("type") != "image_url":
        raise invalid(f"{path}.type must be text or image_url", f"{path}.type")
    inner = item.get("image_url")
    if not isinstance(inner, dict) or not isinstance(inner.get("url"), str):
        raise invalid(f"{path}.image_url must be an object with a url", f"{path}.image_url")
    return "image"
