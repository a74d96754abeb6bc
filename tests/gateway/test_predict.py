"""Requests in an envelope, played by hand: whom they ask for what, by which words, and what comes back."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.parts import ANSWER, DONE, OPENING, STOP, WORD, Stage, provider, registration
from gateway.predict_parts import ADAPTER, HELLO, SERVICES, at, keyed, stage, tell, texts
from parley.failure import Failure
from parley.ports import Layers
from parley.settings import Quirks
from parley.wire.caila.envelope import config_members

# Whole answers


@pytest.mark.parametrize(
    ("form", "body"),
    [
        ("predict", HELLO),
        ("predict-with-config", {"data": HELLO}),
        ("predict-with-config-v2", texts(data=HELLO)),
        ("predict?dataType=ChatCompletionRequest", HELLO),
    ],
)
def test_every_form_asks_the_same(form: str, body: Any) -> None:
    here = stage()
    _, ear = tell(here, at(form), body, [(b"z-requestid", b"z-1"), (b"x-other", b"1")])
    here.clock.advance(0.25)
    here.sent[0].whole()
    assert here.sent[0].body == {**HELLO, "model": "m-1"}
    assert here.sent[0].lines[b"x-other"] == b"1"
    assert b"z-requestid" not in here.sent[0].lines
    assert (ear.status, ear.text) == (200, ANSWER)
    assert (ear.lines[b"z-requestid"], ear.lines[b"z-server-time"]) == (b"z-1", b"250")
    assert ear.lines[b"x-parley-target"] == b"a/m-1"
    here.quiet()


def test_the_request_wins_over_its_config() -> None:
    here = stage()
    config = {"temperature": 1, "max_tokens": 2000, "x": {"y": 1}, "top_p": 0.5}
    tell(here, at("predict-with-config"), {"data": {**HELLO, "temperature": 0, "top_p": None}, "config": config})
    assert here.sent[0].body == {
        **HELLO, "model": "m-1", "temperature": 0, "max_tokens": 2000, "x": {"y": 1}, "top_p": None,
    }  # fmt: skip


def test_a_whole_form_answers_whole() -> None:
    here = stage()
    config = {"model": "gpt-4o", "stream": True, "max_tokens": 2000, "temperature": 1}
    _, ear = tell(here, at("predict-with-config"), {"data": HELLO, "config": config})
    here.sent[0].whole()
    assert here.sent[0].body == {**HELLO, "model": "m-1", "max_tokens": 2000, "temperature": 1}
    assert ear.text == ANSWER
    assert ear.lines[b"x-parley-dropped"] == b"stream, model"


def test_models_are_found_in_their_order() -> None:
    here = stage()
    tell(here, "/api/mlpgateway/p/a/x", {**HELLO, "model": "one"})
    tell(here, "/api/mlpgateway/p/nobody/x", {**HELLO, "model": "b/m-7"})
    tell(here, at("predict"), {**HELLO, "model": "b/m-7"})
    assert [sent.body["model"] for sent in here.sent] == ["x", "m-7", "m-1"]


def test_nobody_is_found() -> None:
    here = stage()
    _, ear = tell(here, "/api/mlpgate/p/nobody/x", HELLO, [(b"z-requestid", b"z-1")])
    made = json.loads(ear.text)
    assert (ear.status, made["code"], made["requestId"]) == (400, "mlp.model.invalid-id", "z-1")
    assert made["args"] == {"kind": "model_not_found", "field": "model", "model": "nobody/x"}
    here.quiet()


def test_the_older_envelope_is_answered_in_kind() -> None:
    here = stage()
    _, ear = tell(here, at("predict"), {"chat": HELLO, "x": 1})
    here.sent[0].whole()
    assert json.loads(ear.text) == {"chat": json.loads(ANSWER), "spentMicroCents": None}
    assert ear.lines[b"x-parley-dropped"] == b"x"


def test_what_was_spent() -> None:
    class Tariff:
        def of(self, provider: Any, model: str) -> Any:
            return self

        def cost(self, usage: Any) -> int:
            return int(usage.input) * 2_000_000 + int(usage.output) * 10_000

        def estimate(self, input_tokens: int, output_tokens: int) -> int:
            return 0

        @property
        def flat(self) -> tuple[int, int, int] | None:
            return 0, 0, 0

    here = stage()
    here.gateway.tariffs = Tariff()
    _, ear = tell(here, at("predict"), {"chat": HELLO})
    here.sent[0].whole()
    assert json.loads(ear.text)["spentMicroCents"] == 3 * 200 + 2


def test_answers_of_another_wire() -> None:
    here = stage()
    _, ear = tell(here, at("predict", "claude"), {**HELLO, "max_tokens": 5})
    blocks = [{"type": "thinking", "thinking": "a", "signature": ""}, {"type": "text", "text": "b"}]
    usage = {"input_tokens": 1, "output_tokens": 2}
    answer = {"id": "1", "type": "message", "role": "assistant", "model": "c", "content": blocks, "usage": usage}
    here.sent[0].whole(json.dumps({**answer, "stop_reason": "end_turn"}).encode())
    message = json.loads(ear.text)["choices"][0]["message"]
    assert (message["content"], message["thinking"]) == ("b", "a")
    assert "reasoning_content" not in message


def test_what_is_dropped_is_named_as_the_caller_wrote_it() -> None:
    turns = [*HELLO["messages"], {"role": "assistant", "content": "b", "thinking": "a"}, *HELLO["messages"]]
    here = stage()
    _, ear = tell(here, at("predict", "claude"), {"messages": turns, "max_tokens": 5})
    here.sent[0].whole(b"{}")
    assert ear.lines[b"x-parley-dropped"] == b"messages[1].thinking"


def test_other_operations() -> None:
    paths = {"chat": "/chat/completions", "embeddings": "/embeddings"}
    here = stage(providers=(provider("a", paths=paths), provider("b"), provider("claude", "anthropic")))
    _, ear = tell(here, at("predict"), {"embedding": {"input": ["x"]}})
    vectors = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}], "model": "m"}
    here.sent[0].whole(json.dumps(vectors).encode())
    assert here.sent[0].call.to.path == b"/v1/embeddings"
    assert json.loads(ear.text)["embedding"] == vectors


@pytest.mark.parametrize(
    ("form", "body", "field"),
    [
        ("predict", {"messages": [{"role": "user"}]}, "messages"),
        ("predict-with-config", {"data": HELLO, "config": 1}, "config"),
        ("predict-with-config", {"data": HELLO, "config": {"stream": "yes"}}, "config.stream"),
        ("predict-with-config", {"data": {**HELLO, "model": 1}}, "data.model"),
        ("predict?configId=1", HELLO, "configId"),
        ("predict-with-config", {"data": {"messages": [{"role": "marker"}]}}, "data.messages[0].role"),
        ("predict-with-config", {"data": {"messages": [{"role": "user", "content": 5}]}}, "data.messages[0].content"),
        ("predict-with-config", {"data": HELLO, "config": {"temperature": "hot"}}, "config.temperature"),
        ("predict", {**HELLO, "tools": {}}, "tools"),
    ],
)
def test_the_field_at_fault_is_where_the_caller_wrote_it(form: str, body: Any, field: str) -> None:
    here = stage()
    _, ear = tell(here, at(form, "claude"), body)
    made = json.loads(ear.text)
    assert (ear.status, made["code"]) == (400, "mlp-action.common.bad-request")
    assert made["args"]["field"].startswith(field)
    assert here.sent == []
    here.quiet()


# Streams


def test_a_stream_in_events() -> None:
    here = stage()
    _, ear = tell(here, at("predict-with-config-v2-stream"), texts(data=HELLO, config={"temperature": 1}))
    here.sent[0].stream(OPENING, WORD, STOP, DONE)
    sent = {**HELLO, "model": "m-1", "temperature": 1, "stream": True, "stream_options": {"include_usage": True}}
    assert here.sent[0].body == sent
    assert ear.text == OPENING + WORD + STOP + DONE
    assert ear.lines[b"content-type"] == b"text/event-stream"
    here.quiet()


def test_a_stream_in_lines() -> None:
    here = stage()
    accept = [(b"accept", b"application/x-ndjson")]
    _, ear = tell(here, at("predict-with-config-v2-stream"), texts(data=HELLO), accept)
    here.sent[0].stream(OPENING, WORD, STOP, DONE)
    assert ear.lines[b"content-type"] == b"application/x-ndjson"
    assert ear.text == b"".join(part[6:-1] for part in (OPENING, WORD, STOP))
    assert [json.loads(line) for line in ear.text.splitlines()]


@pytest.mark.parametrize("accept", [b"text/event-stream", b"application/x-ndjson"])
def test_other_forms_stream_to_those_who_say_that_they_read_streams(accept: bytes) -> None:
    here = stage()
    body = {"data": HELLO, "config": {"stream": True}}
    _, ear = tell(here, at("predict-with-config"), body, [(b"accept", accept)])
    here.sent[0].stream(OPENING, WORD, STOP, DONE)
    assert ear.lines[b"content-type"] == accept
    quiet = {"data": {**HELLO, "stream": False}, "config": {"stream": True}}
    _, ear = tell(here, at("predict-with-config"), quiet, [(b"accept", accept)])
    here.sent[1].whole()
    assert ear.text == ANSWER


def test_a_provider_that_does_not_know_what_we_add() -> None:
    mute = provider("a", quirks=Quirks(options={"stream_usage": False}))
    here = Stage(*SERVICES, providers=(mute, provider("b"), provider("claude", "anthropic")))
    _, ear = tell(here, at("predict-with-config-v2-stream"), texts(data=HELLO))
    assert here.sent[0].body == {**HELLO, "model": "m-1", "stream": True}
    assert b"x-parley-dropped" not in ear.lines


def test_a_broken_stream() -> None:
    here = stage()
    _, ear = tell(here, at("predict-with-config-v2-stream"), texts(data=HELLO), [(b"z-requestid", b"z-1")])
    here.sent[0].begin()
    here.sent[0].say(OPENING, WORD)
    here.sent[0].fail(Failure("upstream_closed", "gone"))
    last = json.loads(ear.text.split(b"\n\n")[-2].removeprefix(b"data: "))
    assert (last["error"]["code"], last["error"]["requestId"]) == ("mlp-action.common.processing-exception", "z-1")
    assert b"[DONE]" not in ear.text
    assert ear.heard[-1] == ("finish", True)
    here.quiet()


def test_a_caller_that_leaves() -> None:
    here = stage()
    job, _ = tell(here, at("predict-with-config-v2-stream"), texts(data=HELLO))
    here.sent[0].begin()
    job.left()
    assert here.sent[0].cancelled
    here.quiet()


# Keys


@pytest.mark.parametrize("path", [at("predict"), at("ext"), ADAPTER, "/api/adapters/openai-direct/chat/completions"])
def test_without_a_key_nothing_is_looked_at(path: str) -> None:
    here = stage(auth_required=True)
    here.gateway.keyring.configure(here.gateway.settings)
    _, ear = tell(here, path, b"\xff not JSON")
    made = json.loads(ear.text)
    assert (ear.status, made["code"], made["requestId"]) == (401, "unauthorized", "req-1")


@pytest.mark.parametrize("header", [(b"mlp-api-key", b"k"), (b"authorization", b"k"), (b"authorization", b"Bearer k")])
def test_three_styles_of_keys(header: tuple[bytes, bytes]) -> None:
    here = stage()
    keyed(here)
    _, ear = tell(here, at("predict"), HELLO, [header])
    here.sent[0].whole()
    assert ear.status == 200
    assert here.sent[0].lines[b"authorization"] == b"Bearer a-secret"
    assert b"mlp-api-key" not in here.sent[0].lines


# Stored configs


class Shelf:
    """Configs that are known at once, or when told."""

    def __init__(self, *layers: str, later: bool = False) -> None:
        self.layers: Layers = tuple(config_members(text) for text in layers)
        self.asked: list[tuple[str, tuple[str, str], int | None]] = []
        self.later = later
        self.then: Callable[[Layers | Failure], None] = lambda found: None

    def find(
        self, owner: str, service: tuple[str, str], id: int | None, then: Callable[[Layers | Failure], None]
    ) -> None:
        self.asked.append((owner, service, id))
        self.then = then
        if not self.later:
            then(self.layers)


def test_precedence_key_by_key() -> None:
    here = Stage(registration("just-ai/openai-proxy", "a/m-1", defaults={"seed": 1, "temperature": 0.1, "n": 1}))
    usual = '{"temperature":0.2,"top_p":0.2,"stop":"a","user":"u"}'
    here.gateway.configs = shelf = Shelf(usual, '{"top_p":0.3,"stop":"b","x":null}')
    body = {"data": {**HELLO, "max_tokens": 5}, "config": {"stop": "c", "max_tokens": 4}}
    tell(here, at("predict-with-config"), body)
    assert here.sent[0].body == {
        **HELLO, "model": "m-1", "seed": 1, "n": 1, "temperature": 0.2, "user": "u", "top_p": 0.3, "x": None,
        "stop": "c", "max_tokens": 5,
    }  # fmt: skip
    assert shelf.asked == [("", ("just-ai", "openai-proxy"), None)]


@pytest.mark.parametrize("path", [at("predict?configId=7"), ADAPTER])
def test_configs_that_are_known_later(path: str) -> None:
    here = stage()
    here.gateway.configs = shelf = Shelf('{"temperature":0.2}', later=True)
    _, ear = tell(here, path, {**HELLO, "model": "just-ai/openai-proxy/gpt"})
    assert (here.sent, ear.heard) == ([], [])
    shelf.then(shelf.layers)
    assert here.sent[0].body["temperature"] == 0.2
    here.sent[0].whole()
    assert ear.text == ANSWER
    assert shelf.asked == [("", ("just-ai", "openai-proxy"), 7 if "configId" in path else None)]
    here.quiet()


def test_a_config_that_is_not_there() -> None:
    here = stage()
    here.gateway.configs = shelf = Shelf(later=True)
    _, ear = tell(here, at("predict?configId=7"), HELLO)
    shelf.then(Failure("invalid_request", "no", param="configId"))
    assert (ear.status, json.loads(ear.text)["args"]["field"]) == (400, "configId")
    here.quiet()


def test_a_caller_that_leaves_before_configs_are_known() -> None:
    here = stage()
    here.gateway.configs = shelf = Shelf(later=True)
    job, ear = tell(here, at("predict"), HELLO)
    job.left()
    shelf.then(())
    assert (here.sent, ear.heard) == ([], [])
    here.quiet()


# Adapters


@pytest.mark.parametrize(
    ("model", "target"),
    [
        ("just-ai/openai-proxy", b"a/m-1"),
        ("just-ai/openai-proxy/gpt-4o", b"a/m-1"),
        ("just-ai/nobody/one", b"a/m-1"),
        ("b/m-3/x", b"b/m-3/x"),
        ("one", b"a/m-1"),
    ],
)
@pytest.mark.parametrize("path", [ADAPTER, "/api/adapters/openai/chat/completions", ADAPTER.replace("ons", "on")])
def test_models_of_an_adapter(model: str, target: bytes, path: str) -> None:
    here = stage()
    _, ear = tell(here, path, {**HELLO, "model": model, "x": 1})
    here.sent[0].whole()
    assert ear.lines[b"x-parley-target"] == target
    assert here.sent[0].body == {**HELLO, "x": 1, "model": target.decode().partition("/")[2]}
    assert ear.text == ANSWER


def test_an_adapters_stream_is_the_callers_own() -> None:
    here = stage()
    _, ear = tell(here, ADAPTER, {**HELLO, "model": "one", "stream": True})
    here.sent[0].stream(OPENING, WORD, STOP, DONE)
    assert "stream_options" not in here.sent[0].body
    assert ear.text == OPENING + WORD + STOP + DONE
