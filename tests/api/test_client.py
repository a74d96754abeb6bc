"""A client that a public generator makes from the served document can talk to the server."""

import http.client
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fixtures.parley import Gateway, Start

ECHO: dict[str, Any] = {"models": [{"model": "echo", "targets": ["echo/echo"]}]}


@pytest.fixture(scope="module")
def gateway(parley_for_module: Start) -> Gateway:
    return parley_for_module(ECHO)


@pytest.fixture(scope="module")
def made(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The package that openapi-python-client makes of what this server serves."""
    folder = tmp_path_factory.mktemp("client")
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    connection.request("GET", "/openapi.json")
    (folder / "openapi.json").write_bytes(connection.getresponse().read())
    connection.close()
    name = f"made_{gateway.port}"
    program = Path(sys.executable).parent / "openapi-python-client"
    command = [program, "generate", "--path", folder / "openapi.json", "--output-path", folder / name, "--meta", "none"]
    subprocess.run(command, check=True, capture_output=True, timeout=90)
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))


def call(made: ModuleType, gateway: Gateway, place: str, *schema: str, **given: Any) -> Any:
    """One operation, with a body of that schema where it has one."""
    operation = importlib.import_module(f"{made.__name__}.api.{place}")
    models = importlib.import_module(f"{made.__name__}.models")
    body = {"body": getattr(models, schema[0]).from_dict(given)} if schema else given
    with made.Client(base_url=gateway.url) as client:
        return operation.sync_detailed(client=client, **body)


def test_it_chats(made: ModuleType, gateway: Gateway) -> None:
    said = [{"role": "user", "content": "hello there"}]
    answer = call(
        made, gateway, "chat.create_chat_completion", "ChatCompletionsCreateRequest", model="echo", messages=said
    )
    assert (answer.status_code, answer.parsed.choices[0].message.content) == (200, "hello there")
    assert answer.parsed.usage.total_tokens == 4


def test_it_embeds(made: ModuleType, gateway: Gateway) -> None:
    answer = call(
        made, gateway, "embeddings.create_embedding", "EmbeddingsCreateRequest", model="echo", input="x", dimensions=3
    )
    assert (answer.status_code, len(answer.parsed.data[0].embedding)) == (200, 3)


def test_it_reranks(made: ModuleType, gateway: Gateway) -> None:
    asked = {"model": "echo", "query": "b c", "documents": ["a", "b c"], "top_n": 1}
    answer = call(made, gateway, "rerank.create_rerank", "RerankRequest", **asked)
    assert (answer.status_code, [found.index for found in answer.parsed.results]) == (200, [1])


def test_it_reads_errors(made: ModuleType, gateway: Gateway) -> None:
    answer = call(
        made, gateway, "embeddings.create_embedding", "EmbeddingsCreateRequest", model="echo", input="x", dimensions=0
    )
    assert (answer.status_code, answer.parsed.error.param) == (400, "dimensions")


def test_it_lists_models_and_is_told_what_is_not_implemented(made: ModuleType, gateway: Gateway) -> None:
    answer = call(made, gateway, "models.list_models")
    assert [model.id for model in answer.parsed.data] == ["echo"]
    answer = call(made, gateway, "not_implemented.containers_list")
    assert (answer.status_code, answer.parsed.error.code) == (501, "not_implemented")
    assert answer.headers["x-should-retry"] == "false"
