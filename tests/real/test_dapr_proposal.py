"""The form of Dapr's proposal, with its own component file: an answer for each input, conversations that go on, streams
over HTTP and gRPC."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2

from fixtures.children import eventually
from fixtures.parley import Gateway, Start
from fixtures.peer import Peer
from real.dapr_parts import component, serve
from real.test_dapr_http import ONE, OWN, TURNS, TWO, ask, converse, port, providers, served, user

__all__ = ["port", "providers", "served"]


def results(value: Any) -> list[str]:
    return [output["result"] for output in value["outputs"]]


def test_an_answer_for_each_input_that_has_seen_those_before(port: int, providers: list[Peer]) -> None:
    seen = [len(one.seen) for one in providers]
    asked = {"inputs": ["what is Dapr", "Why use Dapr"], "parameters": {"temperature": 0.5, "max_tokens": 9}}
    found = ask(port, "POST", OWN.format("chatgpt4o"), asked).value
    assert results(found) == ["1 what is Dapr", "3 Why use Dapr"]
    assert found["outputs"][0]["parameters"]["finish_reason"] == "stop"
    assert found["outputs"][0]["parameters"]["model"] == "m-1"
    assert found["outputs"][1]["parameters"]["usage"]["total_tokens"] == 5
    # Two endpoints, in strict rotation.
    assert [len(one.seen) - before for one, before in zip(providers, seen, strict=True)] == [1, 1]
    for one in providers:
        assert one.last.headers["authorization"] == "Bearer bfnskdlgdhklhk53adfgsfnsgmtyqdghbid34891"
        assert (one.last.body["model"], one.last.body["temperature"]) == ("gpt-4o", 0.5)
    context = found["conversationContext"]
    again = ask(port, "POST", ONE.format("chatgpt4o"), {"conversationContext": context, "inputs": ["more"]}).value
    assert (again["conversationContext"], results(again)) == (context, ["5 more"])
    # It is continued by the shipped forms as well, and by nobody else's component.
    one = ask(port, "POST", ONE.format("chatgpt4o"), {"contextID": context, "inputs": [{"content": "by one"}]}).value
    assert one == {"contextID": context, "outputs": [{"result": "7 by one"}]}
    two = ask(port, "POST", TWO.format("chatgpt4o"), {"contextId": context, **user("by two")}).value
    assert two["outputs"][0]["choices"][0]["message"]["content"] == "9 by two"
    last = ask(port, "POST", OWN.format("chatgpt4o"), {"conversationContext": context, "inputs": ["end"]}).value
    assert results(last) == ["11 end"]
    assert ask(port, "POST", OWN.format("echo"), {"conversationContext": context, "inputs": ["x"]}).status == 404
    plain = ask(port, "POST", TWO.format("echo"), {"contextId": context, **user("x")}).value
    assert (plain["contextId"], plain["outputs"][0]["choices"][0]["message"]["content"]) == (context, "x")


def test_a_request_that_failed_is_not_remembered(port: int) -> None:
    context = ask(port, "POST", OWN.format("chatgpt4o"), {"inputs": ["a"]}).value["conversationContext"]
    failed = {"conversationContext": context, "inputs": ["b", "fail"]}
    assert ask(port, "POST", OWN.format("chatgpt4o"), failed).status == 500
    found = ask(port, "POST", OWN.format("chatgpt4o"), {"conversationContext": context, "inputs": ["c"]}).value
    assert results(found) == ["3 c"]


def events_of(body: bytes) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in body.decode().splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def joined(pieces: list[Any], count: int) -> list[str]:
    texts = [""] * count
    for piece in pieces:
        for place, output in enumerate(piece["outputs"]):
            texts[place] += output.get("result", "")
    return texts


def test_answers_as_events(port: int) -> None:
    asked = {"inputs": ["one two three", "four"]}
    found = ask(port, "POST", OWN.format("chatgpt4o"), asked, accept="text/event-stream")
    assert found.kind == "text/event-stream"
    pieces = events_of(found.body)
    assert len({piece["conversationContext"] for piece in pieces}) == 1
    assert joined(pieces, 2) == ["1 one two three ", "3 four "]
    whole = [piece["outputs"][-1]["parameters"] for piece in pieces if "parameters" in piece["outputs"][-1]]
    assert [one["finish_reason"] for one in whole] == ["stop", "stop"]
    context = pieces[0]["conversationContext"]
    again = ask(port, "POST", OWN.format("chatgpt4o"), {"conversationContext": context, "inputs": ["x"]}).value
    assert results(again) == ["5 x"]


def test_a_stream_that_broke_says_so(port: int) -> None:
    found = ask(port, "POST", OWN.format("chatgpt4o"), {"inputs": ["a", "fail"]}, accept="text/event-stream")
    *before, last = [part for part in found.body.decode().split("\n\n") if part]
    assert before
    assert last.startswith('event: error\ndata: {"errorCode":"ERR_CONVERSATION_INVOKE"')
    assert b"[DONE]" not in found.body


def test_the_same_over_grpc(served: tuple[Gateway, int]) -> None:
    parameters = struct_pb2.Struct()
    parameters.update({"max_tokens": 5, "temperature": 0.5})
    with grpc.insecure_channel(f"127.0.0.1:{served[1]}") as channel:
        first = TURNS.request(name="chatgpt4o", inputs=["one two", "three"])
        first.parameters.add().Pack(parameters)
        got = list(converse(channel, [first]))
        texts = ["", ""]
        for piece in got:
            for place, output in enumerate(piece.outputs):
                texts[place] += output.result
        assert texts == ["1 one two ", "3 three "]
        told = [output.parameters[0] for piece in got for output in piece.outputs if output.parameters]
        assert len(told) == 2
        value = struct_pb2.Struct.FromString(told[0].value)
        assert (value["model"], value["finish_reason"]) == ("m-1", "stop")
        context = got[0].conversationContext
        more = [TURNS.request(name="chatgpt4o", conversationContext=context, inputs=[word]) for word in ("a", "b")]
        pieces = list(converse(channel, more))
        assert "".join(output.result for piece in pieces for output in piece.outputs) == "5 a 7 b "
        wrong = TURNS.request(name="chatgpt4o", inputs=["x"])
        wrong.parameters.add(type_url="type.googleapis.com/google.protobuf.StringValue", value=b"")
        corrupt = TURNS.request(name="chatgpt4o", inputs=["x"])
        corrupt.parameters.add(type_url="type.googleapis.com/google.protobuf.Struct", value=b"\xff\xff")
        for request, code in (
            (TURNS.request(name="nobody", inputs=["x"]), "INVALID_ARGUMENT"),
            (TURNS.request(inputs=["x"]), "INVALID_ARGUMENT"),
            (TURNS.request(name="chatgpt4o"), "INVALID_ARGUMENT"),
            (wrong, "INVALID_ARGUMENT"),
            (corrupt, "INVALID_ARGUMENT"),
            (TURNS.request(name="chatgpt4o", inputs=["x"], conversationContext="nobody's"), "NOT_FOUND"),
            (TURNS.request(name="chatgpt4o", inputs=["fail"]), "INTERNAL"),
            (TURNS.request(name="chatgpt4o", inputs=["ok", "fail"]), "INTERNAL"),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                list(converse(channel, [request]))
            assert caught.value.code().name == code
            assert "chatgpt4o" in caught.value.details() or request.name != "chatgpt4o"


def test_messages_are_answered_as_they_come(served: tuple[Gateway, int]) -> None:
    said = threading.Event()

    def requests() -> Iterator[Any]:
        yield TURNS.request(name="chatgpt4o", inputs=["one"])
        assert said.wait(30)
        yield TURNS.request(name="chatgpt4o", inputs=["two"])

    with grpc.insecure_channel(f"127.0.0.1:{served[1]}") as channel:
        texts = []
        for piece in converse(channel, requests()):
            texts += [output.result for output in piece.outputs if output.result]
            if any(output.parameters for output in piece.outputs):
                said.set()
        assert "".join(texts) == "1 one 1 two "


def test_who_cancels_a_stream_leaves(served: tuple[Gateway, int], providers: list[Peer]) -> None:
    gateway, port = served
    count = sum(len(one.seen) for one in providers)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = converse(channel, [TURNS.request(name="chatgpt4o", inputs=["slow"])])
        eventually(lambda: sum(len(one.seen) for one in providers) > count, 30, "it is asked")
        call.cancel()
    left = [one for one in gateway.log_events() if one.get("outcome") == "client_abort"]
    eventually(
        lambda: [one for one in gateway.log_events() if one.get("outcome") == "client_abort"][len(left) :] or left,
        30,
        "it has left",
    )


def test_two_at_once_go_one_after_the_other(port: int) -> None:
    context = ask(port, "POST", OWN.format("chatgpt4o"), {"inputs": ["start"]}).value["conversationContext"]
    found: dict[str, str] = {}

    def go(word: str, path: str, body: Any) -> None:
        value = ask(port, "POST", path.format("chatgpt4o"), body).value
        output = value["outputs"][0]
        found[word] = output["result"] if "result" in output else output["choices"][0]["message"]["content"]

    bodies = {
        "a": (OWN, {"conversationContext": context, "inputs": ["slow"]}),
        "b": (OWN, {"conversationContext": context, "inputs": ["b"]}),
        "c": (TWO, {"contextId": context, **user("c")}),
    }
    threads = []
    for word, (path, body) in bodies.items():
        threads.append(threading.Thread(target=go, args=(word, path, body)))
        threads[-1].start()
        time.sleep(0.15)
    for thread in threads:
        thread.join(30)
    assert found == {"a": "slow", "b": "5 b", "c": "7 c"}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_gateways_that_share_a_store_continue_each_others_conversations(
    parley_server: Start, providers: list[Peer], tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    documents = [component("gpt", "conversation.openai", key="k", model="m", endpoint=f"{providers[0].url}/v1")]
    place = f"sqlite:///{tmp_path}/shared.db"
    if kind == "postgres":
        server = request.getfixturevalue("postgres")
        place = server.url(server.fresh())
    args = ["--store", place]
    (one, _), (other, rpc) = (serve(parley_server, tmp_path, documents, args=args) for _ in range(2))
    context = ask(one.port, "POST", OWN.format("gpt"), {"inputs": ["start"]}).value["conversationContext"]
    found: list[int] = []

    def go(gateway: Gateway) -> None:
        for _ in range(5):
            asked = {"conversationContext": context, "inputs": ["again"]}
            found.append(int(results(ask(gateway.port, "POST", OWN.format("gpt"), asked).value)[0].split()[0]))

    threads = [threading.Thread(target=go, args=(gateway,)) for gateway in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(found) == list(range(3, 23, 2))
    one.stop()
    with grpc.insecure_channel(f"127.0.0.1:{rpc}") as channel:
        pieces = list(converse(channel, [TURNS.request(name="gpt", conversationContext=context, inputs=["end"])]))
        assert "".join(output.result for piece in pieces for output in piece.outputs) == "23 end "
        # The shipped form, on the gateway that is left, goes on where the other one was.
        form = {"contextId": context, **user("shipped")}
        told = ask(other.port, "POST", TWO.format("gpt"), form).value
        assert told["outputs"][0]["choices"][0]["message"]["content"] == "25 shipped"
