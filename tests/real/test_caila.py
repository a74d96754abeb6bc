"""Caila's predict API through a running gateway: the examples of its own page as printed, over REST and the adapters,
whole and streamed; OpenAI's SDKs on the adapters; and another gate as a provider."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import openai
import pytest

from fixtures.children import ROOT
from fixtures.parley import Start
from real.caila_parts import (
    ANSWER,
    CLAUDE,
    CONFIG,
    PRINTED,
    REFUSED,
    REQUEST,
    SERVICE_PATH,
    SPECS,
    TEXT,
    WORDS,
    Place,
    chunks,
    placed,
)


@pytest.fixture(scope="module")
def place(parley_for_module: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with placed(parley_for_module, tmp_path_factory.mktemp("stores")) as found:
        yield found


def post(place: Place, path: str, body: Any, **headers: str) -> httpx.Response:
    raw = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(place.url + path, content=raw.encode(), headers=named, timeout=30)


# REST


@pytest.mark.parametrize("prefix", ["/api/mlpgate", "/api/mlpgateway"])
@pytest.mark.parametrize("form", ["/predict", "/predict-with-config", "/predict-with-config-v2"])
def test_the_pages_examples_as_printed(place: Place, prefix: str, form: str) -> None:
    body: Any = {"data": REQUEST, "config": CONFIG}
    if form == "/predict":
        body = json.dumps(REQUEST, ensure_ascii=False, indent=2)
    if form.endswith("v2"):
        body = {name: json.dumps(value, ensure_ascii=False, indent=2) for name, value in body.items()}
    told = post(place, f"{prefix}/account/just-ai/model/openai-proxy{form}", body, Z_requestId="z-1")
    assert told.status_code == 200
    assert told.content == PRINTED
    assert told.headers["Z-requestId"] == "z-1"
    assert int(told.headers["Z-Server-Time"]) >= 0
    sent = {"max_tokens": 2000, "temperature": 1} if form != "/predict" else {}
    assert place.provider.last.body == {**REQUEST, **sent, "model": "m"}
    assert place.provider.last.headers["authorization"] == "Bearer sk-oa"


@pytest.mark.parametrize("accept", ["*/*", "application/x-ndjson"])
def test_the_same_streamed(place: Place, accept: str) -> None:
    body = {"data": json.dumps(REQUEST), "config": json.dumps(CONFIG)}
    told = post(place, f"{SERVICE_PATH}/predict-with-config-v2-stream", body, accept=accept)
    blocks = told.text.split("\n") if accept != "*/*" else told.text.removesuffix("data: [DONE]\n\n").split("\n\n")
    assert [json.loads(block.removeprefix("data: ")) for block in blocks if block] == chunks()
    assert told.text.endswith("data: [DONE]\n\n") == (accept == "*/*")
    assert told.headers["content-type"] == ("text/event-stream" if accept == "*/*" else accept)


def test_stored_configs(place: Place) -> None:
    core = f"{place.url}/api/mlpcore/account/just-ai/model/openai-proxy/predict-config"
    usual = {"name": "обычный", "isDefault": True, "config": '{"temperature": 0.25, "x": 1}'}
    other = {"config": json.dumps({"temperature": 0.5})}
    with httpx.Client(timeout=30) as http:
        made = [http.post(core, json=one).json() for one in (usual, other)]
        ids = [one["id"]["configId"] for one in made]
        first = {"accountId": "just-ai", "modelId": "openai-proxy", "configId": ids[0]}
        assert made[0] == {"id": first, **usual}
        assert http.get(core).json() == made
        assert http.get(f"{core}/{ids[1]}").json() == made[1]
        post(place, f"{SERVICE_PATH}/predict", REQUEST)
        assert place.provider.last.body == {**REQUEST, "model": "m", "temperature": 0.25, "x": 1}
        post(place, f"{SERVICE_PATH}/predict?configId={ids[1]}", {**REQUEST, "x": 2})
        assert place.provider.last.body == {**REQUEST, "model": "m", "temperature": 0.5, "x": 2}
        changed = http.post(f"{core}/{ids[0]}", json={"config": '{"temperature": 0.75}'}).json()
        assert changed == {**made[0], "config": '{"temperature": 0.75}'}
        post(place, f"{SERVICE_PATH}/predict", REQUEST)
        assert place.provider.last.body == {**REQUEST, "model": "m", "temperature": 0.75}
        elsewhere = post(place, f"/api/mlpgate/account/just-ai/model/claude/predict?configId={ids[0]}", REQUEST)
        assert (elsewhere.status_code, elsewhere.json()["args"]["field"]) == (400, "configId")
        for number in ids:
            assert http.delete(f"{core}/{number}").status_code == 200
        assert http.get(f"{core}/{ids[0]}").status_code == 404
        post(place, f"{SERVICE_PATH}/predict", REQUEST)
        assert place.provider.last.body == {**REQUEST, "model": "m"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "config"),
        ({"config": {}}, "config"),
        ({"config": "[]"}, "config"),
        ({"config": "{"}, "config"),
        ({"config": "{}", "name": 1}, "name"),
        ({"config": "{}", "isDefault": 1}, "isDefault"),
        ({"config": "{}", "more": 1}, "more"),
    ],
)
def test_configs_that_are_none(place: Place, body: Any, field: str) -> None:
    told = post(place, "/api/mlpcore/account/just-ai/model/openai-proxy/predict-config", body)
    assert (told.status_code, told.json()["code"]) == (400, "mlp-action.common.bad-request")
    assert told.json()["args"]["field"] == field


def test_services_and_lists(place: Place) -> None:
    told = httpx.get(f"{place.url}/api/mlpgate/p/just-ai/openai-proxy").json()
    assert told["id"] == {"accountId": "just-ai", "modelId": "openai-proxy"}
    assert told["taskType"] == "chat-completion"
    assert "chat_completions" in told["supported_request_types"]
    missing = httpx.get(f"{place.url}/api/mlpgate/p/just-ai/nothing")
    assert (missing.status_code, missing.json()["code"]) == (400, "mlp.model.invalid-id")
    wrong = httpx.get(f"{place.url}{SERVICE_PATH}/predict")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    nothing = httpx.get(f"{place.url}/api/mlpgate/nothing", headers={"Z-requestId": "z"})
    assert (nothing.status_code, nothing.json()["code"]) == (404, "mlp-action.common.bad-request")


# The adapters, by OpenAI's own clients


@pytest.mark.parametrize("base", ["openai", "openai/v1", "openai-direct", "openai-direct/v1"])
def test_the_python_sdk(place: Place, base: str) -> None:
    with openai.OpenAI(base_url=f"{place.url}/api/adapters/{base}", api_key="k", max_retries=0) as client:
        ids = [model.id for model in client.models.list()]
        assert "just-ai/openai-proxy" in ids
        model: Any = client.models.retrieve("just-ai/openai-proxy")
        assert "chat_completions" in model.supported_request_types
        turns: Any = REQUEST["messages"]
        whole = client.chat.completions.create(model=model.id, messages=turns, temperature=0.5)
        assert whole.choices[0].message.content == TEXT
        assert place.provider.last.body == {**REQUEST, "temperature": 0.5, "model": "m"}
        stream = client.chat.completions.create(model=f"{model.id}/gpt-4o", messages=turns, stream=True)
        assert [chunk.choices[0].delta.content for chunk in stream] == [*WORDS, None]
        with pytest.raises(openai.APIStatusError) as raised:
            client.chat.completions.create(model="nobody/nothing", messages=turns)
        assert (raised.value.status_code, raised.value.code, raised.value.param) == (404, "model_not_found", "model")


@pytest.fixture(scope="module")
def modules() -> Path:
    """Where the SDK is installed."""
    told = subprocess.run([ROOT / "scripts/npm-packages"], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return ROOT / ".cache/npm/node_modules"


@pytest.mark.parametrize("base", ["openai", "openai/v1", "openai-direct", "openai-direct/v1"])
def test_the_npm_sdk(place: Place, modules: Path, base: str) -> None:
    node = shutil.which("node")
    assert node, "node is missing: scripts/system-packages test"
    script = Path(__file__).parent / "npm/adapters.js"
    words = [f"{place.url}/api/adapters/{base}", "k", "just-ai/openai-proxy", "Привет"]
    env = {"PATH": os.environ["PATH"], "NODE_PATH": str(modules)}
    told = subprocess.run(
        [node, "--no-warnings", script, *words], env=env, capture_output=True, text=True, check=False, timeout=90
    )
    assert (told.returncode, told.stderr) == (0, "")
    assert json.loads(told.stdout) == {
        "whole": TEXT, "usage": 35, "pieces": [*WORDS, ""], "refused": [404, "model_not_found", "model"],
    }  # fmt: skip


# As it is


def test_what_passes_is_byte_for_byte_the_callers_and_the_providers(place: Place) -> None:
    kind = quote(f"{SPECS}ChatCompletionDirectProxy", safe="")
    told = post(place, f"/api/mlpgate/account/just-ai/model/claude/predict?dataType={kind}", CLAUDE, mlp_api_key="k")
    assert place.provider.last.text == CLAUDE
    assert place.provider.last.path == "/v1/messages"
    assert place.provider.last.headers["x-api-key"] == "sk-an"
    assert "mlp-api-key" not in place.provider.last.headers
    assert (told.status_code, told.text) == (400, REFUSED)


def test_the_same_through_another_gate(place: Place) -> None:
    kind = quote(f"{SPECS}ChatCompletionDirectProxy", safe="")
    path = f"/api/mlpgate/account/gate/model/just-ai%2Fclaude/predict?dataType={kind}"
    told = post(place, path, CLAUDE)
    assert place.provider.last.text == CLAUDE
    assert (told.status_code, told.text) == (400, REFUSED)
    path = f"/api/mlpgate/account/old/model/just-ai%2Fclaude/predict?dataType={kind}"
    told = post(place, path, CLAUDE)
    assert (told.status_code, told.json()["args"]["field"]) == (400, "dataType")
    assert "old" in told.json()["message"]


# Another gate as a provider


NEEDED = {"id": "chatcmpl-", "object": "chat.completion", "created": ""}


def answer_in(told: Any, *, whole: bool = True) -> Any:
    """What a gate answered; ``whole``: with what OpenAI's clients cannot do without and a gate does not say."""
    body = told.json()
    if whole:
        said = {name: str(body.pop(name)) for name in NEEDED}
        assert all(said[name].startswith(begin) for name, begin in NEEDED.items())
    return body


@pytest.mark.parametrize("provider", ["gate", "old"])
@pytest.mark.parametrize("dialect", ["openai", "anthropic", "caila"])
def test_any_dialect_reaches_a_gate(place: Place, provider: str, dialect: str) -> None:
    model = f"{provider}/just-ai/openai-proxy"
    if dialect == "anthropic":
        told = post(place, "/v1/messages", {**REQUEST, "model": model, "max_tokens": 7, "top_k": 3})
        assert told.json()["content"] == [{"type": "text", "text": TEXT}]
        assert place.provider.last.body["max_tokens"] == 7
        return
    path = "/v1/chat/completions" if dialect == "openai" else f"/api/mlpgate/p/{provider}/just-ai%2Fopenai-proxy"
    told = post(place, path, {**REQUEST, "model": model, "x": {"y": 1.5}}, mlp_billing_key="pay", Z_requestId="z-9")
    assert answer_in(told, whole=provider == "gate") == ANSWER
    assert place.provider.last.body == {**REQUEST, "x": {"y": 1.5}, "model": "m"}


@pytest.mark.parametrize("provider", ["gate", "old"])
def test_a_gate_streams(place: Place, provider: str) -> None:
    with openai.OpenAI(base_url=f"{place.url}/v1", api_key="k", max_retries=0) as client:
        turns: Any = REQUEST["messages"]
        model = f"{provider}/just-ai/openai-proxy/gpt-4o"
        stream = client.chat.completions.create(model=model, messages=turns, stream=True, temperature=1)
        assert [chunk.choices[0].delta.content for chunk in stream if chunk.choices] == [*WORDS, None]
    assert place.provider.last.body["temperature"] == 1


def test_a_gates_error_is_the_callers_in_each_dialect(place: Place) -> None:
    body = {**REQUEST, "model": "gate/just-ai/nothing"}
    told = post(place, "/v1/chat/completions", body)
    assert (told.status_code, told.json()["error"]["code"]) == (400, "mlp.model.invalid-id")
    told = post(place, "/api/mlpgate/p/gate/just-ai%2Fnothing", REQUEST)
    assert (told.status_code, told.json()["code"]) == (400, "mlp.model.invalid-id")


def test_a_service_behind_a_service(place: Place) -> None:
    told = post(place, "/api/mlpgate/p/far/service", {**REQUEST, "model": "gpt-4o"})
    assert answer_in(told) == ANSWER
    assert "x-parley-dropped" not in told.headers


# Keys


def test_keys_in_every_place(parley_server: Start, tmp_path: Path) -> None:
    here = parley_server(
        {
            "auth": {"required": True, "admin_key": "the-key"},
            "store": f"sqlite:///{tmp_path}/parley.db",
            "models": [{"model": "just-ai/openai-proxy", "targets": ["echo/echo"]}],
        }
    )
    shown = [{"MLP-API-KEY": "the-key"}, {"Authorization": "the-key"}, {"Authorization": "Bearer the-key"}]
    paths = [f"{SERVICE_PATH}/predict", "/api/adapters/openai/chat/completions"]
    body = {**REQUEST, "model": "just-ai/openai-proxy"}
    for path in paths:
        assert [httpx.post(here.url + path, json=body, headers=one).status_code for one in shown] == [200] * 3
        refused = httpx.post(here.url + path, content=b"not JSON", headers={"MLP-API-KEY": "wrong"})
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
    listed = f"{here.url}/api/adapters/openai/models"
    assert [httpx.get(listed, headers=one).status_code for one in ({}, *shown)] == [401, 200, 200, 200]
