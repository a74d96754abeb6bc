"""Who asks in the pairs: a streamed chat of exactly 2 KB in every dialect."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import workload
from workload import ANTHROPIC_HEADERS, OPENAI_HEADERS, SMALL, Dialect

SYSTEM = "You are a helpful assistant. Answer in short sentences."
LIMIT, TEMPERATURE = 256, 0.7


@dataclass(frozen=True)
class Caller:
    """One dialect. In ``path`` {model} is filled in; ``mark`` is in the last event of its streams and in no other;
    ``wire`` is the provider's wire that it reaches unread."""

    name: str
    path: str
    headers: tuple[str, ...]
    mark: str
    wire: str
    chat: Callable[[str, str], dict[str, Any]]

    def request(self, port: int, model: str) -> bytes:
        """The bytes of one HTTP/1.1 request."""
        return workload.raw_request(self.dialect(model), port, self.body(model))

    def dialect(self, model: str) -> Dialect:
        return Dialect(self.name, self.path.format(model=model), self.headers, self.mark.encode())

    def body(self, model: str) -> bytes:
        """SMALL bytes of JSON."""

        def build(fill: int) -> bytes:
            return json.dumps(self.chat(model, workload.text(fill)), separators=(",", ":")).encode()

        return build(SMALL - len(build(0)))


def _turns(text: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]


def _openai(model: str, text: str) -> dict[str, Any]:
    sampling = {"max_tokens": LIMIT, "temperature": TEMPERATURE}
    return {"model": model, **sampling, "messages": _turns(text), "stream": True}


def _responses(model: str, text: str) -> dict[str, Any]:
    # Not stored: what is measured is the translation.
    sampling = {"max_output_tokens": LIMIT, "temperature": TEMPERATURE, "store": False}
    turns = [{"role": "user", "content": [{"type": "input_text", "text": text}]}]
    return {"model": model, **sampling, "instructions": SYSTEM, "input": turns, "stream": True}


def _anthropic(model: str, text: str) -> dict[str, Any]:
    sampling = {"max_tokens": LIMIT, "temperature": TEMPERATURE}
    turns = [{"role": "user", "content": text}]
    return {"model": model, **sampling, "system": SYSTEM, "messages": turns, "stream": True}


def _gemini(model: str, text: str) -> dict[str, Any]:
    return {
        "systemInstruction": {"parts": [{"text": SYSTEM}]},
        "contents": [{"role": "user", "parts": [{"text": text}]}],
        "generationConfig": {"maxOutputTokens": LIMIT, "temperature": TEMPERATURE},
    }


def _ollama(model: str, text: str) -> dict[str, Any]:
    sampling = {"num_predict": LIMIT, "temperature": TEMPERATURE}
    return {"model": model, "messages": _turns(text), "options": sampling, "stream": True}


OPENAI = Caller("OpenAI chat", "/v1/chat/completions", OPENAI_HEADERS, "data: [DONE]", "openai_chat", _openai)
GEMINI_PATH = "/v1beta/models/{model}:streamGenerateContent?alt=sse"
CALLERS = (
    OPENAI,
    Caller("OpenAI Responses", "/v1/responses", OPENAI_HEADERS, '"response.completed"', "openai_responses", _responses),
    Caller("Anthropic", "/v1/messages", ANTHROPIC_HEADERS, '"message_stop"', "anthropic", _anthropic),
    Caller("Gemini", GEMINI_PATH, ("x-goog-api-key:bench",), '"finishReason"', "gemini", _gemini),
    Caller("Ollama", "/api/chat", OPENAI_HEADERS, '"done":true', "ollama", _ollama),
)
