"""Wires of model servers in the file: which there are, and what their options may be."""

import pytest

from config.sample import good, only
from parley.settings import Provider

TRANSPORTS = {("kserve", "infer-grpc"): "grpc-infer", ("openvino", "openai"): "stops"}


def provider(entry: str) -> Provider:
    """The one provider of a file."""
    return good(f"providers: {{it: {entry}}}").settings.providers["it"]


@pytest.mark.parametrize(
    ("kind", "wire", "spoken", "paths"),
    [
        ("kserve", "openai", "openai_chat", {"chat": "/chat/completions"}),
        ("kserve", "generate", "oip_generate", {"chat_stream": "/v2/models/{model}/generate_stream"}),
        ("kserve", "infer", "oip_infer", {"chat": "/v2/models/{model}/infer"}),
        ("kserve", "infer-grpc", "oip_infer", {"chat": "/v2/models/{model}/infer"}),
        ("kserve", "predict", "kserve_predict", {"chat": "/v1/models/{model}:predict"}),
        ("openvino", "openai", "openai_chat", {"rerank": "/rerank"}),
        ("openvino", "infer", "oip_infer", {"chat": "/v2/models/{model}/infer"}),
        ("tgi", "openai", "openai_chat", {"completions": "/completions"}),
        ("tgi", "native", "tgi", {"chat": "/generate", "chat_stream": "/generate_stream"}),
        ("tei", "native", "tei", {"embeddings": "/embed", "rerank": "/rerank"}),
        ("huggingface", "tasks", "hf_tasks", {"image_generation": "/models/{path}"}),
    ],
)
def test_the_wires_there_are(kind: str, wire: str, spoken: str, paths: dict[str, str]) -> None:
    found = provider(f"{{type: {kind}, wire: {wire}, base_url: 'http://h:1', api_key: k}}")
    assert (found.wire, found.transport) == (spoken, TRANSPORTS.get((kind, wire), "native"))
    assert paths.items() <= found.paths.items()


@pytest.mark.parametrize(
    ("kind", "choices"),
    [
        ("kserve", "openai, generate, infer, infer-grpc or predict"),
        ("openvino", "openai or infer"),
        ("tgi", "openai or native"),
        ("tei", "openai or native"),
    ],
)
def test_other_wires_are_errors_that_name_the_choices(kind: str, choices: str) -> None:
    problem = only(f"providers: {{it: {{type: {kind}, wire: other}}}}")
    assert problem.message.endswith(f'has no wire "other": choose {choices}')


def test_options_are_kept() -> None:
    found = provider("{type: kserve, wire: infer, options: {input: prompt, shape: [1, 1], template: {user: '{text}'}}}")
    assert found.quirks.options == {"input": "prompt", "shape": [1, 1], "template": {"user": "{text}"}}


@pytest.mark.parametrize(
    ("entry", "column", "message", "hint"),
    [
        ("{type: kserve, wire: infer, options: {inptu: x}}", 55, 'unknown option "inptu"', 'did you mean "input"?'),
        ("{type: kserve, wire: infer, options: {zzz: x}}", 55, 'unknown option "zzz"', "known: input, output"),
        ("{type: kserve, wire: infer, options: {cumulative: true}}", 55, 'unknown option "cumulative"', "known:"),
        ("{type: kserve, wire: infer, options: {shape: [2]}}", 62, "Expected `int` <= 1", ""),
        ("{type: kserve, wire: infer, options: {template: {usr: x}}}", 65, "unknown field `usr`", ""),
        ("{type: kserve, wire: generate, options: {body: x}}", 64, "Invalid enum value 'x'", ""),
        ("{type: tei, wire: native, options: {prompts: 1}}", 62, "Expected `object`", ""),
        ("{type: vllm, options: {input: x}}", 40, 'unknown option "input"', "remove it: this wire has no options"),
        ("{type: kserve, wire: infer-grpc, transport: aiohttp}", 61, "native", "remove it"),
    ],
)
def test_options_that_do_not_fit(entry: str, column: int, message: str, hint: str) -> None:
    problem = only(f"providers: {{it: {entry}}}")
    assert message in problem.message
    assert hint in problem.hint
    assert (problem.line, problem.column) == (1, column)
