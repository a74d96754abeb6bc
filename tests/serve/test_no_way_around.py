"""No way around a limit: every path and every call of every dialect, from outside, with a key whose limit is spent.

Paths are taken from the tables by which the listener finds them, calls from the handlers of the gRPC server: what is
added later is asked here too, or has to be named.
"""

import asyncio
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import grpc
import httpx2
import pytest
from dapr.proto.runtime.v1 import ai_pb2
from starlette.routing import Route

from fixtures.children import eventually, free_port
from fixtures.parley import Gateway, Start
from fixtures.peer import Peer, Told, peer
from gateway.parts import INLETS, Stage, inlet_at
from parley.operations import OPERATIONS
from parley.serve import rpc
from parley.serve.app import application
from parley.serve.house import House
from parley.serve.rpc.gate_messages import CLASSES
from parley.serve.rpc.messages import Turns
from parley.store import Store
from parley.wire.inlets import COUNT, DIALECTS, PLACED, placed_row
from parley.wire.predict_paths import CONFIG, PREDICT, PREFIXES, TEXTS
from parley.wire.predict_paths import STREAM as PREDICT_STREAM

ANSWER = {
    "id": "c-1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}  # fmt: skip
FORM = b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nany\r\n--b--\r\n'
# Where a form does not say which model is meant.
QUERY = {"node_id": "here", "project": "p", "model": "any"}
KINDS = {b"[": [], b'"': "x", b"{": {}}
DAPR = [f"/v1.0-{form}/conversation/any/converse" for form in ("alpha1", "alpha2")]
DAPR += ["/v1.0/conversation/any/converse"]
CAILA = {
    form: f"/api/mlpgate/account/acc/model/any/{form}" for form in (PREDICT, CONFIG, TEXTS, PREDICT_STREAM)
}  # fmt: skip
PATHS = [
    *(path.decode() for path in sorted(INLETS._rows)),
    *(f"/v1beta/models/any:{name.decode()}" for name in sorted(PLACED)),
    *DAPR,
    *CAILA.values(),
    *(f"{prefix}/p/acc/any" for prefix in PREFIXES),
]
INPUTS: dict[str, list[Any]] = {
    "v1.0": ["hi"],
    "v1.0-alpha1": [{"content": "hi"}],
    "v1.0-alpha2": [{"messages": [{"ofUser": {"content": [{"text": "hi"}]}}]}],
}
MORE = {"prompt": "x", "input": "x", "messages": [{"role": "user", "content": "hi"}], "project": "p", "node_id": "here"}
# Where an error says which one it is, by the dialect.
CODES: dict[str, Any] = {
    "openai": lambda told: told["error"]["code"] == "rate_limited",
    "anthropic": lambda told: (told["type"], told["error"]["type"]) == ("error", "rate_limit_error"),
    "gemini": lambda told: (
        isinstance(told, dict) and (told["error"]["code"], told["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    ),
    "ollama": lambda told: told["code"] == "rate_limited" and isinstance(told["error"], str),
    "dapr": lambda told: told["errorCode"] == "ERR_RATE_LIMITED",
    # Its codes are those of an older protocol; the status says it.
    "node": lambda told: told["code"] > 1000 and "limit of this key" in told["message"],
    "caila": lambda told: told["code"] == "mlp.gate.pps_limit_exceeded",
}
# Requests of calls that ask a provider; None: one that asks nobody.
_TURN = ai_pb2.ConversationInputAlpha2(
    messages=[
        ai_pb2.ConversationMessage(
            of_user=ai_pb2.ConversationMessageOfUser(content=[ai_pb2.ConversationMessageContent(text="hi")])
        )
    ]
)
CALLS: dict[str, bytes | None] = {
    "/dapr.proto.runtime.v1.Dapr/ConverseAlpha1": ai_pb2.ConversationRequest(
        name="any", inputs=[ai_pb2.ConversationInput(content="hi")]
    ).SerializeToString(),
    "/dapr.proto.runtime.v1.Dapr/ConverseAlpha2": ai_pb2.ConversationRequestAlpha2(
        name="any", inputs=[_TURN]
    ).SerializeToString(),
    "/dapr.proto.runtime.v1.Dapr/Converse": Turns().request(name="any", inputs=["hi"]).SerializeToString(),
    "/dapr.proto.runtime.v1.Dapr/GetMetadata": None,
}

GATE = "/com.mlp.gate.Gate/"
_PREDICT = CLASSES["ClientRequestProto"](account="acc", model="any")
_PREDICT.predict.data.json = json.dumps({"model": "any", "messages": [{"role": "user", "content": "hi"}]})
CALLS |= {
    f"{GATE}process": _PREDICT.SerializeToString(),
    f"{GATE}processResponseStream": _PREDICT.SerializeToString(),
    f"{GATE}processStream": _PREDICT.SerializeToString(),
    f"{GATE}healthCheck": None,
}
# Calls with several messages of ours; with several answers.
ASKING = ("/dapr.proto.runtime.v1.Dapr/Converse", f"{GATE}processStream")
ANSWERING = (*ASKING, f"{GATE}processResponseStream")


class Spent:
    """A gateway, the provider behind it, and a key that may ask nothing more for the next minute."""

    def __init__(self, gateway: Gateway, provider: Peer, calls: str, key: str, http: httpx2.Client) -> None:
        self.gateway, self.provider, self.calls, self.key, self.http = gateway, provider, calls, key, http

    @property
    def asked(self) -> int:
        return len(self.provider.seen)

    def post(self, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        content, more = sample(path) if body is None else (json.dumps(body).encode(), {})
        query = QUERY if "/image/edit" in path else {}
        return self.http.post(path, params=query, content=content, headers={"x-api-key": self.key, **more, **headers})


@pytest.fixture(scope="module")
def spent(parley_for_module: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spent]:
    store = f"sqlite:///{tmp_path_factory.mktemp('around')}/parley.db"
    calls = f"127.0.0.1:{free_port()}"
    with peer(lambda seen: Told([json.dumps(ANSWER).encode()])) as provider:
        paths = {name: f"/{name}" for name in (*OPERATIONS, COUNT)}
        config = {
            "store": store,
            "grpc": calls,
            "auth": {"admin_key": "root", "required": True},
            "providers": {"all": {"type": "openai", "base_url": provider.url, "api_key": "sk", "paths": paths}},
            "models": [{"model": "any", "targets": ["all/m"], "share": True}],
            "node": {"id": "here", "project": "p"},
        }
        gateway = parley_for_module(config)
        with httpx2.Client(base_url=gateway.url) as http:
            asked = {"name": "spent", "rpm": 1}
            key = http.post("/admin/api/keys", json=asked, headers={"x-api-key": "root"}).json()["key"]
            here = Spent(gateway, provider, calls, key, http)
            eventually(lambda: here.post("/v1/chat/completions").status_code != 401, 30, "the key is known")
            assert here.asked == 1
            yield here
            assert key not in "\n".join(gateway.stderr_lines())


def sample(path: str) -> tuple[bytes, dict[str, str]]:
    """The body and header of a request that gets as far as the limits."""
    inlet = inlet_at(path.encode())
    if inlet.form:
        return FORM, {"content-type": "multipart/form-data; boundary=b"}
    body: dict[str, Any] = {} if inlet.placed else {"model": "any"}
    if inlet.dialect in ("caila", "node"):
        # What is asked for stands beside, or in an envelope.
        body |= MORE
    if inlet.dialect == "dapr":
        body["inputs"] = INPUTS[path.split("/")[1]]
    elif inlet.demanded == "messages":
        body |= {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
    elif inlet.demanded:
        body[inlet.demanded] = next(value for first, value in KINDS.items() if first[0] in inlet.first)
    if path == CAILA[CONFIG]:
        body = {"data": body}
    elif path in (CAILA[TEXTS], CAILA[PREDICT_STREAM]):
        body = {"data": json.dumps(body)}
    return json.dumps(body).encode(), {"content-type": "application/json"}


@pytest.mark.parametrize("path", PATHS)
def test_every_path_answers_429_in_its_dialect(spent: Spent, path: str) -> None:
    before = spent.asked
    told = spent.post(path)
    assert told.status_code == 429, told.text
    said = told.json()[0] if path.endswith(":streamGenerateContent") else told.json()
    assert CODES[inlet_at(path.encode()).dialect](said), told.text
    assert int(told.headers["retry-after"]) >= 1
    if path not in DAPR[-1:]:
        # There each input is a request of its own.
        assert told.headers["x-ratelimit-remaining-requests"] == "0"
    assert spent.asked == before


def test_every_dialect_and_every_operation_is_among_them() -> None:
    inlets = [inlet_at(path.encode()) for path in PATHS if placed_row(path.encode(), b"") or path.encode() in INLETS]
    assert len(inlets) == len(PATHS)
    assert {inlet.dialect for inlet in inlets} == set(DIALECTS) == set(CODES)
    assert {inlet.operation for inlet in inlets} == {*OPERATIONS, COUNT}


@pytest.mark.parametrize("more", [{"stream": True}, {"n": 3}, {"stream": True, "n": 2}])
def test_neither_streams_nor_several_answers_lead_around_it(spent: Spent, more: dict[str, Any]) -> None:
    before = spent.asked
    body = {"model": "any", "messages": [{"role": "user", "content": "hi"}], **more}
    told = spent.post("/v1/chat/completions", body)
    assert (told.status_code, told.headers["content-type"]) == (429, "application/json")
    assert spent.asked == before


def test_a_background_response_is_not_made(spent: Spent) -> None:
    before = spent.asked
    told = spent.post("/v1/responses", {"model": "any", "input": "hi", "background": True})
    assert (told.status_code, told.json()["error"]["code"]) == (429, "rate_limited")
    assert spent.asked == before


async def routed(folder: Any) -> list[tuple[str, str]]:
    """Every other method and path, names filled in."""
    loop = asyncio.get_running_loop()
    store = Store(f"sqlite:///{folder}/parley.db", loop)
    house = House(Stage().gateway, loop, store)
    house.books, house.reload = SimpleNamespace(problems=list), SimpleNamespace()  # type: ignore[assignment]
    routes = application(house).routes
    await store.close()
    assert all(isinstance(route, Route) for route in routes)
    found = [(method, re.sub(r"\{[^}]*\}", "any", route.path)) for route in routes for method in route.methods or ()]
    return sorted(set(found))


async def test_no_other_route_asks_a_provider(spent: Spent, tmp_path: Any) -> None:
    before = spent.asked
    places = await routed(tmp_path)
    assert len(places) > 100
    body = {
        "model": "any",
        "name": "any",
        "messages": [{"role": "user", "content": "hi"}],
        "input": "hi",
        "prompt": "hi",
    }
    for method, path in places:
        for key in (spent.key, "root"):
            told = spent.http.request(method, path, json=body, headers={"x-api-key": key})
            assert told.status_code != 500, (method, path, told.text)
    assert spent.asked == before


def handlers() -> set[str]:
    """Every call that some class of the gRPC server answers."""
    found: set[str] = set()
    for module in pkgutil.iter_modules(rpc.__path__):
        for _, one in inspect.getmembers(importlib.import_module(f"{rpc.__name__}.{module.name}"), inspect.isclass):
            if one.__module__.startswith(rpc.__name__) and hasattr(one, "handler"):
                found |= set(one(SimpleNamespace()).handler()._method_handlers)
    return found


def test_every_call_is_named_here() -> None:
    assert handlers() == set(CALLS)


@pytest.mark.parametrize("call", sorted(CALLS))
def test_calls_end_with_resource_exhausted(spent: Spent, call: str) -> None:
    before, request = spent.asked, CALLS[call]
    with grpc.insecure_channel(spent.calls) as channel:
        if request is None:
            assert asked(channel, call, b"", spent.key)
        elif call.startswith(GATE):
            (told,) = asked(channel, call, request, spent.key)
            error = CLASSES["ClientResponseProto"].FromString(told).error
            assert (error.code, "limit" in error.message) == ("mlp.gate.pps_limit_exceeded", True)
        else:
            with pytest.raises(grpc.RpcError) as refused:
                asked(channel, call, request, spent.key)
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, refused.value
            assert "limit" in refused.value.details()
    assert spent.asked == before


def asked(channel: Any, call: str, request: bytes, key: str) -> list[bytes]:
    """All that is answered."""
    name = "mlp-api-key" if call.startswith(GATE) else "dapr-api-token"
    options: Any = {"metadata": ((name, key),), "timeout": 10}
    if call in ASKING:
        return list(channel.stream_stream(call)(iter([request]), **options))
    if call in ANSWERING:
        return list(channel.unary_stream(call)(request, **options))
    return [channel.unary_unary(call)(request, **options)]
