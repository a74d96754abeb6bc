"""Requests in an envelope, told to a gateway that is played by hand."""

import json
from typing import Any

from gateway.parts import INLETS, Ear, Stage, registration
from parley.gateway.job import Job
from parley.keys import Holder, digest_of
from parley.ports import Headers, Request

HELLO = {"messages": [{"role": "user", "content": "Привет"}]}
ADAPTER = "/api/adapters/openai/v1/chat/completions"
SERVICES = (
    registration("just-ai/openai-proxy", "a/m-1"),
    registration("just-ai/claude", "claude/c-1"),
    registration("just-ai/both", "a/m-1", "claude/c-1"),
    registration("just-ai/spare", "a/m-1", "b/m-2"),
)


def stage(**more: Any) -> Stage:
    return Stage(*SERVICES, **more)


def tell(here: Stage, path: str, body: Any, headers: Headers | None = None) -> tuple[Job, Ear]:
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    target, ear = path.encode(), Ear()
    inlet = INLETS.find(*target.partition(b"?")[::2])
    assert inlet is not None
    return here.gateway.begin(inlet, Request(headers or [], raw, "req-1", target), ear), ear


def at(form: str, service: str = "openai-proxy") -> str:
    return f"/api/mlpgate/account/just-ai/model/{service}/{form}"


def texts(**parts: Any) -> dict[str, Any]:
    """The form that holds JSON as text."""
    return {name: json.dumps(value, ensure_ascii=False) for name, value in parts.items()}


def keyed(here: Stage, *models: str) -> None:
    holder = Holder(id="key_1", name="k", kind="caller", models=models)
    here.gateway.keyring.fill({digest_of(b"k"): holder}, exist=True)
