"""Dapr's conversation service asked by its own stubs: what the SDK has no words for, and how calls end."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from dapr.proto.runtime.v1 import ai_pb2, dapr_pb2_grpc

from fixtures.children import eventually
from fixtures.parley import Gateway
from fixtures.peer import Peer
from real.dapr_parts import user
from real.test_dapr_sdk import HELD, provider, served

__all__ = ["provider", "served"]


@pytest.fixture
def stub(served: tuple[Gateway, int]) -> Iterator[dapr_pb2_grpc.DaprStub]:
    with grpc.insecure_channel(f"127.0.0.1:{served[1]}") as channel:
        yield dapr_pb2_grpc.DaprStub(channel)


def test_most_tokens(stub: Any) -> None:
    request = ai_pb2.ConversationRequestAlpha2(name="echo", inputs=[user("one two three four five")], max_tokens=2)
    [output] = stub.ConverseAlpha2(request).outputs
    assert (output.choices[0].message.content, output.choices[0].finish_reason) == ("one two", "length")
    usage = output.usage
    assert (usage.completion_tokens, usage.prompt_tokens, usage.total_tokens) == (2, 5, 7)
    for wrong in (0, -1, 2**31):
        request = ai_pb2.ConversationRequestAlpha2(name="echo", inputs=[user("x")], max_tokens=wrong)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ConverseAlpha2(request)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_what_is_not_there_is_not_set(stub: Any) -> None:
    reply = stub.ConverseAlpha2(
        ai_pb2.ConversationRequestAlpha2(name="echo", inputs=[ai_pb2.ConversationInputAlpha2()])
    )
    assert not reply.HasField("context_id")
    [output] = reply.outputs
    assert output.HasField("usage")
    assert not output.HasField("model")
    assert not output.usage.HasField("completion_tokens_details")
    [choice] = output.choices
    assert (choice.finish_reason, choice.message.content, len(choice.message.tool_calls)) == ("stop", "", 0)


def test_messages_without_a_kind_and_calls_without_a_function(stub: Any) -> None:
    nothing = ai_pb2.ConversationInputAlpha2(messages=[ai_pb2.ConversationMessage()])
    call = ai_pb2.ConversationMessageOfAssistant(tool_calls=[ai_pb2.ConversationToolCalls(id="x")])
    empty = ai_pb2.ConversationInputAlpha2(messages=[ai_pb2.ConversationMessage(of_assistant=call)])
    for one, words in ((nothing, "message type cannot be nil"), (empty, "tool types cannot be nil")):
        with pytest.raises(grpc.RpcError) as caught:
            stub.ConverseAlpha2(ai_pb2.ConversationRequestAlpha2(name="echo", inputs=[one]))
        assert caught.value.details() == f"failed conversing with component echo: invalid params: {words}"
        assert "grpc-status-details-bin" not in dict(caught.value.trailing_metadata())


def test_a_temperature_that_json_does_not_have(stub: Any) -> None:
    for temperature in (float("nan"), float("-inf"), 0.0):
        request = ai_pb2.ConversationRequestAlpha2(name="echo", inputs=[user("x")], temperature=temperature)
        assert stub.ConverseAlpha2(request).outputs[0].choices[0].message.content == "x"
    request = ai_pb2.ConversationRequestAlpha2(name="echo", inputs=[user("x")], temperature=float("inf"))
    with pytest.raises(grpc.RpcError) as caught:
        stub.ConverseAlpha2(request)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_an_empty_name(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.ConverseAlpha2(ai_pb2.ConversationRequestAlpha2(inputs=[user("x")]))
    assert (caught.value.code().name, caught.value.details()) == (
        "INVALID_ARGUMENT", "failed finding conversation component ",
    )  # fmt: skip


def test_large_messages(stub: Any) -> None:
    text = "a" * (4 * 1024 * 1024 - 1000)
    with pytest.raises(grpc.RpcError) as caught:
        stub.ConverseAlpha1(ai_pb2.ConversationRequest(name="echo", inputs=[{"content": text + "b" * 1000}]))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    reply = stub.ConverseAlpha1(ai_pb2.ConversationRequest(name="echo", inputs=[{"content": text}]))
    assert len(reply.outputs[0].result) == len(text)


def test_a_deadline_reaches_the_provider_and_so_does_a_leave(
    served: tuple[Gateway, int], stub: Any, provider: Peer
) -> None:
    request = ai_pb2.ConversationRequestAlpha2(name="gpt", inputs=[user("held")])
    HELD.clear()
    with pytest.raises(grpc.RpcError) as caught:
        stub.ConverseAlpha2(request, timeout=1.5)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    count = len(provider.seen)
    call = stub.ConverseAlpha2.future(request)
    eventually(lambda: len(provider.seen) > count, 30, "it is asked")
    call.cancel()

    def left() -> list[Any]:
        return [one for one in served[0].log_events() if one.get("outcome") == "client_abort"]

    eventually(lambda: len(left()) >= 2, 30, "both are told of")
    HELD.set()
    assert len(left()) == 2


def test_clients_may_ping_often(served: tuple[Gateway, int]) -> None:
    options = [
        ("grpc.keepalive_time_ms", 200),
        ("grpc.keepalive_timeout_ms", 2000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    with grpc.insecure_channel(f"127.0.0.1:{served[1]}", options=options) as channel:
        stub = dapr_pb2_grpc.DaprStub(channel)
        states: list[Any] = []
        channel.subscribe(states.append)
        for _ in range(4):
            reply = stub.ConverseAlpha2(ai_pb2.ConversationRequestAlpha2(name="gpt", inputs=[user("slow")]))
            assert reply.outputs[0].choices[0].message.content == "slow"
        assert grpc.ChannelConnectivity.TRANSIENT_FAILURE not in states


def test_what_else_the_runtime_has_is_not_implemented(stub: Any) -> None:
    from google.protobuf.empty_pb2 import Empty

    with pytest.raises(grpc.RpcError) as caught:
        stub.Shutdown(Empty())
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_caller_that_reads_nothing_does_not_hold_up_others(served: tuple[Gateway, int], provider: Peer) -> None:
    gateway, port = served
    HELD.clear()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = dapr_pb2_grpc.DaprStub(channel)
        calls = [
            stub.ConverseAlpha2.future(ai_pb2.ConversationRequestAlpha2(name="gpt", inputs=[user("held")]))
            for _ in range(8)
        ]
        for _ in range(20):
            assert gateway.ready()
        assert not any(call.done() for call in calls)
        HELD.set()
        for call in calls:
            assert call.result().outputs[0].choices[0].message.content == "held"
