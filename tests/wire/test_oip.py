"""The Open Inference Protocol and V1 as providers of text: bodies, answers, and what operators may set."""

from typing import Any

import pytest
from msgspec import ValidationError, json
from openai.types.chat import ChatCompletion

from parley.ir import EmbedRequest, Text
from parley.wire import load
from relay_parts import reply
from wire.server_parts import OPENAI, failure, fitted, left

INFER, GENERATE, PREDICT = load("oip_infer"), load("oip_generate"), load("kserve_predict")
PROMPT = "User: hi\nAssistant:"
INPUT = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [PROMPT]}


def outputs(*tensors: Any, **more: Any) -> bytes:
    absent = {"model_version": None, "id": None, "parameters": None}
    return json.encode({"model_name": "m", **absent, **more, "outputs": list(tensors)})


def tensor(data: Any, name: str = "out", datatype: str = "BYTES", shape: Any = (1,)) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "parameters": None, "data": data}


def texts(wire: Any, body: bytes) -> list[str]:
    return ["".join(block.text for block in choice.content) for choice in wire.decode_response(body).choices]


def test_a_text_goes_in_as_a_tensor() -> None:
    made, dropped = left("oip_infer", temperature=0.5, stream=True)
    assert made == {"inputs": [INPUT]}
    assert dropped == ("temperature",)


def test_names_shape_and_settings_are_the_operators() -> None:
    options = {"input": "prompt", "output": "answer", "shape": [1, 1], "parameters": ["temperature", "max_tokens"]}
    made, dropped = left("oip_infer", options, temperature=0.5, max_tokens=3, seed=1)
    assert made == {
        "inputs": [{**INPUT, "name": "prompt", "shape": [1, 1]}],
        "outputs": [{"name": "answer"}],
        "parameters": {"temperature": 0.5, "max_tokens": 3},
    }
    assert dropped == ("seed",)


@pytest.mark.parametrize(
    ("data", "found"),
    [(["hello!"], ["hello!"]), ([["hello!"]], ["hello!"]), (["a", "b"], ["a", "b"]), ([["a"], ["b"]], ["a", "b"])],
)
def test_every_element_is_an_answer_flat_or_nested(data: Any, found: list[str]) -> None:
    assert texts(INFER, outputs(tensor(data, shape=[len(found), 1]))) == found


def test_the_tensor_of_text_is_found_among_others() -> None:
    body = outputs(tensor([0.5], "score", "FP32"), tensor(["yes"]), tensor(["no"], "other"))
    assert texts(INFER, outputs(tensor([0.5], "score", "FP32"), tensor(["yes"]))) == ["yes"]
    assert texts(fitted("oip_infer", output="other"), body) == ["no"]
    assert failure(INFER.decode_response, body).detail == "bad_shape"
    assert "option output" in failure(INFER.decode_response, body).message
    assert failure(fitted("oip_infer", output="none").decode_response, body).detail == "bad_shape"
    assert "FP32" in failure(fitted("oip_infer", output="score").decode_response, body).message


def test_the_official_client_reads_what_callers_get() -> None:
    found = INFER.decode_response(outputs(tensor(["hello!"]), id="a"))
    answer = ChatCompletion.model_validate_json(OPENAI.encode_response(found, reply("oip_infer")))
    assert (answer.id, answer.model, answer.choices[0].message.content) == ("a", "m", "hello!")
    assert answer.usage is None


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "empty_body"),
        (b"<html>", "bad_json"),
        (b"[]", "bad_shape"),
        (b'{"outputs":null}', "bad_shape"),
        (b'{"outputs":[1]}', "bad_shape"),
        (outputs(), "bad_shape"),
        (outputs(tensor([])), "bad_shape"),
        (outputs(tensor(None)), "bad_shape"),
        (outputs(tensor([1])), "bad_shape"),
        (b'{"error":"Model with name m does not exist."}', "stream_error"),
    ],
)
def test_answers_that_hold_no_text(body: bytes, detail: str) -> None:
    assert failure(INFER.decode_response, body).detail == detail


EMBED = load("oip_embed")


def embed(*inputs: Any, **more: Any) -> EmbedRequest:
    return EmbedRequest(wire="openai_embeddings", model="m", inputs=inputs, **more)


def test_texts_to_vectors() -> None:
    made = EMBED.encode_request(embed("a", "b"), {})
    assert made.body == {"inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}]}
    told = fitted("oip_embed", input="in", output="out", shape=[1, 1])
    made = told.encode_request(embed("a", "b", user="u", dimensions=3, purpose="q", extra={"odd": 1}), {})
    assert made.body == {
        "inputs": [{"name": "in", "shape": [2, 1], "datatype": "BYTES", "data": ["a", "b"]}],
        "outputs": [{"name": "out"}],
    }
    assert made.dropped == ("dimensions", "user", "input_type", "odd")
    assert failure(EMBED.encode_request, embed((1, 2), single=True), {}).param == "input"


@pytest.mark.parametrize(
    ("data", "shape"), [([1, 2, 3, 4], [2, 2]), ([[1, 2], [3, 4]], [2, 2]), ([[[1, 2]], [[3, 4]]], [2, 1, 2])]
)
def test_vectors_come_flat_or_nested(data: Any, shape: list[int]) -> None:
    body = outputs(tensor(["x"]), tensor(data, datatype="FP32", shape=shape))
    found = EMBED.decode_response(body)
    assert (found.vectors, found.model) == (((1.0, 2.0), (3.0, 4.0)), "m")


@pytest.mark.parametrize(
    "body",
    [
        outputs(),
        outputs(tensor(["x"])),
        outputs(tensor([1, 2], datatype="FP32", shape=[2])),
        outputs(tensor([1, 2, 3], datatype="FP32", shape=[2, 2])),
        outputs(tensor([1, 2, 3, 4], datatype="FP32", shape=[1, 2, 2])),
        outputs(tensor([1, 2, 3, 4], datatype="FP32", shape=[-2, -2])),
        outputs(tensor([], datatype="FP32", shape=[0, 2])),
        outputs(tensor([None], datatype="FP32", shape=[1, 1])),
        outputs(tensor([1], datatype="FP32", shape=None)),
        outputs(tensor([1], datatype="FP32", shape=[1, 1]), tensor([1], datatype="FP32", shape=[1, 1])),
    ],
)
def test_answers_that_hold_no_vectors(body: bytes) -> None:
    assert failure(EMBED.decode_response, body).detail == "bad_shape"


def test_the_generate_extension() -> None:
    made, dropped = left("oip_generate", temperature=0.5, top_p=0.9, max_tokens=3, stop="x", seed=1)
    parameters = {"temperature": 0.5, "top_p": 0.9, "max_tokens": 3, "stop": ["x"], "details": True}
    assert made == {"text_input": PROMPT, "parameters": parameters}
    assert dropped == ("seed",)


def test_a_server_that_takes_more_and_beside_the_text() -> None:
    made, dropped = left("oip_generate", {"flat": True, "parameters": ["seed"]}, seed=1, max_tokens=3)
    assert made == {"text_input": PROMPT, "max_tokens": 3, "seed": 1}
    assert dropped == ()


def test_a_server_whose_generate_is_an_infer() -> None:
    made, dropped = left("oip_generate", {"body": "infer", "input": "prompt"}, max_tokens=3)
    assert made == {"inputs": [{**INPUT, "name": "prompt"}]}
    assert dropped == ("max_tokens",)
    assert texts(fitted("oip_generate", body="infer"), outputs(tensor([["hi"]], shape=[1, 1]))) == ["hi"]


@pytest.mark.parametrize(
    ("reason", "stop"),
    [("eos_token", "end"), ("stop_sequence", "stop_sequence"), ("length", "length"), (None, "end"), ("new", "end")],
)
def test_a_generated_text(reason: str | None, stop: str) -> None:
    details = {"finish_reason": reason, "logprobs": None}
    body = json.encode({"text_output": "hi", "model_name": "m", "model_version": None, "details": details})
    found = GENERATE.decode_response(body)
    assert (found.model, found.choices[0].content, found.choices[0].stop) == ("m", (Text("hi"),), stop)
    assert found.choices[0].native == reason
    assert texts(GENERATE, b'{"text_output":"hi","details":null}') == ["hi"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"{}", "bad_shape"),
        (b'{"text_output":null}', "bad_shape"),
        (b"[]", "bad_shape"),
        (b'{"error":"no"}', "stream_error"),
    ],
)
def test_answers_that_hold_no_generated_text(body: bytes, detail: str) -> None:
    assert failure(GENERATE.decode_response, body).detail == detail


def test_an_instance_is_a_text_or_an_object() -> None:
    assert left("kserve_predict", seed=1) == ({"instances": [PROMPT]}, ("seed",))
    options = {"input": "text", "output": "generated", "parameters": ["seed"]}
    assert left("kserve_predict", options, seed=1) == (
        {"instances": [{"text": PROMPT}], "parameters": {"seed": 1}},
        (),
    )


@pytest.mark.parametrize(
    ("predictions", "options", "found"),
    [
        (["hi"], {}, ["hi"]),
        ([["hi"]], {}, ["hi"]),
        ([{"generated_text": "hi", "score": 1}], {}, ["hi"]),
        ([{"a": "x", "b": "hi"}], {"output": "b"}, ["hi"]),
        (["a", "b"], {}, ["a", "b"]),
    ],
)
def test_predictions(predictions: Any, options: dict[str, Any], found: list[str]) -> None:
    assert texts(fitted("kserve_predict", **options), json.encode({"predictions": predictions})) == found


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ({}, {}),
        ([], {}),
        ({"predictions": []}, {}),
        ({"predictions": [1]}, {}),
        ({"predictions": [{"a": "x", "b": "y"}]}, {}),
        ({"predictions": [{"a": "x"}]}, {"output": "b"}),
        ({"predictions": ["hi"]}, {"output": "b"}),
        ({"predictions": [["a", "b"]]}, {}),
    ],
)
def test_answers_without_predictions(data: Any, options: dict[str, Any]) -> None:
    assert failure(fitted("kserve_predict", **options).decode_response, json.encode(data)).detail == "bad_shape"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("oip_infer", {"shape": [2]}),
        ("oip_infer", {"shape": []}),
        ("oip_infer", {"input": ""}),
        ("oip_infer", {"parameters": ["stop"]}),
        ("oip_infer", {"template": "x"}),
        ("oip_infer", {"template": {"usr": "x"}}),
        ("oip_generate", {"body": "other"}),
        ("oip_generate", {"flat": 1}),
        ("kserve_predict", {"output": 1}),
        ("tgi", {"template": {"user": 1}}),
        ("tei_embed", {"prompts": [1]}),
    ],
)
def test_options_that_do_not_fit(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        fitted(name, **options)
