"""Azure OpenAI: OpenAI's wire at other addresses, with other keys, chunks without choices and errors of its own."""

from typing import Any

import msgspec
import pytest

from config.sample import good
from gateway.parts import CHAT, EVENTS, MESSAGES, Ear, Sent, Stage, only, registration
from parley.settings import Provider, Retries

ENV = {"AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com/", "AZURE_OPENAI_API_KEY": "azure-secret"}
VERSION = b"?api-version=2024-10-21"
RATED: dict[str, Any] = {"hate": {"filtered": False, "severity": "safe"}}
NO_CHOICE = {
    "choices": [],
    "created": 0,
    "id": "",
    "model": "",
    "object": "",
    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": RATED}],
}


def azure(text: str = "providers: {azure: }", **env: str) -> Provider:
    """The provider as a configuration makes it."""
    return good(text, **{**ENV, **env}).settings.providers["azure"]


def stage(provider: Provider | None = None) -> Stage:
    made = registration("one", "azure/my-gpt", retries=Retries(1))
    return Stage(made, providers=(provider or azure(),))


def asked(provider: Provider, path: bytes = CHAT, **members: Any) -> Sent:
    played = stage(provider)
    played.ask(path=path, **members)
    return played.sent[0]


def sse(*chunks: dict[str, Any]) -> list[bytes]:
    return [b"data: %b\n\n" % msgspec.json.encode(chunk) for chunk in chunks] + [b"data: [DONE]\n\n"]


def chunk(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason, "content_filter_results": RATED}
    return {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt", "choices": [choice]}


def answered(status: int, error: Any, path: bytes = CHAT, *headers: tuple[bytes, bytes]) -> tuple[Stage, Ear]:
    played = stage()
    _, ear = played.ask(path=path)
    kind = (b"content-type", b"application/json")
    played.sent[0].whole(msgspec.json.encode({"error": error}), status, [kind, *headers])
    return played, ear


# --- addresses and credentials -----------------------------------------------------------------


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_the_deployment_is_in_the_path_and_the_key_in_its_own_header(path: bytes) -> None:
    sent = asked(azure(), path)
    assert sent.call.to.origin == "https://res.openai.azure.com"
    assert sent.call.to.path == b"/openai/deployments/my-gpt/chat/completions" + VERSION
    assert sent.lines[b"api-key"] == b"azure-secret"
    assert b"authorization" not in sent.lines
    # It is ignored there, and the official client sends it too.
    assert sent.body["model"] == "my-gpt"


def test_every_operation_has_the_version_behind_it() -> None:
    paths = {name: path for name, path in azure().paths.items() if name != "models"}
    assert {"chat", "completions", "embeddings", "image_generation", "image_edit", "speech"} <= set(paths)
    assert all(path.startswith("/deployments/{model}/") for path in paths.values())
    assert all(path.encode().endswith(VERSION) for path in azure().paths.values())


def test_another_version_is_a_path() -> None:
    path = "/deployments/{model}/chat/completions?api-version=2025-04-01-preview"
    sent = asked(azure(f"providers: {{azure: {{paths: {{chat: '{path}'}}}}}}"))
    assert sent.call.to.path.endswith(b"/my-gpt/chat/completions?api-version=2025-04-01-preview")


def test_an_entra_token_in_place_of_a_key() -> None:
    text = "providers: {azure: {api_key: null, headers: {Authorization: 'Bearer ${ENTRA}'}}}"
    sent = asked(azure(text, ENTRA="entra-token"))
    assert sent.lines[b"authorization"] == b"Bearer entra-token"
    assert b"api-key" not in sent.lines


def test_the_newer_address_has_the_model_in_the_body() -> None:
    sent = asked(azure("providers: {azure: {wire: openai}}"), max_tokens=5)
    assert sent.call.to.path == b"/openai/v1/chat/completions"
    assert sent.lines[b"api-key"] == b"azure-secret"
    assert (sent.body["model"], sent.body["max_completion_tokens"]) == ("my-gpt", 5)


def test_the_key_of_the_environment_goes_to_any_resource_and_nowhere_else() -> None:
    near = azure("providers: {azure: {base_url: 'https://other.openai.azure.com'}}")
    assert near.keys == ("azure-secret",)
    far = azure("providers: {azure: {base_url: 'https://other.openai.azure.com.example'}}")
    assert far.keys == ()
    deep = azure("providers: {azure: {base_url: 'https://a.b.openai.azure.com'}}")
    assert deep.keys == ()


# --- streams -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_first_chunk_without_choices_is_no_content_and_no_end(path: bytes) -> None:
    played = stage()
    _, ear = played.ask(path=path, stream=True)
    first, *rest = sse(NO_CHOICE, chunk(role="assistant", content=""), chunk(content="Hello."), chunk("stop"))
    played.sent[0].begin(headers=EVENTS)
    played.sent[0].say(first)
    assert ear.heard == []
    played.sent[0].say(*rest)
    played.sent[0].done()
    assert ear.status == 200
    assert b"Hello." in ear.text
    assert (b"prompt_filter_results" in ear.text) == (path == CHAT)
    assert only(played)["outcome"] == "ok"
    played.quiet()


@pytest.mark.parametrize(("path", "word"), [(CHAT, b'"content_filter"'), (MESSAGES, b'"refusal"')])
def test_a_filter_that_stops_an_answer(path: bytes, word: bytes) -> None:
    played = stage()
    _, ear = played.ask(path=path, stream=True)
    # The ratings of an asynchronous filter come in chunks without a word, also behind the end.
    late = {**chunk(), "choices": [{**chunk()["choices"][0], "content_filter_offsets": {"check_offset": 1}}]}
    played.sent[0].stream(*sse(NO_CHOICE, chunk(content="He"), late, chunk("content_filter"), late))
    assert word in ear.text
    assert only(played)["outcome"] == "ok"


def test_a_whole_answer_keeps_its_ratings_for_callers_of_its_own_wire() -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}
    body = {**NO_CHOICE, "id": "c", "model": "gpt", "choices": [{**choice, "content_filter_results": RATED}]}
    for path in (CHAT, MESSAGES):
        played = stage()
        _, ear = played.ask(path=path)
        played.sent[0].whole(msgspec.json.encode(body))
        assert b"Hi." in ear.text
        assert (b"content_filter_results" in ear.text) == (path == CHAT)


# --- errors ------------------------------------------------------------------------------------

BLOCKED = {
    "message": "The response was filtered.",
    "type": None,
    "param": "prompt",
    "code": "content_filter",
    "status": 400,
    "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": RATED},
}


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_blocked_prompt_is_the_caller_s_own_to_mend(path: bytes) -> None:
    played, ear = answered(400, BLOCKED, path)
    assert ear.status == 400
    assert ear.error["message"] == "The response was filtered."
    if path == CHAT:
        assert ear.error == BLOCKED
    else:
        assert (ear.error["type"], ear.error["param"]) == ("invalid_request_error", "prompt")
    assert only(played)["kind"] == "upstream_rejected"
    assert len(played.sent) == 1


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_deployment_that_is_not_there(path: bytes) -> None:
    error = {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}
    played, ear = answered(404, error, path)
    assert ear.status == 404
    assert "does not exist" in ear.error["message"]
    assert len(played.sent) == 1


def test_a_deployment_that_is_not_there_does_not_mean_that_the_operation_is_not() -> None:
    played = stage(azure("providers: {azure: {wire: openai}}"))
    body = msgspec.json.encode({"model": "one", "input": "hi"})
    error = msgspec.json.encode({"error": {"code": "DeploymentNotFound", "message": "none"}})
    for _ in range(2):
        _, ear = played.ask_raw(body, b"/v1/responses")
        assert played.sent[-1].call.to.path == b"/openai/v1/responses"
        played.sent[-1].whole(error, 404)
        assert ear.status == 404
    assert len(played.sent) == 2


@pytest.mark.parametrize(
    ("status", "code", "kind", "answer"),
    [
        (401, "401", "upstream_auth", 502),
        (429, "429", "upstream_rate_limited", 429),
        (500, "500", "upstream_error", 500),
    ],
)
def test_a_code_may_be_a_number_in_a_string(status: int, code: str, kind: str, answer: int) -> None:
    error = {"code": code, "message": "Access denied due to azure-secret."}
    played, ear = answered(status, error, MESSAGES)
    assert ear.status == answer
    assert (status != 401) or ("azure-secret" not in ear.error["message"])
    assert ear.error["code"] == kind
    assert only(played)["outcome"] == "error"


def test_a_code_alone_tells_the_status_of_an_error_in_a_stream() -> None:
    played = stage()
    _, ear = played.ask(path=MESSAGES, stream=True)
    played.sent[0].begin(headers=EVENTS)
    played.sent[0].say(b'data: {"error":{"code":"429","message":"slow down"}}\n\n')
    assert ear.status == 429


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (((b"retry-after-ms", b"1500"), (b"retry-after", b"30")), b"2"),
        (((b"retry-after", b"7"),), b"7"),
        (((b"retry-after-ms", b"junk"), (b"retry-after", b"3")), b"3"),
    ],
)
def test_how_long_to_wait_in_milliseconds_first(headers: tuple[tuple[bytes, bytes], ...], seconds: bytes) -> None:
    told = (b"x-ratelimit-remaining-tokens", b"0"), (b"apim-request-id", b"abc")
    _, ear = answered(429, {"code": "429", "message": "slow down"}, CHAT, *headers, *told)
    assert (ear.status, ear.lines[b"retry-after"]) == (429, seconds)
