"""Dapr's official Python SDK in front of the gateway: what it asks works with it unchanged."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from dapr.aio.clients import DaprClient as AsyncDaprClient
from dapr.clients import DaprClient
from dapr.clients.grpc import conversation as talk
from dapr.proto.runtime.v1 import ai_pb2, dapr_pb2_grpc
from google.protobuf.struct_pb2 import Struct
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from fixtures.parley import Gateway, Start
from fixtures.peer import Peer, Seen, Told, peer
from real.dapr_parts import component, environment, serve, user

# Set once whoever asked for "held" may have it.
HELD = threading.Event()
TOOL = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}}}


def answer(seen: Seen) -> Told:
    """Chat completions that repeat the last message; a word of it decides what goes wrong."""
    text = seen.body["messages"][-1]["content"]
    text = text if isinstance(text, str) else text[0]["text"]
    if text == "fail":
        return Told((b'{"error":{"message":"no","type":"server_error"}}',), status=500)
    if text == "slow":
        time.sleep(0.7)
    if text == "held":
        HELD.wait(60)
    if seen.body.get("stream"):
        return Told(tuple(events(text)), "text/event-stream")
    message: dict[str, Any] = {"role": "assistant", "content": text}
    reason = "stop"
    if seen.body.get("tools") and text == "tool":
        called = {"name": "weather", "arguments": '{"city":"Rome"}'}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": called}],
        }
        reason = "tool_calls"
    usage = {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 1},
    }
    made = {"id": "x", "object": "chat.completion", "created": 1, "model": "m-1", "usage": usage}
    return Told((json.dumps(made | {"choices": [{"index": 0, "message": message, "finish_reason": reason}]}).encode(),))


def events(text: str) -> Iterator[bytes]:
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m-1"}
    for word in text.split(" "):
        delta = {"index": 0, "delta": {"content": word + " "}, "finish_reason": None}
        yield b"data: %b\n\n" % json.dumps(chunk | {"choices": [delta]}).encode()
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    yield b"data: %b\n\n" % json.dumps(chunk | {"choices": [last]}).encode()
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    yield b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(chunk | {"choices": [], "usage": usage}).encode()


@pytest.fixture(scope="module")
def provider() -> Iterator[Peer]:
    with peer(answer) as found:
        yield found


@pytest.fixture(scope="module")
def served(
    parley_for_module: Start, provider: Peer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Gateway, int]]:
    documents = [
        component("echo"),
        component("gpt", "conversation.openai", key="sk-one", model="gpt-test", endpoint=f"{provider.url}/v1"),
        component("patient", "conversation.openai", key="k", model="m", endpoint=f"{provider.url}/v1", cacheTTL="10m"),
    ]
    running, port = serve(parley_for_module, tmp_path_factory.mktemp("dapr"), documents)
    with environment(running, port):
        yield running, port


@pytest.fixture
def client(served: tuple[Gateway, int]) -> Iterator[DaprClient]:
    with DaprClient() as made:
        yield made


def said(text: str, **more: Any) -> list[talk.ConversationInputAlpha2]:
    return [talk.ConversationInputAlpha2(messages=[talk.create_user_message(text)], **more)]


def test_the_first_form(client: DaprClient) -> None:
    inputs = [talk.ConversationInput(content="one", role="user"), talk.ConversationInput(content="two")]
    found = client.converse_alpha1(
        name="echo", inputs=inputs, context_id="c-1", parameters={"a": 1, "b": "x", "c": True}, metadata={"k": "v"},
        temperature=0.5,
    )  # fmt: skip
    assert found.context_id == "c-1"
    [output] = found.outputs
    assert output.result == "one\ntwo"
    assert set(output.parameters) == {"a", "b", "c"}


def test_the_second_form_reaches_the_provider(client: DaprClient, provider: Peer) -> None:
    schema = Struct()
    schema.update({"type": "object", "properties": {"r": {"type": "string"}}, "name": "shape"})
    found = client.converse_alpha2(
        name="gpt",
        inputs=said("hi"),
        context_id="c-2",
        temperature=0.25,
        response_format=schema,
        metadata={"user": "u"},
    )
    assert provider.last.headers["authorization"] == "Bearer sk-one"
    body = provider.last.body
    assert (body["model"], body["temperature"]) == ("gpt-test", 0.25)
    assert body["response_format"]["json_schema"]["name"] == "shape"
    assert body["metadata"] == {"user": "u"}
    assert found.context_id == "c-2"
    [output] = found.outputs
    assert (output.model, output.usage.total_tokens, output.usage.prompt_tokens_details.cached_tokens) == (
        "gpt-test",
        5,
        1,
    )
    [choice] = output.choices
    assert (choice.finish_reason, choice.index, choice.message.content) == ("stop", 0, "hi")


def test_tools_and_what_they_answered(client: DaprClient, provider: Peer) -> None:
    tools = [weather()]
    found = client.converse_alpha2(name="gpt", inputs=said("tool"), tools=tools, tool_choice="weather")
    sent = provider.last.body
    assert sent["tools"][0]["function"]["parameters"] == TOOL
    assert json.dumps(sent["tools"][0]["function"]["parameters"]["properties"]["days"]["minimum"]) == "1"
    assert sent["tool_choice"]["function"]["name"] == "weather"
    [call] = found.outputs[0].choices[0].message.tool_calls
    assert (call.id, call.function.name, call.function.arguments) == ("call_1", "weather", '{"city":"Rome"}')
    messages = [*found.to_assistant_messages(), talk.create_tool_message("call_1", "weather", "sunny")]
    again = [talk.ConversationInputAlpha2(messages=[talk.create_user_message("tool"), *messages])]
    found = client.converse_alpha2(name="gpt", inputs=again, tools=tools)
    roles = [message["role"] for message in provider.last.body["messages"]]
    assert roles == ["user", "assistant", "tool"]
    assert provider.last.body["messages"][2]["tool_call_id"] == "call_1"
    assert found.outputs[0].choices[0].message.content == "sunny"


def test_what_is_private_is_not_sent_on(client: DaprClient, provider: Peer) -> None:
    client.converse_alpha2(name="gpt", inputs=said("I am test@test.com", scrub_pii=True))
    assert "test@test.com" not in provider.last.text
    assert "<EMAIL_ADDRESS>" in provider.last.text
    found = client.converse_alpha2(name="gpt", inputs=said("call +2222222222"), scrub_pii=True)
    assert "+2222222222" in provider.last.text
    assert found.outputs[0].choices[0].message.content == "call <PHONE_NUMBER>"


WRONG: list[tuple[Callable[[DaprClient], Any], str, str]] = [
    (
        lambda client: client.converse_alpha2(name="nobody", inputs=said("x")),
        "INVALID_ARGUMENT",
        "failed finding conversation component nobody",
    ),
    (
        lambda client: client.converse_alpha2(name="gpt", inputs=[]),
        "INVALID_ARGUMENT",
        "failed conversing with component gpt: missing inputs in request",
    ),
    (
        lambda client: client.converse_alpha2(name="gpt", inputs=said("x"), tool_choice="required"),
        "INVALID_ARGUMENT",
        "failed conversing with component gpt: invalid params: tool choice must be 'auto', 'none', 'required', or a "
        "specific tool name matching the tools available to be used",
    ),
    (
        lambda client: client.converse_alpha2(name="gpt", inputs=said("x"), tools=[weather()], tool_choice="other"),
        "INVALID_ARGUMENT",
        "failed conversing with component gpt: invalid params: tool choice selected was not found. Must be 'auto', "
        "'none', 'required', or a specific tool name matching the tools available to be used",
    ),
    (
        lambda client: client.converse_alpha2(name="gpt", inputs=said("fail")),
        "INTERNAL",
        "failed conversing with component gpt: ",
    ),
    (
        lambda client: client.converse_alpha1(
            name="gpt", inputs=[talk.ConversationInput(content="x")], metadata={"temperature": "warm"}
        ),
        "UNKNOWN",
        "cannot parse",
    ),
]


def weather() -> talk.ConversationTools:
    function = talk.ConversationToolsFunction(name="weather", description="d", parameters=TOOL)
    return talk.ConversationTools(function=function)


@pytest.mark.parametrize(("call", "code", "words"), WRONG)
def test_errors_are_those_of_the_runtime(
    client: DaprClient, call: Callable[[DaprClient], Any], code: str, words: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(client)
    assert caught.value.code().name == code
    assert caught.value.details().startswith(words)


def test_the_components_cache_answers_with_all_that_it_kept(client: DaprClient, provider: Peer) -> None:
    first = client.converse_alpha2(name="patient", inputs=said("remember"))
    count = len(provider.seen)
    second = client.converse_alpha2(name="patient", inputs=said("remember"))
    assert len(provider.seen) == count
    assert second.outputs == first.outputs
    assert second.outputs[0].usage.total_tokens == 5
    client.converse_alpha2(name="patient", inputs=said("remember"), temperature=0.9)
    assert len(provider.seen) == count + 1


def test_metadata(client: DaprClient) -> None:
    found = client.get_metadata()
    assert found.application_id == "parley"
    assert {one.name: one.type for one in found.registered_components} == {
        "echo": "conversation.echo", "gpt": "conversation.openai", "patient": "conversation.openai",
    }  # fmt: skip


async def test_the_asynchronous_client(served: tuple[Gateway, int]) -> None:
    async with AsyncDaprClient() as client:
        one = await client.converse_alpha1(name="echo", inputs=[talk.ConversationInput(content="hello")])
        assert one.outputs[0].result == "hello"
        two = await client.converse_alpha2(name="gpt", inputs=said("there"))
        assert two.outputs[0].choices[0].message.content == "there"
        with pytest.raises(grpc.RpcError) as caught:
            await client.converse_alpha2(name="nobody", inputs=said("x"))
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_an_address_that_ends_with_a_slash(served: tuple[Gateway, int]) -> None:
    running, port = served
    # It asks //v1.0/healthz/outbound then, and waits until that is there.
    with environment(running, port, DAPR_HTTP_ENDPOINT=f"{running.url}/"), DaprClient() as client:
        found = client.converse_alpha2(name="echo", inputs=said("in"))
        assert found.outputs[0].choices[0].message.content == "in"


# The token


def test_a_token_is_asked_of_daprs_callers_alone(parley_server: Start, tmp_path: Path) -> None:
    running, port = serve(parley_server, tmp_path, [component("echo")], env={"DAPR_API_TOKEN": "secret-token"})
    with environment(running, port, DAPR_API_TOKEN="secret-token"), DaprClient() as client:
        found = client.converse_alpha2(name="echo", inputs=said("in"))
        assert found.outputs[0].choices[0].message.content == "in"
        assert client.get_metadata().application_id == "parley"
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = dapr_pb2_grpc.DaprStub(channel)
        request = ai_pb2.ConversationRequestAlpha2(name="echo", inputs=[user("x")])
        for metadata, words in (
            ((), "missing api token in request metadata"),
            ((("dapr-api-token", "wrong"),), "authentication error: api token mismatch"),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                stub.ConverseAlpha2(request, metadata=metadata)
            status = rpc_status.from_call(caught.value)
            assert (caught.value.code().name, status.message) == ("UNAUTHENTICATED", "Unauthorized")
            info = error_details_pb2.ErrorInfo()
            assert status.details[0].Unpack(info)
            assert (info.reason, info.domain) == ("Unauthorized", "dapr.io")
            assert dict(info.metadata) == {"http.code": "401", "http.error_message": words}
    assert "secret-token" not in "\n".join(running.stderr_lines())
