"""``Resiliency`` documents hold for real calls: the time that is over, the tries, the breaker that opens."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from dapr.proto.runtime.v1 import ai_pb2, dapr_pb2_grpc

from fixtures.parley import Gateway, Start
from fixtures.peer import Peer, Seen, Told, peer
from real.dapr_parts import component, serve, user
from real.test_dapr_http import TWO, ask
from real.test_dapr_http import user as said
from real.test_dapr_sdk import answer as usual

POLICIES = {
    "apiVersion": "dapr.io/v1alpha1",
    "kind": "Resiliency",
    "metadata": {"name": "policies"},
    "spec": {
        "policies": {
            "timeouts": {"short": "1s"},
            "retries": {
                "none": {"policy": "constant", "maxRetries": 0},
                "some": {"policy": "constant", "duration": "10ms", "maxRetries": 2},
            },
            "circuitBreakers": {"breaker": {"timeout": "60s", "trip": "consecutiveFailures > 1"}},
        },
        "targets": {
            "components": {
                "hasty": {"outbound": {"timeout": "short", "retry": "none"}},
                "stubborn": {"outbound": {"retry": "some"}},
                "once": {"outbound": {"retry": "none"}},
                "careful": {"outbound": {"retry": "none", "circuitBreaker": "breaker"}},
            }
        },
    },
}
FREE = threading.Event()


def answer(seen: Seen) -> Told:
    """Fails twice where it is asked to, answers nothing where it is to wait."""
    word = seen.body["messages"][-1]["content"]
    if word == "never":
        FREE.wait(60)
    if word == "third" and ASKED.pop() > 1:
        return usual(seen._replace(body=seen.body | {"messages": [{"content": "fail"}]}))
    return usual(seen)


ASKED = [1, 2, 3]


@pytest.fixture(scope="module")
def provider() -> Iterator[Peer]:
    with peer(answer) as found:
        yield found
        FREE.set()


@pytest.fixture(scope="module")
def served(parley_for_module: Start, provider: Peer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Gateway, int]:
    names = POLICIES["spec"]["targets"]["components"]  # type: ignore[index]
    made = [component(name, "conversation.openai", key="k", endpoint=f"{provider.url}/v1") for name in names]
    return serve(parley_for_module, tmp_path_factory.mktemp("resilient"), [*made, POLICIES])


def message(value: Any) -> tuple[str, str]:
    return value["errorCode"], value["message"]


def test_a_time_that_is_over_has_the_runtime_s_words(served: tuple[Gateway, int]) -> None:
    words = "failed conversing with component hasty: context deadline exceeded"
    found = ask(served[0].port, "POST", TWO.format("hasty"), said("never"))
    assert (found.status, *message(found.value)) == (500, "ERR_CONVERSATION_INVOKE", words)
    with grpc.insecure_channel(f"127.0.0.1:{served[1]}") as channel:
        stub = dapr_pb2_grpc.DaprStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ConverseAlpha2(ai_pb2.ConversationRequestAlpha2(name="hasty", inputs=[user("never")]), timeout=60)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.INTERNAL, words)


def test_tries_are_as_many_as_it_says(served: tuple[Gateway, int], provider: Peer) -> None:
    port = served[0].port
    ASKED[:] = [1, 2, 3]
    count = len(provider.seen)
    found = ask(port, "POST", TWO.format("stubborn"), said("third"))
    assert (found.status, len(provider.seen) - count) == (200, 3)
    for name, tries in (("once", 1), ("stubborn", 3)):
        count = len(provider.seen)
        found = ask(port, "POST", TWO.format(name), said("fail"))
        assert (found.status, message(found.value)[0]) == (500, "ERR_CONVERSATION_INVOKE")
        assert len(provider.seen) - count == tries


def test_an_open_breaker_asks_nobody(served: tuple[Gateway, int], provider: Peer) -> None:
    port, count = served[0].port, len(provider.seen)
    found = [ask(port, "POST", TWO.format("careful"), said("fail")) for _ in range(4)]
    assert len(provider.seen) - count == 2
    assert [one.status for one in found] == [500] * 4
    for one in found:
        code, words = message(json.loads(one.body))
        assert code == "ERR_CONVERSATION_INVOKE"
        assert words.startswith("failed conversing with component careful: ")
