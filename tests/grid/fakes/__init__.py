"""Small providers, one for each wire: they answer as their contract says and refuse what it does not allow."""

from typing import Any, Protocol

from grid.fakes import anthropic, bedrock, cohere, gemini, house, mistral, ollama, openai, texts
from grid.parts import Plan, Seen


class Fake(Protocol):
    """A provider. ``stream_type`` is the content type of its streams, "" where it has none."""

    name: str
    title: str
    stream_type: str

    def provider(self, url: str) -> dict[str, Any]:
        """Its entry of the configuration."""

    def read(self, path: str, headers: dict[str, str], body: bytes) -> Seen:
        """What is asked. Raises Wrong."""

    def whole(self, plan: Plan, model: str) -> bytes:
        """One answer."""

    def pieces(self, plan: Plan, model: str) -> list[bytes]:
        """One answer as a stream."""

    def error(self, status: int) -> bytes:
        """An error's body."""


def made() -> list[Fake]:
    """One of each, in the order of the table."""
    return [
        house.OpenAI(),
        openai.Chat(),
        house.Azure(),
        anthropic.Messages(),
        gemini.Content(),
        ollama.Chat(),
        mistral.Chat(),
        cohere.Chat(),
        bedrock.Converse(),
        texts.Generate(),
        texts.Extension(),
        texts.Infer(),
        texts.InferCalls(),
        texts.Predict(),
    ]
