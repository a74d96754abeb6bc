"""gRPC messages of the Open Inference Protocol, against bytes that another implementation of it wrote."""

import struct
from typing import Any

import pytest
from msgspec import json

from parley.failure import ParleyError
from parley.io.oip_messages import InferRequest, InferResponse, answer_of, request_of

# Written with the messages that MLServer 1.7.1 brings.
REQUEST = (
    "0a016d1201321a016122100a0a6d61785f746f6b656e73120210032a170a0474657874120542595445531a01012a05420368c3a932030a016f"
)
TYPED = (
    "0a016d1201321a016122080a017012031a01782a160a016f120542595445531a0201012a06420468c3a9212a180a016e1204465033321a01"
    "022a0a32080000003f000080bf"
)
RAW = "0a016d2a0d0a016f120542595445531a01022a0d0a016e1205494e5431361a0102320b0300000068c3a90000000032040100feff"
TEXT = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hé"]}


def body(**members: Any) -> bytes:
    return json.encode({"inputs": [TEXT], **members})


def answer(*tensors: tuple[str, list[int]], raw: list[bytes] | None = None) -> bytes:
    made = InferResponse(model_name="m", raw_output_contents=raw or [])
    for datatype, shape in tensors:
        made.outputs.add(name="o", datatype=datatype, shape=shape)
    found: bytes = made.SerializeToString()
    return found


def test_a_request() -> None:
    found = request_of("m", "2", body(id="a", parameters={"max_tokens": 3}, outputs=[{"name": "o"}]))
    assert InferRequest.FromString(found) == InferRequest.FromString(bytes.fromhex(REQUEST))
    assert found == bytes.fromhex(REQUEST)


def test_an_answer_with_typed_contents() -> None:
    assert json.decode(answer_of(bytes.fromhex(TYPED))) == {
        "model_name": "m",
        "model_version": "2",
        "id": "a",
        "parameters": {"p": "x"},
        "outputs": [
            {"name": "o", "datatype": "BYTES", "shape": [1, 1], "data": ["hé!"]},
            {"name": "n", "datatype": "FP32", "shape": [2], "data": [0.5, -1.0]},
        ],
    }


def test_an_answer_with_raw_contents() -> None:
    assert json.decode(answer_of(bytes.fromhex(RAW))) == {
        "model_name": "m",
        "model_version": None,
        "parameters": None,
        "outputs": [
            {"name": "o", "datatype": "BYTES", "shape": [2], "data": ["hé", ""]},
            {"name": "n", "datatype": "INT16", "shape": [2], "data": [1, -2]},
        ],
    }


@pytest.mark.parametrize(
    ("datatype", "data", "raw"),
    [
        ("BOOL", [True, False], b"\x01\x00"),
        ("INT8", [-1], b"\xff"),
        ("INT32", [-2], b"\xfe\xff\xff\xff"),
        ("INT64", [2**40], struct.pack("<q", 2**40)),
        ("UINT8", [255], b"\xff"),
        ("UINT16", [258], b"\x02\x01"),
        ("UINT32", [2**31], struct.pack("<I", 2**31)),
        ("UINT64", [2**63], struct.pack("<Q", 2**63)),
        ("FP16", [0.5], b"\x00\x38"),
        ("FP64", [0.1], struct.pack("<d", 0.1)),
    ],
)
def test_every_datatype(datatype: str, data: list[Any], raw: bytes) -> None:
    shape = [len(data)]
    assert json.decode(answer_of(answer((datatype, shape), raw=[raw])))["outputs"][0]["data"] == data
    if datatype == "FP16":
        return
    tensor = {"name": "o", "shape": shape, "datatype": datatype, "data": data}
    made = InferRequest.FromString(request_of("m", "", json.encode({"inputs": [tensor]})))
    again = InferResponse(model_name="m")
    again.outputs.add().MergeFromString(made.inputs[0].SerializeToString())
    assert json.decode(answer_of(again.SerializeToString()))["outputs"][0]["data"] == data


def test_nested_data_is_flat_there_and_fractions_are_texts() -> None:
    nested = {**TEXT, "shape": [1, 1], "data": [["a"]]}
    made = InferRequest.FromString(
        request_of("m", "", json.encode({"inputs": [nested], "parameters": {"t": 0.5, "b": True, "s": "x"}}))
    )
    assert list(made.inputs[0].contents.bytes_contents) == [b"a"]
    assert made.parameters["t"].string_param == "0.5"
    assert made.parameters["b"].bool_param is True
    assert made.parameters["s"].string_param == "x"


@pytest.mark.parametrize(
    "sent",
    [
        b"{",
        b"[]",
        json.encode({"inputs": [{"name": "o"}]}),
        json.encode({"inputs": [{**TEXT, "data": [1]}]}),
        json.encode({"inputs": [{**TEXT, "datatype": "FP16", "data": [1]}]}),
        json.encode({"inputs": [{**TEXT, "datatype": "ODD"}]}),
        json.encode({"inputs": [{**TEXT, "datatype": "INT32", "data": ["x"]}]}),
        json.encode({"inputs": [TEXT], "parameters": {"stop": ["x"]}}),
    ],
)
def test_what_the_protocol_cannot_hold(sent: bytes) -> None:
    with pytest.raises(ParleyError) as caught:
        request_of("m", "", sent)
    assert caught.value.failure.kind == "invalid_request"


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff",
        answer(("BYTES", [1]), raw=[b"\x05\x00\x00\x00abc"]),
        answer(("BYTES", [1]), raw=[b"\x05\x00"]),
        answer(("BYTES", [1]), raw=[b"\x01\x00\x00\x00\xff"]),
        answer(("FP32", [1]), raw=[b"\x00\x00\x00"]),
        answer(("FP32", [1]), raw=[b"", b""]),
        answer(("ODD", [1]), raw=[b"x"]),
        answer(("ODD", [1])),
    ],
)
def test_answers_that_are_none(data: bytes) -> None:
    with pytest.raises(ParleyError) as caught:
        answer_of(data)
    found = caught.value.failure
    assert (found.kind, found.detail) == ("upstream_bad_response", "bad_shape")
