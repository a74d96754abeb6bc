"""What is served, told to tools that ask a server itself (gRPC reflection): both services, with all of their messages.

It is asked with the token or key that their calls need. Source: conversation contract section 1.1.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from dapr.proto.runtime.v1 import dapr_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from parley.serve.rpc import dapr, gate_messages, messages


def add(server: Any, admit: Callable[[Any], Awaitable[None]]) -> None:
    """Serve it. ``admit`` ends calls of those who may not ask."""
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(Reflected(admit), server)


class Reflected(reflection.aio.ReflectionServicer):  # type: ignore[misc]
    """The service."""

    def __init__(self, admit: Callable[[Any], Awaitable[None]]) -> None:
        super().__init__((dapr.SERVICE, gate_messages.SERVICE, reflection.SERVICE_NAME), pool=_pool())
        self._admit = admit

    async def ServerReflectionInfo(self, request_iterator: Any, unused_context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Its one method."""
        await self._admit(unused_context)
        async for answer in super().ServerReflectionInfo(request_iterator, unused_context):
            yield answer


def _pool() -> Any:
    """All files in one pool: those of the predict service and of the streaming form have pools of their own."""
    pool = descriptor_pool.DescriptorPool()
    known: set[str] = set()
    for descriptor in (dapr_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        _add(pool, descriptor, known)
    for file in (messages.file(), gate_messages.file()):
        pool.Add(file)
    return pool


def _add(pool: Any, descriptor: Any, known: set[str]) -> None:
    """A file behind all that it needs."""
    if descriptor.name in known:
        return
    known.add(descriptor.name)
    for needed in descriptor.dependencies:
        _add(pool, needed, known)
    file = FileDescriptorProto()
    descriptor.CopyToProto(file)
    pool.Add(file)
