"""Caila's service Gate through a running gateway: the same examples over gRPC, whole, streamed and in pieces."""

import json
from collections.abc import Iterator

import grpc
import pytest

from fixtures.children import eventually, free_port
from fixtures.parley import Start
from parley.serve.rpc.gate_messages import CLASSES
from real.caila_parts import CLAUDE, CONFIG, LEFT, PRINTED, REFUSED, REQUEST, SPECS, Place, Rpc, asked, chunks, placed


@pytest.fixture(scope="module")
def place(parley_for_module: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with placed(parley_for_module, tmp_path_factory.mktemp("stores"), rpc=f"127.0.0.1:{free_port()}") as found:
        yield found


@pytest.fixture(scope="module")
def rpc(place: Place) -> Iterator[Rpc]:
    with grpc.insecure_channel(place.rpc) as channel:
        grpc.channel_ready_future(channel).result(30)
        yield Rpc(channel)


def test_predict_over_grpc(place: Place, rpc: Rpc) -> None:
    told = rpc.process(asked(config=CONFIG, kind=f"{SPECS}ChatCompletionRequest", headers={"Z-requestId": "z-1"}))
    assert told.WhichOneof("body") == "predict"
    assert told.predict.data.json == PRINTED.decode()
    assert told.predict.data.dataType == f"{SPECS}ChatCompletionResult"
    assert told.headers["Z-requestId"] == "z-1"
    assert int(told.headers["Z-Server-Time"]) >= 0
    assert place.provider.last.body == {**REQUEST, "max_tokens": 2000, "temperature": 1, "model": "m"}


def test_the_numbers_of_the_fields(rpc: Rpc) -> None:
    def number(value: int) -> bytes:
        return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + number(value >> 7)

    def field(place: int, value: bytes) -> bytes:
        return number(place << 3 | 2) + number(len(value)) + value

    payload = field(101, json.dumps(REQUEST).encode())
    told = rpc.raw(field(1, b"just-ai") + field(2, b"openai-proxy") + field(101, field(101, payload)))
    assert field(101, PRINTED) in told
    assert told.startswith(bytes([0xAA, 0x06]))


def test_a_stream_over_grpc(rpc: Rpc) -> None:
    told = list(rpc.streamed(asked(config=CONFIG)))
    assert [json.loads(one.partialPredict.data.json) for one in told] == chunks()
    marks = [(one.partialPredict.start, one.partialPredict.finish) for one in told]
    assert marks == [(True, False), *[(False, False)] * (len(told) - 2), (False, True)]
    assert {one.partialPredict.data.dataType for one in told} == {f"{SPECS}ChatCompletionResult"}
    (whole,) = rpc.streamed(asked(config={"stream": False}))
    assert whole.predict.data.json == PRINTED.decode()


@pytest.mark.parametrize("cut", [True, False])
def test_requests_in_pieces(place: Place, rpc: Rpc, cut: bool) -> None:
    text = json.dumps(REQUEST, ensure_ascii=False)
    more = {"messages": [{"role": "assistant", "content": "Да"}]}
    texts = [text[:9], text[9:20], text[20:]] if cut else [text, json.dumps(more, ensure_ascii=False)]
    pieces = []
    for number, part in enumerate(texts):
        message = CLASSES["ClientRequestProto"](account="just-ai", model="openai-proxy")
        message.partialPredict.data.json = part
        message.partialPredict.start, message.partialPredict.finish = number == 0, part is texts[-1]
        if not number:
            message.partialPredict.config.json = json.dumps(CONFIG)
        pieces.append(message)
    told = list(rpc.both(iter([*pieces, asked()])))
    assert [json.loads(one.partialPredict.data.json) for one in told[:-1]] == chunks()
    assert told[-1].predict.data.json == PRINTED.decode()
    turns = [*REQUEST["messages"], *(() if cut else more["messages"])]
    assert place.provider.seen[-2].body["messages"] == turns
    (broken,) = rpc.both(iter(pieces[:-1]))
    assert broken.error.code == "mlp-action.common.bad-request"


def test_a_caller_that_leaves(place: Place, rpc: Rpc) -> None:
    data = {**REQUEST, "stream": True, "slow": True}
    call = rpc.streamed(asked(data, headers={"x-request-id": "leaver-1"}))
    eventually(lambda: any(seen.body.get("slow") for seen in place.provider.seen), 30, "the provider is asked")
    call.cancel()
    assert place.gateway.ended("leaver-1")["outcome"] == "client_abort"
    LEFT.set()


def test_errors_over_grpc_are_answers(rpc: Rpc) -> None:
    told = rpc.process(asked({"messages": 1}))
    assert (told.error.code, told.error.status, told.error.args["field"]) == (
        "mlp-action.common.bad-request", 400, "data.messages",
    )  # fmt: skip
    told = rpc.process(asked("{"))
    assert (told.error.status, told.error.args["field"]) == (400, "data")
    assert rpc.process(asked(service="nothing")).error.code == "mlp.model.invalid-id"
    (told,) = rpc.streamed(asked(service="nothing", headers={"Z-requestId": "z"}))
    assert (told.error.code, told.headers["Z-requestId"]) == ("mlp.model.invalid-id", "z")
    empty = rpc.process(CLASSES["ClientRequestProto"](account="just-ai", model="openai-proxy"))
    assert empty.error.code == "mlp-action.common.bad-request"
    method = CLASSES["ClientRequestProto"](account="just-ai", model="openai-proxy")
    method.ext.methodName = "x"
    assert rpc.process(method).error.code == "mlp-action.common.method-not-supported"
    raw = asked()
    raw.predict.data.protobuf = b"x"
    assert rpc.process(raw).error.args["field"] == "data"


def test_what_passes_over_grpc_keeps_its_type(place: Place, rpc: Rpc) -> None:
    kind = f"{SPECS}ChatCompletionDirectProxy"
    told = rpc.process(asked('{"messages" :[ ]}', kind=kind))
    assert place.provider.last.text == '{"messages" :[ ]}'
    assert (told.predict.data.json, told.predict.data.dataType) == (PRINTED.decode(), kind)
    told = rpc.process(asked(CLAUDE, kind=kind, service="claude"))
    assert place.provider.last.text == CLAUDE
    assert (told.error.status, told.error.message) == (400, REFUSED)
    told = list(rpc.streamed(asked('{"stream":true}', kind=kind)))
    assert [json.loads(one.partialPredict.data.json) for one in told] == chunks()
    assert {one.partialPredict.data.dataType for one in told} == {kind}


def test_health_and_what_is_not_served(rpc: Rpc) -> None:
    beat = rpc.health(CLASSES["HeartBeatProto"](interval=5000))
    assert (beat.status, beat.interval) == ("Ok", 5000)
    with pytest.raises(grpc.RpcError) as raised:
        list(rpc.workers(iter([b""])))
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_keys_in_messages_and_metadata(parley_server: Start) -> None:
    address = f"127.0.0.1:{free_port()}"
    models = [{"model": "just-ai/openai-proxy", "targets": ["echo/echo"]}]
    parley_server({"auth": {"required": True, "admin_key": "the-key"}, "grpc": address, "models": models})
    with grpc.insecure_channel(address) as channel:
        client, message = Rpc(channel), asked()
        assert client.process(message).error.code == "unauthorized"
        message.authToken = "the-key"
        assert json.loads(client.process(message).predict.data.json)["choices"][0]["message"]["content"] == "Привет"
        message.authToken = ""
        told = client.process(message, metadata=[("mlp-api-key", "the-key")])
        assert told.WhichOneof("body") == "predict"


def test_what_is_too_large_is_refused_over_grpc_as_over_http(parley_server: Start) -> None:
    address = f"127.0.0.1:{free_port()}"
    service = {"model": "just-ai/openai-proxy", "targets": ["echo/echo"]}
    parley_server({"grpc": address, "limits": {"body": "20KiB"}, "models": [service]})
    large = {"messages": [{"role": "user", "content": "x" * 20_480}]}
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(30)
        rpc = Rpc(channel)
        half = CLASSES["ClientRequestProto"](account="just-ai", model="openai-proxy")
        half.partialPredict.data.json = "x" * 15_000
        answers = [rpc.process(asked(large)), *rpc.streamed(asked(large)), *rpc.both(iter([half, half]))]
        said = ("body_too_large", "the request body is larger than 20480 bytes", 400)
        assert [(one.error.code, one.error.message, one.error.status) for one in answers] == [said] * 3
        assert rpc.process(asked()).WhichOneof("body") == "predict"
        converse = channel.unary_unary("/dapr.proto.runtime.v1.Dapr/ConverseAlpha1")
        with pytest.raises(grpc.RpcError) as raised:
            converse(bytes(20_481))
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert raised.value.details() == "Received message larger than max (20481 vs. 20480)"
