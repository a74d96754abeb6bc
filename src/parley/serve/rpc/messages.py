"""Messages of the conversation service from and to the plain values of its HTTP forms.

What google.protobuf.json_format does, for these messages alone and at a fraction of its cost. The streaming form has
messages of its own, in a package and a pool of their own: those of the same names in Dapr's have other fields.
Source: conversation contract sections 1.2, 2.2 and 5.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from dapr.proto.runtime.v1 import ai_pb2
from google.protobuf import any_pb2, descriptor_pool, json_format, message_factory, struct_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import DecodeError

PACKAGE: Final = "parley.dapr.v1"
_STRUCT: Final = "type.googleapis.com/google.protobuf.Struct"
_TEXT: Final = FieldDescriptorProto.TYPE_STRING
_MESSAGE: Final = FieldDescriptorProto.TYPE_MESSAGE
_ANY: Final = ".google.protobuf.Any"
# Message -> fields: name, number, type or name of a message, repeated, optional.
_OURS: Final[Mapping[str, tuple[tuple[str, int, Any, bool, bool], ...]]] = {
    "ConversationRequest": (
        ("name", 1, _TEXT, False, False),
        ("conversationContext", 2, _TEXT, False, True),
        ("inputs", 3, _TEXT, True, False),
        ("parameters", 4, _ANY, True, False),
    ),
    "ConversationResult": (("result", 1, _TEXT, False, False), ("parameters", 2, _ANY, True, False)),
    "ConversationResponse": (
        ("conversationContext", 1, _TEXT, False, True),
        ("outputs", 2, f".{PACKAGE}.ConversationResult", True, False),
    ),
}


class WrongParameterError(Exception):
    """A parameter of a type that means nothing here."""


# Towards plain values


def plain(message: Any, plans: dict[str, dict[int, tuple[str, Callable[[Any], Any]]]]) -> dict[str, Any]:
    """A message by the names of its JSON form; what is not set is not there. ``plans`` remembers how they are read."""
    made: dict[str, Any] = {}
    plan = plans.get(message.DESCRIPTOR.full_name)
    if plan is None:
        plan = plans[message.DESCRIPTOR.full_name] = _planned(message.DESCRIPTOR, plans)
    for field, value in message.ListFields():
        known = plan.get(field.number)
        if known is not None:
            made[known[0]] = known[1](value)
    return made


def _planned(descriptor: Any, plans: Any) -> dict[int, tuple[str, Callable[[Any], Any]]]:
    # Maps of any messages are not read: one form gives them back, the other takes no note of them.
    read = (field for field in descriptor.fields if not _is_map_of_any(field))
    return {field.number: (field.json_name, _reader(field, plans)) for field in read}


def _is_map_of_any(field: Any) -> bool:
    kind = field.message_type
    if kind is None or not kind.GetOptions().map_entry:
        return False
    value = kind.fields_by_name["value"].message_type
    return value is not None and value.name == "Any"


def _reader(field: Any, plans: Any) -> Callable[[Any], Any]:
    kind = field.message_type
    if kind is None:
        return list if field.is_repeated else _same
    if kind.GetOptions().map_entry:
        return dict
    single = _single(kind, plans)
    return (lambda given: [single(one) for one in given]) if field.is_repeated else single


def _single(kind: Any, plans: Any) -> Callable[[Any], Any]:
    if kind.full_name == "google.protobuf.Struct":
        return struct
    if kind.full_name == "google.protobuf.Duration":
        return lambda given: given.ToJsonString()
    return lambda given: plain(given, plans)


def _same(value: Any) -> Any:
    return value


def struct(given: Any) -> dict[str, Any]:
    """A Struct's members; whole numbers are integers again."""
    return {name: _value(one) for name, one in given.fields.items()}


def _value(one: Any) -> Any:
    kind = one.WhichOneof("kind")
    if kind == "number_value":
        number = one.number_value
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    if kind == "struct_value":
        return struct(one.struct_value)
    if kind == "list_value":
        return [_value(item) for item in one.list_value.values]
    return None if kind in (None, "null_value") else getattr(one, kind)


# From plain values


def alpha1_reply(value: Mapping[str, Any]) -> Any:
    """An answer of the first form, without the parameters that it repeats."""
    made = ai_pb2.ConversationResponse()
    for output in value.get("outputs", ()):
        made.outputs.add(result=output.get("result", ""))
    if "contextID" in value:
        made.contextID = value["contextID"]
    return made


def alpha2_reply(value: Mapping[str, Any]) -> Any:
    """An answer of the second form."""
    made = ai_pb2.ConversationResponseAlpha2()
    if "contextId" in value:
        made.context_id = value["contextId"]
    for output in value.get("outputs", ()):
        result = made.outputs.add()
        for choice in output.get("choices", ()):
            _choice(choice, result.choices.add())
        if "model" in output:
            result.model = output["model"]
        if "usage" in output:
            result.usage.SetInParent()
            _usage(output["usage"], result.usage)
    return made


def _choice(given: Mapping[str, Any], made: Any) -> None:
    made.finish_reason = given.get("finishReason", "")
    made.index = int(given.get("index", 0))
    message = given.get("message", {})
    made.message.content = message.get("content", "")
    for call in message.get("toolCalls", ()):
        added = made.message.tool_calls.add()
        if "id" in call:
            added.id = call["id"]
        called = call.get("function", {})
        added.function.name, added.function.arguments = called.get("name", ""), called.get("arguments", "")


def _usage(given: Mapping[str, Any], made: Any) -> None:
    made.completion_tokens = int(given.get("completionTokens", 0))
    made.prompt_tokens = int(given.get("promptTokens", 0))
    made.total_tokens = int(given.get("totalTokens", 0))
    for name, part in (("completionTokensDetails", "completion"), ("promptTokensDetails", "prompt")):
        if name in given:
            json_format.ParseDict(given[name], getattr(made, f"{part}_tokens_details"), ignore_unknown_fields=True)


# The streaming form


class Turns:
    """Its messages: ``request`` and ``response`` are their classes."""

    def __init__(self) -> None:
        pool = descriptor_pool.DescriptorPool()
        pool.AddSerializedFile(any_pb2.DESCRIPTOR.serialized_pb)
        pool.AddSerializedFile(file().SerializeToString())
        classes = {
            name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in _OURS
        }
        self.request: Any = classes["ConversationRequest"]
        self.response: Any = classes["ConversationResponse"]

    def asked(self, message: Any) -> dict[str, Any]:
        """A request as its HTTP form. Raises WrongParameterError."""
        made: dict[str, Any] = {"inputs": list(message.inputs)}
        if message.HasField("conversationContext"):
            made["conversationContext"] = message.conversationContext
        parameters: dict[str, Any] = {}
        for place, one in enumerate(message.parameters):
            if one.type_url != _STRUCT:
                raise WrongParameterError(f"parameters[{place}] must hold a google.protobuf.Struct")
            try:
                parameters |= struct(struct_pb2.Struct.FromString(one.value))
            except DecodeError:
                raise WrongParameterError(f"parameters[{place}] holds what is no google.protobuf.Struct") from None
        return made | {"parameters": parameters}

    def answer(self, value: Mapping[str, Any]) -> bytes:
        """A piece of an answer."""
        made = self.response(conversationContext=value.get("conversationContext", ""))
        outputs: Sequence[Mapping[str, Any]] = value.get("outputs", ())
        for output in outputs:
            result = made.outputs.add()
            result.result = output.get("result", "")
            if output.get("parameters"):
                told = struct_pb2.Struct()
                told.update(output["parameters"])
                result.parameters.add(type_url=_STRUCT, value=told.SerializeToString())
        data: bytes = made.SerializeToString()
        return data


def file() -> FileDescriptorProto:
    """The file that describes them."""
    made = FileDescriptorProto(
        name="parley/dapr/v1/conversation.proto",
        package=PACKAGE,
        syntax="proto3",
        dependency=["google/protobuf/any.proto"],
    )
    for name, fields in _OURS.items():
        _describe(made.message_type.add(name=name), fields)
    return made


def _describe(message: DescriptorProto, fields: tuple[tuple[str, int, Any, bool, bool], ...]) -> None:
    for name, number, kind, repeated, optional in fields:
        field = message.field.add(name=name, number=number, json_name=name)
        field.label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
        if isinstance(kind, str):
            field.type, field.type_name = _MESSAGE, kind
        else:
            field.type = kind
        if optional:
            field.proto3_optional = True
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{name}")
