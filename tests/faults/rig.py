"""A gateway in front of the fault upstream, and callers of both dialects to ask it with.

A ``Case`` is one road through it: who asks, which wire the provider speaks, which scenario it plays, streaming or not.
Every case has a provider of its own, so that no breaker and no count of one case touches another.
"""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from faults.raw import Answer, Raw, request
from fixtures.faults import Faults
from fixtures.parley import Gateway

SECRET = "sk-upstream-secret-8c1f"  # must never come back
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
VERBATIM = (("openai", "openai"), ("anthropic", "anthropic"))
TRANSLATED = (("anthropic", "openai"), ("openai", "anthropic"))
PAIRS = VERBATIM + TRANSLATED


@dataclass(frozen=True)
class Case:
    """One road. ``fallback`` adds a second, healthy target."""

    scenario: str
    caller: str = "openai"
    upstream: str = "openai"
    stream: bool = True
    fallback: bool = False

    @property
    def name(self) -> str:
        """The provider's name, which is also the test's."""
        slug = self.scenario.replace(":", "-").replace(".", "_")
        return f"{slug}--{self.caller}-on-{self.upstream}{'-s' * self.stream}{'-fb' * self.fallback}"

    @property
    def key(self) -> str:
        """The scenario as the upstream counts it."""
        return f"{self.scenario}~{self.name}"

    @property
    def model(self) -> str:
        """What the caller asks for."""
        return f"reg-{self.name}" if self.fallback else f"{self.name}/m"

    @property
    def verbatim(self) -> bool:
        """Whether both sides speak the same wire."""
        return self.caller == self.upstream


def cases(scenarios: Iterable[str], pairs: Iterable[tuple[str, str]] = PAIRS, **more: bool) -> list[Case]:
    """A case for every scenario and every pair."""
    return [Case(scenario, caller, upstream, **more) for scenario in scenarios for caller, upstream in pairs]


def provider(faults: Faults, wire: str, key: str, **timeouts: str) -> dict[str, Any]:
    """The configuration of one provider."""
    base = faults.openai(key) if wire == "openai" else faults.anthropic(key)
    limits = {"connect": "2s", "first_byte": "5s", "idle": "5s", "total": "30s"} | timeouts
    return {"type": wire, "base_url": base, "api_key": SECRET, "timeouts": limits}


def configuration(faults: Faults, roads: Iterable[Case], **timeouts: str) -> dict[str, Any]:
    """A configuration with every case in it, and a healthy provider ``fine`` on each wire."""
    roads = list(roads)
    providers = {f"fine-{wire}": provider(faults, wire, f"ok~fine-{wire}") for wire in PATHS}
    for case in roads:
        # A port that was free a moment ago would be a race; port 1 on loopback belongs to nobody.
        made = provider(faults, case.upstream, case.key, **timeouts)
        providers[case.name] = made | ({"base_url": "http://127.0.0.1:1/v1"} if case.scenario == "refused" else {})
    models = [
        {"model": case.model, "targets": [f"{case.name}/m", f"fine-{case.upstream}/m"]}
        for case in roads
        if case.fallback
    ]
    return {"providers": providers, "models": models}


@dataclass
class Told:
    """What a caller was told: the answer, how long it took, and the connection's end where it was awaited."""

    answer: Answer
    request_id: str
    seconds: float
    dialect: str
    ended: str = ""

    @property
    def code(self) -> str | None:
        """The error's code."""
        return code_of(self.dialect, self.answer.json)

    @property
    def said(self) -> str:
        """The text of a whole answer."""
        value = self.answer.json
        if self.dialect == "openai":
            return str(value["choices"][0]["message"]["content"])
        return "".join(block["text"] for block in value["content"] if block["type"] == "text")

    @property
    def events(self) -> list[tuple[str, bytes]]:
        """The events of a streamed answer."""
        return self.answer.events

    @property
    def values(self) -> list[Any]:
        """The JSON values of its events."""
        return [json.loads(data) for _, data in self.events if data != b"[DONE]"]

    @property
    def spoken(self) -> str:
        """The text of a streamed answer."""
        if self.dialect == "anthropic":
            return "".join((value.get("delta") or {}).get("text", "") for value in self.values)
        choices = [choice for value in self.values for choice in value.get("choices", ())]
        return "".join(choice["delta"].get("content") or "" for choice in choices)

    @property
    def arguments(self) -> dict[int, str]:
        """The fragments of tool arguments so far, by the call's index."""
        found: dict[int, str] = {}
        for value in self.values:
            if self.dialect == "openai":
                for choice in value.get("choices", ()):
                    for part in choice["delta"].get("tool_calls") or ():
                        place = part["index"]
                        found[place] = found.get(place, "") + (part["function"].get("arguments") or "")
            elif "partial_json" in (value.get("delta") or {}):
                found[value["index"]] = found.get(value["index"], "") + value["delta"]["partial_json"]
        return found

    @property
    def terminators(self) -> int:
        """How often the stream said that it is complete."""
        if self.dialect == "openai":
            return sum(data == b"[DONE]" for _, data in self.events)
        return sum(value.get("type") == "message_stop" for value in self.values)

    @property
    def failures(self) -> list[Any]:
        """Its error events."""
        if self.dialect == "openai":
            return [value for value in self.values if value.get("error")]
        return [value for (name, _), value in zip(self.events, self.values, strict=True) if name == "error"]


def code_of(dialect: str, value: Any) -> str | None:
    """The code in an error of this dialect, having looked at the error's shape."""
    error = value["error"]
    if dialect == "openai":
        assert set(error) >= {"message", "type", "param", "code"}, value
        return error["code"]
    assert value["type"] == "error", value
    assert isinstance(error["type"], str), value
    return error.get("code") or (error.get("details") or {}).get("error_code")


def body(dialect: str, model: str, stream: bool = False, text: str = "say it", **more: Any) -> bytes:
    """A plain request."""
    value: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream}
    if dialect == "anthropic":
        value["max_tokens"] = 1000
    return json.dumps(value | more).encode()


def marks(dialect: str, request_id: str) -> tuple[tuple[str, str], ...]:
    """The headers this dialect's callers send, with a request id to find the log line by."""
    own = (("anthropic-version", "2023-06-01"),) if dialect == "anthropic" else ()
    return (("x-request-id", request_id), *own)


def asking(dialect: str, model: str, stream: bool = False, **more: Any) -> tuple[str, bytes]:
    """A request as bytes and the id it carries."""
    request_id = f"req-{uuid4().hex}"
    data = body(dialect, model, stream, **more)
    return request_id, request(PATHS[dialect], data, headers=marks(dialect, request_id))


async def tell(gateway: Gateway, dialect: str, model: str, stream: bool = False, **more: Any) -> Told:
    """Ask on a connection of its own; a broken stream is read to the connection's end."""
    request_id, data = asking(dialect, model, stream, **more)
    began = time.monotonic()
    async with Raw(gateway.port) as raw:
        await raw.send(data)
        answer = await raw.response()
        told = Told(answer, request_id, time.monotonic() - began, dialect)
        if told.answer.status == 200 and stream and not told.terminators:
            assert await raw.rest() == b"", "bytes after the end of the answer"
            told.ended = raw.ended
        return told


async def ask(gateway: Gateway, case: Case, **more: Any) -> Told:
    """Travel one road."""
    return await tell(gateway, case.caller, case.model, case.stream, **more)


def check_headers(told: Told) -> None:
    """What every answer carries, and what none may leak."""
    assert told.answer.get("x-request-id") == told.request_id
    told_text = told.answer.body.decode("utf-8", "replace") + repr(told.answer.headers)
    assert SECRET not in told_text
    assert "Traceback" not in told_text


def check_clean(told: Told, text: str) -> None:
    """A stream or an answer without a fault."""
    check_headers(told)
    assert told.answer.status == 200, told.answer
    assert told.answer.whole
    if (told.answer.get("content-type") or "").startswith("text/event-stream"):
        assert (told.spoken, told.terminators, told.failures) == (text, 1, [])
    else:
        assert told.said == text.strip()


def check_cut(told: Told, text: str | None) -> None:
    """A stream that broke after its beginning: what came, one error event, no terminator, and the end."""
    check_headers(told)
    assert told.answer.status == 200, told.answer
    assert len(told.failures) == 1, told.events[-3:]
    assert told.values[-1] == told.failures[0]
    assert told.terminators == 0
    assert told.ended in ("fin", "rst")
    if text is not None:
        assert told.spoken == text


def unlogged(gateway: Gateway) -> None:
    """Neither keys nor words of a conversation are in the log."""
    lines = "\n".join(gateway.stderr_lines())
    assert SECRET not in lines
    assert "say it" not in lines
    assert "alpha" not in lines
