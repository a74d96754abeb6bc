"""Words in front of messages. Source: extension contract 1.4."""

from collections.abc import Mapping
from typing import Any


def with_roles(messages: list[dict[str, Any]], roles: Mapping[str, str]) -> list[dict[str, Any]]:
    """The messages with ``roles[role]`` and one space in front of their text; without a word for its role a message
    stays as it is. In a list of parts the word goes to the first text part, or becomes one."""
    return [_worded(message, roles) for message in messages] if roles else messages


def _worded(message: dict[str, Any], roles: Mapping[str, str]) -> dict[str, Any]:
    word = roles.get(str(message.get("role")))
    content = message.get("content")
    if not word or not content:
        return message
    if isinstance(content, str):
        return {**message, "content": f"{word} {content}"}
    if isinstance(content, list):
        return {**message, "content": _parts(word, content)}
    return message


def _parts(word: str, parts: list[Any]) -> list[Any]:
    for index, part in enumerate(parts):
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            return [*parts[:index], {**part, "text": f"{word} {part['text']}"}, *parts[index + 1 :]]
    return [{"type": "text", "text": word}, *parts]
