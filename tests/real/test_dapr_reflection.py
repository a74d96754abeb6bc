"""Tools that ask a server what it serves, as grpcurl does."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from fixtures.parley import Gateway, Start
from real.dapr_parts import component, serve

DAPR, GATE = "dapr.proto.runtime.v1.Dapr", "com.mlp.gate.Gate"


@pytest.fixture
def channel(served: tuple[Gateway, int]) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{served[1]}") as made:
        yield made


@pytest.fixture(scope="module")
def served(parley_for_module: Start, tmp_path_factory: pytest.TempPathFactory) -> tuple[Gateway, int]:
    return serve(parley_for_module, tmp_path_factory.mktemp("reflected"), [component("echo")])


def test_both_services_are_told_of_with_all_their_messages(channel: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(channel)
    assert set(database.get_services()) == {DAPR, GATE, "grpc.reflection.v1alpha.ServerReflection"}
    pool = DescriptorPool(database)
    assert "ConverseAlpha2" in {method.name for method in pool.FindServiceByName(DAPR).methods}
    gate = pool.FindServiceByName(GATE)
    kinds = {method.name: (method.client_streaming, method.server_streaming) for method in gate.methods}
    assert kinds == {
        "healthCheck": (False, False), "process": (False, False), "processResponseStream": (False, True),
        "processStream": (True, True),
    }  # fmt: skip
    request = pool.FindMessageTypeByName("parley.dapr.v1.ConversationRequest")
    assert [field.number for field in request.fields] == [1, 2, 3, 4]


@pytest.mark.parametrize(("service", "method"), [(DAPR, "ConverseAlpha2"), (GATE, "healthCheck")])
def test_what_is_told_is_enough_for_a_call(channel: grpc.Channel, service: str, method: str) -> None:
    found = (
        DescriptorPool(ProtoReflectionDescriptorDatabase(channel)).FindServiceByName(service).methods_by_name[method]
    )
    asks, answers = GetMessageClass(found.input_type), GetMessageClass(found.output_type)
    call = channel.unary_unary(
        f"/{service}/{method}", request_serializer=asks.SerializeToString, response_deserializer=answers.FromString
    )
    if service == GATE:
        assert call(asks(interval=7), timeout=60).interval == 7
        return
    request = asks(name="echo")
    request.inputs.add().messages.add().of_user.content.add(text="hi")
    assert call(request, timeout=60).outputs[0].choices[0].message.content == "hi"


def test_what_is_not_there_is_not_found(channel: grpc.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol="nobody.Knows")
    [told] = stub.ServerReflectionInfo(iter([asked]), timeout=60)
    assert told.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_the_token_is_asked_for_here_too(parley_server: Start, tmp_path: Path) -> None:
    _, port = serve(parley_server, tmp_path, [component("echo")], env={"DAPR_API_TOKEN": "t-1"})
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        for metadata in ((), (("dapr-api-token", "other"),)):
            with pytest.raises(grpc.RpcError) as caught:
                list(stub.ServerReflectionInfo(iter([asked]), metadata=metadata, timeout=60))
            assert (caught.value.code().name, caught.value.details()) == ("UNAUTHENTICATED", "Unauthorized")
        right = (("dapr-api-token", "t-1"),)
        [told] = stub.ServerReflectionInfo(iter([asked]), metadata=right, timeout=60)
        assert len(told.list_services_response.service) == 3
