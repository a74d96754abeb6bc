"""Messages of the Open Inference Protocol over gRPC, from and to the JSON of its REST form.

The descriptors are built here, from the numbers of the published protocol, in a pool of their own. Texts are bytes over
gRPC and strings in JSON. Tensors are sent as typed contents; answers may also hold raw contents: all elements one after
the other, little-endian, texts each behind their length in four bytes. Source: provider contract 6.4.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import DecodeError

from parley.failure import Failure, ParleyError, invalid

INFER: Final = "/inference.GRPCInferenceService/ModelInfer"
LIVE: Final = "/inference.GRPCInferenceService/ServerLive"
# The whole message of a server that says it is.
IS_LIVE: Final = b"\x08\x01"
_PACKAGE: Final = "inference"
_KINDS: Final = {
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "uint32": FieldDescriptorProto.TYPE_UINT32,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
    "float": FieldDescriptorProto.TYPE_FLOAT,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
}
# Message -> fields in the order of their numbers: name, kind. "*" repeats it, "map" is one of parameters, "|" a choice.
_MESSAGES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "InferParameter": (
        ("bool_param", "|bool"),
        ("int64_param", "|int64"),
        ("string_param", "|string"),
        ("double_param", "|double"),
    ),
    "InferTensorContents": (
        ("bool_contents", "*bool"),
        ("int_contents", "*int32"),
        ("int64_contents", "*int64"),
        ("uint_contents", "*uint32"),
        ("uint64_contents", "*uint64"),
        ("fp32_contents", "*float"),
        ("fp64_contents", "*double"),
        ("bytes_contents", "*bytes"),
    ),
    "Tensor": (
        ("name", "string"),
        ("datatype", "string"),
        ("shape", "*int64"),
        ("parameters", "map"),
        ("contents", "InferTensorContents"),
    ),
    "Wanted": (("name", "string"), ("parameters", "map")),
    "ModelInferRequest": (
        ("model_name", "string"),
        ("model_version", "string"),
        ("id", "string"),
        ("parameters", "map"),
        ("inputs", "*Tensor"),
        ("outputs", "*Wanted"),
        ("raw_input_contents", "*bytes"),
    ),
    "ModelInferResponse": (
        ("model_name", "string"),
        ("model_version", "string"),
        ("id", "string"),
        ("parameters", "map"),
        ("outputs", "*Tensor"),
        ("raw_output_contents", "*bytes"),
    ),
}
# Datatype -> the typed contents that hold it ("" for none), its form in raw contents.
_TYPES: Final[Mapping[str, tuple[str, str]]] = {
    "BOOL": ("bool_contents", "?"),
    "INT8": ("int_contents", "b"),
    "INT16": ("int_contents", "h"),
    "INT32": ("int_contents", "i"),
    "INT64": ("int64_contents", "q"),
    "UINT8": ("uint_contents", "B"),
    "UINT16": ("uint_contents", "H"),
    "UINT32": ("uint_contents", "I"),
    "UINT64": ("uint64_contents", "Q"),
    "FP16": ("", "e"),
    "FP32": ("fp32_contents", "f"),
    "FP64": ("fp64_contents", "d"),
    "BYTES": ("bytes_contents", ""),
}
_CHOICES: Final = {bool: "bool_param", int: "int64_param", str: "string_param", float: "string_param"}


def _described() -> FileDescriptorProto:
    file = FileDescriptorProto(name="parley/open_inference.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields, 1):
            _describe(message, field, number, kind)
    return file


def _describe(message: DescriptorProto, name: str, number: int, kind: str) -> None:
    field = message.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kind == "map":
        entry = message.nested_type.add(name="ParametersEntry")
        entry.options.map_entry = True
        _describe(entry, "key", 1, "string")
        _describe(entry, "value", 2, "InferParameter")
        kind = f"*{message.name}.ParametersEntry"
    if kind.startswith("|"):
        field.oneof_index = 0
        if not message.oneof_decl:
            message.oneof_decl.add(name="parameter_choice")
    if kind.startswith("*"):
        field.label = FieldDescriptorProto.LABEL_REPEATED
    kind = kind.lstrip("*|")
    field.type = _KINDS.get(kind, FieldDescriptorProto.TYPE_MESSAGE)
    if kind not in _KINDS:
        field.type_name = f".{_PACKAGE}.{kind}"


def _made() -> tuple[type[Any], type[Any]]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_described())
    request, answer = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in ("ModelInferRequest", "ModelInferResponse")
    )
    return request, answer


InferRequest, InferResponse = _made()


def request_of(model: str, version: str, body: bytes) -> bytes:
    """The message for a REST body. Raises ``invalid_request`` for what the protocol cannot hold."""
    try:
        asked = msgspec.json.decode(body, type=dict[str, Any])
        made = InferRequest(model_name=model, model_version=version, id=asked.get("id") or "")
        _put_parameters(made, asked.get("parameters"))
        for tensor in asked.get("inputs") or ():
            _put_tensor(made.inputs.add(), tensor)
        for wanted in asked.get("outputs") or ():
            made.outputs.add(name=wanted["name"])
        found: bytes = made.SerializeToString()
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise invalid(f"the request does not fit the protocol of this provider: {error}") from None
    return found


def _put_tensor(made: Any, tensor: dict[str, Any]) -> None:
    made.name, made.datatype = tensor["name"], tensor["datatype"]
    made.shape.extend(tensor["shape"])
    contents = _TYPES[tensor["datatype"]][0]
    if not contents:
        raise TypeError(f"tensors of {tensor['datatype']} cannot be sent")
    data = list(_flat(tensor["data"]))
    texts = tensor["datatype"] == "BYTES"
    getattr(made.contents, contents).extend([text.encode() for text in data] if texts else data)
    _put_parameters(made, tensor.get("parameters"))


def _put_parameters(made: Any, parameters: dict[str, Any] | None) -> None:
    """The published protocol knows no fractions: such a number goes as its text."""
    for name, value in (parameters or {}).items():
        kind = _CHOICES.get(type(value))
        if kind is None:
            raise TypeError(f"parameter {name!r} is neither a text nor a number")
        setattr(made.parameters[name], kind, repr(value) if isinstance(value, float) else value)


def _flat(data: Any) -> Iterator[Any]:
    pending = [data]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending += reversed(item)
        else:
            yield item


def answer_of(data: bytes) -> bytes:
    """The REST body of an answer's message. Raises ``upstream_bad_response`` (bad_shape)."""
    try:
        answer = InferResponse.FromString(data)
    except DecodeError:
        raise _bad("not a message of the protocol") from None
    raw = answer.raw_output_contents
    if raw and len(raw) != len(answer.outputs):
        raise _bad("one with other tensors than contents")
    made: dict[str, Any] = {"model_name": answer.model_name, "model_version": answer.model_version or None}
    made |= {"id": answer.id} if answer.id else {}
    made["parameters"] = _parameters(answer) or None
    made["outputs"] = [_tensor(tensor, raw[place] if raw else None) for place, tensor in enumerate(answer.outputs)]
    return msgspec.json.encode(made)


def _parameters(answer: Any) -> dict[str, Any]:
    chosen = {name: (value, value.WhichOneof("parameter_choice")) for name, value in answer.parameters.items()}
    return {name: getattr(value, which) if which else None for name, (value, which) in chosen.items()}


def _tensor(tensor: Any, raw: bytes | None) -> dict[str, Any]:
    typed, form = _TYPES.get(tensor.datatype, ("", ""))
    if raw is not None:
        data: list[Any] = _texts(raw) if tensor.datatype == "BYTES" else _numbers(raw, form)
    elif typed:
        data = list(getattr(tensor.contents, typed))
    else:
        raise _bad(f"readable: tensors of {tensor.datatype[:20]!r} are unknown")
    if tensor.datatype == "BYTES":
        data = [_text(value) for value in data]
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape), "data": data}


def _texts(raw: bytes) -> list[bytes]:
    found, place = [], 0
    while place < len(raw):
        end = place + 4 + int.from_bytes(raw[place : place + 4], "little")
        if place + 4 > len(raw) or end > len(raw):
            raise _bad("whole: a tensor of text is cut")
        found.append(raw[place + 4 : end])
        place = end
    return found


def _numbers(raw: bytes, form: str) -> list[Any]:
    if not form:
        raise _bad("readable: a tensor is of an unknown type")
    size = struct.calcsize(f"<{form}")
    if len(raw) % size:
        raise _bad("whole: a tensor is cut")
    return list(struct.unpack(f"<{len(raw) // size}{form}", raw))


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _bad("text: a tensor holds bytes that are not UTF-8") from None


def _bad(what: str) -> ParleyError:
    return ParleyError(Failure("upstream_bad_response", f"the provider's answer is not {what}", detail="bad_shape"))
