"""Dapr's conversation API over plain HTTP, as clients without an SDK ask: forms, errors, paths, the token; and the form
of the proposal, whole and as events, over HTTP and gRPC, with the proposal's own component file."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest

from fixtures.parley import Gateway, Start
from fixtures.peer import Peer, Seen, Told, peer
from parley.serve.rpc.messages import Turns
from real.dapr_parts import component, serve
from real.test_dapr_sdk import answer as usual

TURNS = Turns()
# The proposal's file, but for where its endpoints are.
PROPOSED = {
    "apiVersion": "dapr.io/v1alpha1",
    "kind": "Component",
    "metadata": {"name": "chatgpt4o"},
    "spec": {
        "type": "conversation.chatgpt",
        "version": "v1",
        "metadata": [
            {"name": "key", "value": "bfnskdlgdhklhk53adfgsfnsgmtyqdghbid34891"},
            {"name": "model", "value": "gpt-4o"},
            {"name": "loadBalancingPolicy", "value": "ROUNDROBIN"},
        ],
    },
}


class Reply(NamedTuple):
    status: int
    kind: str
    body: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.body)


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        if data is not None:
            connection.putheader("content-length", str(len(data)))
        connection.endheaders(data)
        found = connection.getresponse()
        return Reply(found.status, found.getheader("content-type") or "", found.read())
    finally:
        connection.close()


def converse(channel: Any, requests: Any, **more: Any) -> Any:
    method = channel.stream_stream(
        "/dapr.proto.runtime.v1.Dapr/Converse",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=TURNS.response.FromString,
    )
    return method(iter(requests), **more)


def answer(seen: Seen) -> Told:
    """Counts the turns that it was shown."""
    text = seen.body["messages"][-1]["content"]
    if text in ("fail", "slow"):
        return usual(seen)
    return usual(seen._replace(body=seen.body | {"messages": [{"content": f"{len(seen.body['messages'])} {text}"}]}))


@pytest.fixture(scope="module")
def providers() -> Iterator[list[Peer]]:
    with peer(answer) as one, peer(answer) as other:
        yield [one, other]


@pytest.fixture(scope="module")
def served(
    parley_for_module: Start, providers: list[Peer], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Gateway, int]:
    places = ",".join(f"{one.url}/v1" for one in providers)
    proposed = json.loads(json.dumps(PROPOSED))
    proposed["spec"]["metadata"].append({"name": "endpoints", "value": places})
    documents = [component("echo"), component("two words"), proposed]
    return serve(parley_for_module, tmp_path_factory.mktemp("http"), documents)


@pytest.fixture
def port(served: tuple[Gateway, int]) -> int:
    return served[0].port


def user(text: str) -> dict[str, Any]:
    return {"inputs": [{"messages": [{"ofUser": {"content": [{"text": text}]}}]}]}


ONE, TWO, OWN = (f"/{form}/conversation/{{}}/converse" for form in ("v1.0-alpha1", "v1.0-alpha2", "v1.0"))


def test_both_shipped_forms(port: int) -> None:
    asked = {"contextID": "c1", "inputs": [{"content": "one", "role": "user", "scrubPII": True}, {"content": "two"}]}
    found = ask(port, "POST", ONE.format("echo"), asked)
    assert (found.status, found.kind) == (200, "application/json")
    assert found.value == {"contextID": "c1", "outputs": [{"result": "one\ntwo"}]}
    found = ask(port, "POST", TWO.format("echo"), user("a b") | {"contextId": "c2"})
    assert found.value == {
        "contextId": "c2",
        "outputs": [
            {
                "choices": [{"finishReason": "stop", "message": {"content": "a b"}}],
                "usage": {"completionTokens": "2", "promptTokens": "2", "totalTokens": "4"},
            }
        ],
    }


@pytest.mark.parametrize(
    "path",
    [
        "/v1.0-alpha2/conversation/two%20words/converse", "/v1.0-alpha2/conversation/two+words/converse",
        "//v1.0-alpha2//conversation///two+words/converse//",
        "/v1.0-alpha2/conversation/two+words/converse/?metadata.k=v",
    ],
)  # fmt: skip
def test_paths_as_clients_write_them(port: int, path: str) -> None:
    found = ask(port, "POST", path, user("x"))
    assert found.status == 200
    assert found.value["outputs"][0]["choices"][0]["message"]["content"] == "x"


@pytest.mark.parametrize("path", ["/v1//chat/completions", "//v1/models", "/v1.0//../metadata", "/v1.00//metadata"])
def test_repeated_slashes_elsewhere_mean_nothing_to_anybody(port: int, path: str) -> None:
    assert ask(port, "POST", path, {}).status == 400


CONVERSING = "failed conversing with component echo: "
FAILING = "failed conversing with component chatgpt4o: "
PARMS, MISSING, GONE, INVOKE = (
    f"ERR_CONVERSATION_{word}" for word in ("INVALID_PARMS", "MISSING_INPUTS", "CONTEXT_NOT_FOUND", "INVOKE")
)
UNKNOWN, MALFORMED = "ERR_CONVERSATION_NOT_FOUND", "ERR_MALFORMED_REQUEST"
NOBODY, UNREAD = "failed finding conversation component nobody", "failed deserializing HTTP body: "
WARM = {"metadata": {"temperature": "warm"}, "inputs": [{"content": "x"}]}
OLD = {"inputs": ["x"], "conversationContext": "fb512b84-7a1a-4fb4-8bd2-ac7d2ec45984"}
ERRORS: list[tuple[str, Any, int, str, str]] = [
    (TWO.format("nobody"), user("x"), 400, UNKNOWN, NOBODY),
    (TWO.format("echo"), b"", 400, MISSING, f"{CONVERSING}missing inputs in request"),
    (ONE.format("echo"), WARM, 500, "ERROR", "cannot parse"),
    (TWO.format("echo"), {"inputs": [{"messages": [{}]}]}, 400, PARMS, f"{CONVERSING}invalid params: message type"),
    (
        TWO.format("echo"),
        user("x") | {"toolChoice": "required"},
        400,
        PARMS,
        f"{CONVERSING}invalid params: tool choice",
    ),
    (TWO.format("echo"), user("x") | {"maxTokens": "0"}, 400, PARMS, f"{CONVERSING}invalid params: "),
    (TWO.format("echo"), b"[", 400, MALFORMED, UNREAD),
    (TWO.format("echo"), b" " * (4 << 20) + b"{}", 400, "ERR_BODY_READ", "failed to read request body: "),
    (TWO.format("chatgpt4o"), user("fail"), 500, INVOKE, FAILING),
    (OWN.format("nobody"), {"inputs": ["x"]}, 400, UNKNOWN, NOBODY),
    (OWN.format("echo"), {"inputs": []}, 400, MISSING, f"{CONVERSING}missing inputs in request"),
    (OWN.format("echo"), {"inputs": [{"content": "x"}]}, 400, MALFORMED, f"{UNREAD}inputs[0]"),
    (OWN.format("echo"), {"inputs": ["x"], "parameters": {"messages": []}}, 400, PARMS, f"{CONVERSING}invalid params"),
    (OWN.format("echo"), OLD, 404, GONE, CONVERSING),
    (ONE.format("echo"), {"inputs": ["x"], "conversationContext": "nonsense"}, 404, GONE, CONVERSING),
    (OWN.format("chatgpt4o"), {"inputs": ["fail"]}, 500, INVOKE, FAILING),
]


@pytest.mark.parametrize(("path", "body", "status", "code", "words"), ERRORS)
def test_errors(port: int, path: str, body: Any, status: int, code: str, words: str) -> None:
    found = ask(port, "POST", path, body)
    assert (found.status, found.kind) == (status, "application/json")
    assert set(found.value) == {"errorCode", "message"}
    assert found.value["errorCode"] == code
    assert found.value["message"].startswith(words)


def test_a_body_beyond_all_limits_is_told_in_the_same_words(port: int) -> None:
    found = ask(port, "POST", TWO.format("echo"), None, content_length=str(1 << 30))
    assert (found.status, found.value["errorCode"]) == (400, "ERR_BODY_READ")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", TWO.format("echo")), ("PUT", ONE.format("echo")), ("GET", OWN.format("echo")),
        ("POST", "/v1.0/metadata"), ("POST", "/v1.0/invoke/app/method/x"),
        ("GET", "/v1.0/nothing"), ("POST", "/v1.0-alpha2/conversation/echo"), ("POST", "//v1.0//metadata/"),
        ("POST", "/v1.0-alpha2//conversation/a/b/converse"), ("POST", "/v1.0-alpha3/conversation/echo/converse"),
        ("POST", "/v1.0-alpha1/conversation//converse"), ("GET", "/v1.0-beta1/nothing"), ("GET", "/v1.0/"),
    ],
)  # fmt: skip
def test_all_else_is_taken_for_an_app(port: int, method: str, path: str) -> None:
    found = ask(port, method, path, b"")
    assert (found.status, found.value) == (
        404,
        {
            "errorCode": "ERR_DIRECT_INVOKE",
            "message": "failed getting app id either from the URL path or the header dapr-app-id",
        },
    )


def test_health_and_metadata(port: int) -> None:
    for path in ("/v1.0/healthz", "/v1.0/healthz/outbound", "/v1.0/healthz?appid=parley"):
        assert ask(port, "GET", path)[::2] == (204, b"")
    found = ask(port, "GET", "/v1.0/healthz?appid=other")
    assert (found.status, found.value["errorCode"]) == (500, "ERR_HEALTH_APPID_NOT_MATCH")
    found = ask(port, "GET", "/v1.0/metadata")
    assert {"name": "chatgpt4o", "type": "conversation.chatgpt", "version": "v1"} in found.value["components"]


@pytest.mark.parametrize(
    "path",
    ["//v1.0/healthz/outbound", "/v1.0//healthz/outbound", "/v1.0/healthz/outbound/", "///v1.0/healthz//"],
)
def test_slashes_in_the_paths_that_clients_wait_for(port: int, path: str) -> None:
    found = ask(port, "GET", path)
    assert (found.status, found.body) == (204, b"")
    assert ask(port, "GET", "//v1.0/metadata/").value["id"] == "parley"


def test_a_token(parley_server: Start, tmp_path: Path) -> None:
    running, grpc_port = serve(
        parley_server, tmp_path, [component("echo")], env={"DAPR_API_TOKEN": "t-1", "APP_ID": "mine"}
    )
    # It is known by the name that scopes and templates know it by.
    assert ask(running.port, "GET", "/v1.0/healthz?appid=mine").status == 204
    assert ask(running.port, "GET", "/v1.0/healthz?appid=parley").status == 500
    assert ask(running.port, "GET", "/v1.0/metadata", dapr_api_token="t-1").value["id"] == "mine"
    port = running.port
    guarded = (
        ("POST", TWO.format("echo")), ("POST", OWN.format("echo")), ("GET", "/v1.0/metadata"),
        ("GET", "//v1.0//metadata/"), ("GET", "/v1.0/nothing"),
    )  # fmt: skip
    for method, path in guarded:
        for headers in ({}, {"dapr_api_token": "other"}):
            found = ask(port, method, path, b"{}", **headers)
            assert (found.status, found.body) == (401, b"invalid api token\n")
            assert found.kind.startswith("text/plain")
    assert ask(port, "POST", TWO.format("echo"), user("x"), dapr_api_token="t-1").status == 200
    assert ask(port, "GET", "/v1.0/metadata", dapr_api_token="t-1").status == 200
    for path in ("/v1.0/healthz", "/v1.0/healthz/outbound"):
        assert ask(port, "GET", path).status == 204
    # Other dialects are no business of that token.
    chat = {"model": "echo", "messages": [{"role": "user", "content": "x"}]}
    assert ask(port, "POST", "/v1/chat/completions", chat).status == 200
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        with pytest.raises(grpc.RpcError) as caught:
            list(converse(channel, [TURNS.request(name="echo", inputs=["x"])]))
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
