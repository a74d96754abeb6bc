"""The official clients behind one face: a Wish becomes the client's own call, what it returns becomes a Got."""

import warnings
from collections.abc import Mapping
from typing import Any, Protocol

from grid.parts import Got, Wish


class Caller(Protocol):
    """A client. ``lacks``: features that its dialect cannot ask for, and why. ``dropped`` are the fields that the last
    answer said could not go. ``patience``: the exceptions by which it reports a failure."""

    name: str
    title: str
    lacks: Mapping[str, str]
    dropped: list[str]
    faults: tuple[type[Exception], ...]

    def ask(self, wish: Wish) -> Got:
        """One whole answer."""

    def stream(self, wish: Wish) -> Got:
        """One answer in pieces."""

    def status(self, error: Any) -> int:
        """The HTTP status of a failure."""

    def close(self) -> None:
        """Close its connections."""


def noted(caller: Caller) -> Any:
    """A hook for the HTTP client below: keeps what the answer's head says was dropped."""

    def hook(answer: Any) -> None:
        caller.dropped = [
            name.strip() for name in answer.headers.get("x-parley-dropped", "").split(",") if name.strip()
        ]

    return {"response": [hook]}


def made(url: str) -> dict[str, Caller]:
    """One of each, by name. The last three are further clients of OpenAI's surface."""
    with warnings.catch_warnings():
        # What the clients' own modules are warned of is no affair of ours.
        warnings.simplefilter("ignore")
        from grid.callers import anthropic, further, gemini, ollama, openai

    found: list[Caller] = [
        openai.Chat(url),
        openai.Responses(url),
        openai.Completions(url),
        anthropic.Messages(url),
        gemini.Content(url),
        ollama.Chat(url),
        further.Mistral(url),
        further.Hub(url),
        further.LangChain(url),
    ]
    return {caller.name: caller for caller in found}


NAMES = ("chat", "responses", "completions", "anthropic", "gemini", "ollama", "mistralai", "hub", "langchain")
