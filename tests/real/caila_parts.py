"""A gateway with services of Caila's API, another one behind it, a provider behind both, and a client of their gRPC."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import grpc

from fixtures.parley import Gateway, Start
from fixtures.peer import Peer, Seen, Told, peer
from parley.serve.rpc.gate_messages import CLASSES, SERVICE

# The page's own words.
REQUEST = {"messages": [{"role": "user", "content": "Привет"}]}
CONFIG = {"model": "gpt-4o", "stream": True, "max_tokens": 2000, "temperature": 1}
TEXT = "Привет! Рад поболтать с тобой. Как дела?"  # noqa: RUF001
ANSWER = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}}],
    "model": "claude-3-sonnet-20240229",
    "usage": {"prompt_tokens": 10, "completion_tokens": 25, "total_tokens": 35},
}
WORDS = [word + " " for word in TEXT.split(" ")]
# The caller of a slow answer has left.
LEFT = Event()
SPECS = "https://caila.io/specs/mlp-data-gpt.yml#/"
PRINTED = json.dumps(ANSWER, ensure_ascii=False, indent=2).encode()
SERVICE_PATH = "/api/mlpgate/account/just-ai/model/openai-proxy"
CLAUDE = '{ "max_tokens" : 5, "messages":[{"role":"user","content":[{"type":"text","text":"Привет"}]}],"x":[1.0] }'
REFUSED = '{"type":"error", "error":{"type":"invalid_request_error","message":"нет"}}'


def chunks() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in WORDS]
    return [*made, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": ANSWER["usage"]}]


def slowly() -> Iterator[bytes]:
    """One word, and nothing more for as long as a test may take."""
    yield b"data: %b\n\n" % json.dumps(chunks()[0], ensure_ascii=False).encode()
    LEFT.wait(30)


def answer(seen: Seen) -> Told:
    """The page's own answer; a provider of another wire refuses."""
    if seen.path.endswith("/messages"):
        return Told([REFUSED.encode()], status=400)
    if seen.body.get("slow"):
        return Told(slowly(), "text/event-stream")
    if seen.body.get("stream"):
        events = [b"data: %b\n\n" % json.dumps(chunk, ensure_ascii=False).encode() for chunk in chunks()]
        return Told([*events, b"data: [DONE]\n\n"], "text/event-stream")
    return Told([PRINTED])


class Place(NamedTuple):
    """The gateway, another one that it takes for a gate, the provider behind both, and where gRPC is."""

    gateway: Gateway
    there: Gateway
    provider: Peer
    rpc: str

    @property
    def url(self) -> str:
        return self.gateway.url


@contextmanager
def placed(start: Start, folder: Path, *, rpc: str = "") -> Iterator[Place]:
    """Everything started, in one folder; ``rpc``: where gRPC is served, "" for nowhere."""
    with peer(answer) as provider:
        services = [
            {"model": "just-ai/openai-proxy", "targets": ["oa/m"]},
            {"model": "just-ai/claude", "targets": ["an/c"]},
        ]
        providers = {
            "oa": {"type": "openai", "base_url": f"{provider.url}/v1", "api_key": "sk-oa"},
            "an": {"type": "anthropic", "base_url": provider.url, "api_key": "sk-an"},
        }
        there = start({"store": f"sqlite:///{folder}/there.db", "providers": providers, "models": services})
        gates = {
            "gate": {"type": "caila", "base_url": f"{there.url}/api/mlpgate", "api_key": "mlp-key"},
            "old": {
                "type": "caila", "wire": "openai", "base_url": f"{there.url}/api/adapters/openai", "api_key": "mlp-key",
            },
        }  # fmt: skip
        config = {
            "store": f"sqlite:///{folder}/here.db",
            **({"grpc": rpc} if rpc else {}),
            "providers": {**providers, **gates},
            "models": [*services, {"model": "far/service", "targets": ["gate/just-ai/openai-proxy"]}],
        }
        yield Place(start(config), there, provider, rpc)


class Rpc:
    """A client of the service, by its full names."""

    def __init__(self, channel: grpc.Channel) -> None:
        reads = CLASSES["ClientResponseProto"].FromString
        writes = CLASSES["ClientRequestProto"].SerializeToString
        self.process = channel.unary_unary(f"/{SERVICE}/process", writes, reads)
        self.streamed = channel.unary_stream(f"/{SERVICE}/processResponseStream", writes, reads)
        self.both = channel.stream_stream(f"/{SERVICE}/processStream", writes, reads)
        self.raw = channel.unary_unary(f"/{SERVICE}/process")
        beat = CLASSES["HeartBeatProto"]
        self.health = channel.unary_unary(f"/{SERVICE}/healthCheck", beat.SerializeToString, beat.FromString)
        self.workers = channel.stream_stream(f"/{SERVICE}/processAsync")


def asked(data: Any = None, config: Any = None, kind: str = "", service: str = "openai-proxy", **more: Any) -> Any:
    message = CLASSES["ClientRequestProto"](account="just-ai", model=service, authToken="k", timeoutSec=10, **more)
    text = data if isinstance(data, str) else json.dumps(REQUEST if data is None else data, ensure_ascii=False)
    message.predict.data.json = text
    if kind:
        message.predict.data.dataType = kind
    if config is not None:
        message.predict.config.json = json.dumps(config)
    return message
