"""Messages of Caila's service Gate, built here from the numbers of its fields, in a pool of their own.

Only what clients of predictions use is here; fields that are not known are skipped. Source: predict contract section 7.
"""

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

SERVICE: Final = "com.mlp.gate.Gate"
_PACKAGE: Final = "com.mlp.gate"
_SCALARS: Final = {
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
}
STATUSES: Final[Mapping[str, int]] = {
    "OK": 0,
    "BAD_REQUEST": 400,
    "ACCESS_DENIED": 403,
    "NOT_FOUND": 404,
    "TOO_MANY_REQUESTS": 429,
    "INTERNAL_SERVER_ERROR": 500,
    "BAD_GATEWAY": 502,
    "SERVICE_UNAVAILABLE": 503,
    "GATEWAY_TIMEOUT": 504,
}
# Name, message that is asked, message that answers, whether each is a stream.
METHODS: Final[tuple[tuple[str, str, str, bool, bool], ...]] = (
    ("healthCheck", "HeartBeatProto", "HeartBeatProto", False, False),
    ("process", "ClientRequestProto", "ClientResponseProto", False, False),
    ("processResponseStream", "ClientRequestProto", "ClientResponseProto", False, True),
    ("processStream", "ClientRequestProto", "ClientResponseProto", True, True),
)
# Message -> fields: name, number, kind. "|" is one of a choice, "?" says whether it was given, "map:" a map of texts to
# that kind.
_MESSAGES: Final[Mapping[str, tuple[tuple[str, int, str], ...]]] = {
    "PayloadProto": (("dataType", 1, "?string"), ("json", 101, "|string"), ("protobuf", 102, "|bytes")),
    "PredictRequestProto": (("data", 101, "PayloadProto"), ("config", 102, "PayloadProto")),
    "PredictResponseProto": (("data", 101, "PayloadProto"),),
    "PartialPredictRequestProto": (
        ("data", 101, "PayloadProto"),
        ("config", 102, "PayloadProto"),
        ("start", 103, "bool"),
        ("finish", 104, "bool"),
    ),
    "PartialPredictResponseProto": (("data", 101, "PayloadProto"), ("start", 103, "bool"), ("finish", 104, "bool")),
    "ExtendedRequestProto": (("methodName", 1, "string"), ("params", 2, "map:PayloadProto")),
    "ExtendedResponseProto": (("data", 1, "PayloadProto"),),
    "ApiErrorProto": (
        ("code", 1, "string"),
        ("message", 2, "string"),
        ("status", 3, "enum"),
        ("args", 4, "map:string"),
    ),
    "ClientRequestProto": (
        ("account", 1, "string"),
        ("model", 2, "string"),
        ("authToken", 3, "string"),
        ("timeoutSec", 4, "int32"),
        ("predict", 101, "|PredictRequestProto"),
        ("ext", 103, "|ExtendedRequestProto"),
        ("partialPredict", 104, "|PartialPredictRequestProto"),
        ("headers", 1000, "map:string"),
    ),
    "ClientResponseProto": (
        ("predict", 101, "|PredictResponseProto"),
        ("ext", 103, "|ExtendedResponseProto"),
        ("partialPredict", 104, "|PartialPredictResponseProto"),
        ("error", 201, "|ApiErrorProto"),
        ("headers", 1000, "map:string"),
    ),
    "HeartBeatProto": (("status", 1, "string"), ("interval", 2, "int32")),
}


def file() -> FileDescriptorProto:
    """The file that describes them, and the service."""
    made = FileDescriptorProto(name="parley/predict_gate.proto", package=_PACKAGE, syntax="proto3")
    statuses = made.enum_type.add(name="SimpleStatusProto")
    for name, number in STATUSES.items():
        statuses.value.add(name=name, number=number)
    for name, fields in _MESSAGES.items():
        message = made.message_type.add(name=name)
        if any(kind.startswith("|") for _, _, kind in fields):
            message.oneof_decl.add(name="body")
        for field in fields:
            _add(message, *field)
        # A field that says whether it was given is a choice of one, after all others.
        for field in message.field:
            if field.proto3_optional:
                field.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field.name}")
    service = made.service.add(name=SERVICE.rpartition(".")[2])
    for name, asked, answered, takes, gives in METHODS:
        method = service.method.add(name=name, client_streaming=takes, server_streaming=gives)
        method.input_type, method.output_type = f".{_PACKAGE}.{asked}", f".{_PACKAGE}.{answered}"
    return made


def _add(message: DescriptorProto, name: str, number: int, kind: str) -> None:
    field = message.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kind.startswith("|"):
        field.oneof_index = 0
    field.proto3_optional = kind.startswith("?")
    plain = kind.lstrip("|?")
    if plain.startswith("map:"):
        field.label = FieldDescriptorProto.LABEL_REPEATED
        entry = message.nested_type.add(name=f"{name[0].upper()}{name[1:]}Entry")
        entry.options.map_entry = True
        _add(entry, "key", 1, "string")
        _add(entry, "value", 2, plain.removeprefix("map:"))
        plain = f"{message.name}.{entry.name}"
    if plain == "enum":
        field.type, field.type_name = FieldDescriptorProto.TYPE_ENUM, f".{_PACKAGE}.SimpleStatusProto"
    elif plain in _SCALARS:
        field.type = _SCALARS[plain]
    else:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{plain}"


def messages() -> dict[str, Any]:
    """The classes of all messages by name, in a pool that nobody else uses."""
    pool = descriptor_pool.DescriptorPool()
    described = file()
    pool.Add(described)
    return {
        one.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{one.name}"))
        for one in described.message_type
    }


CLASSES: Final = messages()
