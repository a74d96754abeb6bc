"""What a request used is free when it ends: nothing of it waits for the garbage collector."""

from typing import Any

import pytest

from gateway.collected import leaves_nothing
from gateway.gated import Gated, all_of
from gateway.parts import CHAT, MESSAGES, STOP, WORD, Stage

ANTHROPIC = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"c-1","content":[{"type":"text","text":"Hello."}],'
    b'"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}}'
)
QUOTAS = all_of(requests=((1000, 60.0),), tokens=((10**9, 60.0),), parallel=100, budget=10**30, period=60.0)


@pytest.mark.parametrize(
    ("path", "members"),
    [
        (CHAT, {}),
        (CHAT, {"stream": True}),
        (MESSAGES, {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}),
        (MESSAGES, {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, "stream": True}),
        (b"/v1/responses", {"input": "hi"}),
        (b"/v1/responses", {"input": "hi", "stream": True}),
        (b"/api/chat", {"messages": [{"role": "user", "content": "hi"}], "stream": False}),
        (b"/api/chat", {"messages": [{"role": "user", "content": "hi"}]}),
        (b"/v1/completions", {"prompt": "hi"}),
        (b"/api/adapters/openai/chat/completions", {}),
        (b"/api/adapters/openai/chat/completions", {"stream": True}),
    ],
)
@pytest.mark.parametrize("model", ["one", "claude"])
@pytest.mark.parametrize("limited", [False, True])
def test_a_request_leaves_no_cycle(path: bytes, members: dict[str, Any], model: str, limited: bool) -> None:
    stage = Gated(quotas=QUOTAS) if limited else Stage()
    leaves_nothing(lambda: answered(stage, path, members, model))


def answered(stage: Stage, path: bytes, members: dict[str, Any], model: str) -> None:
    """One request and its answer, of which nothing is kept."""
    _, ear = stage.ask(model, path, **members)
    if model == "claude":
        stage.sent[0].whole(ANTHROPIC)
    elif members.get("stream", path == b"/api/chat"):
        stage.sent[0].stream(WORD, STOP, b"data: [DONE]\n\n")
    else:
        stage.sent[0].whole()
    assert ear.status == 200
    stage.sent.clear()
