"""A gateway as Dapr's clients see it, and a provider behind it that tells what it was asked."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dapr.proto.runtime.v1 import ai_pb2

from fixtures.children import free_port
from fixtures.parley import Gateway, Start

COMPONENT = {"apiVersion": "dapr.io/v1alpha1", "kind": "Component"}


def component(name: str, kind: str = "conversation.echo", **properties: Any) -> dict[str, Any]:
    """A component file's document."""
    metadata = [{"name": key, "value": value} for key, value in properties.items()]
    return COMPONENT | {"metadata": {"name": name}, "spec": {"type": kind, "version": "v1", "metadata": metadata}}


def serve(start: Start, folder: Any, documents: list[dict[str, Any]], **more: Any) -> tuple[Gateway, int]:
    """A gateway with these components; it and its gRPC port."""
    (folder / "components").mkdir(exist_ok=True)
    (folder / "components/all.yaml").write_text("\n---\n".join(map(json.dumps, documents)))
    port = free_port()
    options = ["--components", str(folder / "components"), "--grpc", f"127.0.0.1:{port}", *more.pop("args", [])]
    return start(more.pop("config", {}), args=options, **more), port


@contextmanager
def environment(gateway: Gateway, port: int, **more: str) -> Iterator[None]:
    """What Dapr's SDK reads of the environment."""
    named = {"DAPR_HTTP_PORT": str(gateway.port), "DAPR_GRPC_PORT": str(port), **more}
    before = {name: os.environ.get(name) for name in named}
    os.environ.update(named)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def user(text: str) -> ai_pb2.ConversationInputAlpha2:
    """A message of a user, for the stubs."""
    content = [ai_pb2.ConversationMessageContent(text=text)]
    message = ai_pb2.ConversationMessage(of_user=ai_pb2.ConversationMessageOfUser(content=content))
    return ai_pb2.ConversationInputAlpha2(messages=[message])
