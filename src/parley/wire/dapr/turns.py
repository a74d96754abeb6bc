"""The form of the API that its proposal described: texts in, one answer for each, in a conversation that goes on.

What a conversation is kept as between requests, and how requests of the other forms continue it, is here as well.
Source: conversation contract section 5.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec import DecodeError, Raw, Struct, json

from parley.failure import Failure, ParleyError
from parley.wire.dapr.errors import MISSING_INPUTS, bad_params, told
from parley.wire.dapr.form import MAX_BODY, malformed, parsed
from parley.wire.dapr.request import ALPHA1, ALPHA2

TURNS: Final = "dapr_turns"
# Characters of a conversation, all its turns together. What a message may hold is more than any model reads.
LONGEST: Final = MAX_BODY
TOO_LONG: Final = Failure(
    "upstream_rejected", f"the conversation is longer than {LONGEST} characters", detail="too_large"
)
# What of a request to a model is not the caller's to set here.
TAKEN: Final = frozenset(
    {
        "messages", "model", "stream", "stream_options", "n", "tools", "tool_choice", "parallel_tool_calls",
        "functions", "function_call", "audio", "modalities", "store",
    }
)  # fmt: skip
# Where a text stands: what holds it, and as which member.
Place: TypeAlias = tuple[dict[str, Any], str]
_SPEAKERS: Final = {"ofDeveloper": "user", "ofSystem": "system", "ofUser": "user"}
_MEMBERS: Final = {"system": "ofSystem", "user": "ofUser"}
_ROLES: Final = {"human": "user", "user": "user", "assistant": "assistant", "ai": "assistant", "system": "system"}


class Call(Struct, frozen=True, omit_defaults=True):
    """A call of a tool that a model made."""

    name: str = ""
    arguments: str = ""
    id: str = ""


class Turn(Struct, frozen=True, omit_defaults=True):
    """One turn as it is kept: ``role`` is system, user, assistant or tool; of a tool ``answers`` is the call's id."""

    role: str
    text: str = ""
    calls: tuple[Call, ...] = ()
    answers: str = ""
    name: str = ""


class Asked(Struct, frozen=True):
    """A request of this form."""

    context: str
    inputs: tuple[str, ...]
    parameters: Mapping[str, Any]


_KINDS: Final = (
    ("conversationContext", str, "a string"),
    ("inputs", list, "an array"),
    ("parameters", dict, "an object"),
)
_turn: Final = json.Decoder(Turn).decode


def is_turns(body: bytes) -> bool:
    """Whether a body on the path of the first form is of this one: its inputs are texts, or it names a context."""
    try:
        value = json.decode(body)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if not isinstance(value, dict):
        return False
    inputs = value.get("inputs")
    texts = isinstance(inputs, list) and bool(inputs) and all(isinstance(one, str) for one in inputs)
    return texts or "conversationContext" in value


def prepared(body: bytes) -> bytes:
    """The body as plain JSON, as far as it means anything. Raises as the other forms do."""
    asked = read(body)
    return json.encode({"conversationContext": asked.context, "inputs": asked.inputs, "parameters": asked.parameters})


def read(body: bytes) -> Asked:
    """What a body asks. Raises ``invalid_request`` of detail MALFORMED, ``body_too_large``."""
    if len(body) > MAX_BODY:
        raise ParleyError(Failure("body_too_large", "http: request body too large", status=400))
    value = parsed(body) if body.strip() else {}
    for name, kind, words in _KINDS:
        if value.get(name) is not None and not isinstance(value[name], kind):
            raise malformed(f"expected {words}", name)
    inputs = value.get("inputs") or ()
    for place, one in enumerate(inputs):
        if not isinstance(one, str):
            raise malformed("expected a string", f"inputs[{place}]")
    return Asked(value.get("conversationContext") or "", tuple(inputs), value.get("parameters") or {})


def judged(asked: Asked) -> Asked:
    """The same where it can be answered. Raises ``invalid_request``."""
    if not asked.inputs:
        raise ParleyError(
            Failure("invalid_request", "missing inputs in request", param="inputs", detail=MISSING_INPUTS)
        )
    taken = sorted(TAKEN.intersection(asked.parameters))
    if taken:
        raise bad_params(f"the parameter {taken[0]} cannot be set here", f"parameters.{taken[0]}")
    return asked


def request_of(asked: Asked, model: str, turns: Sequence[Turn], *, streams: bool) -> bytes:
    """The request to a model that has the next turn, in the words of the usual chat API."""
    body: dict[str, Any] = {**asked.parameters, "model": model, "messages": [_message(turn) for turn in turns]}
    if streams:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.encode(body)


def _message(turn: Turn) -> dict[str, Any]:
    made: dict[str, Any] = {"role": turn.role, "content": turn.text}
    if turn.calls:
        made["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in turn.calls
        ]
    if turn.role == "tool":
        made["tool_call_id"] = turn.answers
    return made


class Part:
    """An answer to one input, as it grows or whole. ``failure`` is what the provider said is wrong."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.model = ""
        self.reason = ""
        self.usage: Any = None

    def whole(self, body: bytes) -> str:
        """The text of a whole answer."""
        return self._told(json.decode(body), "message")

    def event(self, data: bytes) -> str:
        """The text that an event brings."""
        return "" if data == b"[DONE]" else self._told(json.decode(data), "delta")

    def parameters(self) -> dict[str, Any]:
        """What is told of it once it is whole."""
        told_: dict[str, Any] = {"model": self.model, "finish_reason": self.reason, "usage": self.usage}
        return {name: value for name, value in told_.items() if value}

    def turn(self) -> Turn:
        """As it is kept."""
        return Turn("assistant", "".join(self.text))

    def _told(self, value: dict[str, Any], member: str) -> str:
        self.model = value.get("model") or self.model
        self.usage = value.get("usage") or self.usage
        text = ""
        for choice in (value.get("choices") or ())[:1]:
            self.reason = choice.get("finish_reason") or self.reason
            text = (choice.get(member) or {}).get("content") or ""
        if text:
            self.text.append(text)
        return text


def output(text: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """One entry of an answer."""
    return {"result": text, "parameters": parameters}


def answer(context: str, outputs: Sequence[Mapping[str, Any]]) -> bytes:
    """An answer, or a piece of one."""
    return json.encode({"conversationContext": context, "outputs": outputs})


def event(context: str, place: int, entry: Mapping[str, Any]) -> bytes:
    """A piece of a stream: what is new of the output at that place."""
    empty: tuple[Mapping[str, Any], ...] = ({},) * place
    return b"data: %b\n\n" % answer(context, (*empty, entry))


def failed(failure: Failure) -> bytes:
    """The event that ends a stream which broke."""
    _, code, message = told(failure)
    return b"event: error\ndata: %b\n\n" % json.encode({"errorCode": code, "message": message})


# What of a request of the other forms concerns its answer alone, and is no model's business


class Dress(Struct, frozen=True):
    """What an answer wears: the context that it tells back, the parameters that each result repeats, and whether what
    is private in it is replaced."""

    context: str = ""
    parameters: Raw | None = None
    scrub: bool = False


_WORN: Final[Mapping[str, tuple[str, str]]] = {ALPHA1: ("contextID", "scrubPII"), ALPHA2: ("contextId", "scrubPii")}


def dress_of(wire: str, members: Mapping[str, Raw]) -> Dress | None:
    """What the answer to a request wears; None for nothing."""
    context, scrub = _WORN[wire]
    if not {context, scrub, "parameters"}.intersection(members):
        return None
    return Dress(
        json.decode(members[context]) if context in members else "",
        members.get("parameters") if wire == ALPHA1 else None,
        scrub in members and json.decode(members[scrub]) is True,
    )


def undressed(wire: str, members: Mapping[str, Raw]) -> bytes:
    """The request without what concerns its answer alone."""
    context, scrub = _WORN[wire]
    worn = (context, scrub, "parameters")
    return json.encode({name: raw for name, raw in members.items() if name not in worn})


def dressed(wire: str, body: bytes, dress: Dress) -> dict[str, Any]:
    """An answer as it is told, but for what is private in it."""
    value: dict[str, Any] = json.decode(body)
    given = None if dress.parameters is None else json.decode(dress.parameters)
    if given:
        for output in value.get("outputs", ()):
            output["parameters"] = given
    return ({_WORN[wire][0]: dress.context} if dress.context else {}) | value


def texts_of(wire: str, value: Mapping[str, Any]) -> list[Place]:
    """Where an answer holds what a model said."""
    outputs: list[dict[str, Any]] = value.get("outputs") or []
    if wire == ALPHA1:
        return [(output, "result") for output in outputs if "result" in output]
    messages = [choice.get("message", {}) for output in outputs for choice in output.get("choices", ())]
    return [(message, "content") for message in messages if "content" in message]


def private_of(wire: str, value: Mapping[str, Any]) -> list[Place]:
    """Where a request holds what no model may see; its inputs no longer say so."""
    flag = _WORN[wire][1]
    inputs = [one for one in value.get("inputs", ()) if one.pop(flag, None) is True]
    if wire == ALPHA1:
        return [(one, "content") for one in inputs if "content" in one]
    messages = [spoken for one in inputs for message in one.get("messages", ()) for spoken in message.values()]
    return [(part, "text") for spoken in messages for part in spoken.get("content", ()) if "text" in part]


# What is kept of conversations, and requests of the other forms that continue them


def kept(turn: Turn) -> bytes:
    """A turn for the store."""
    return json.encode(turn)


def recalled(bodies: Sequence[bytes]) -> list[Turn]:
    """Turns out of the store."""
    return [_turn(body) for body in bodies]


def context_of(wire: str, members: Mapping[str, Raw]) -> str:
    """The context that a request of another form names, "" for none, or where it says nothing in it."""
    raw, inputs = members.get("contextID" if wire == ALPHA1 else "contextId"), members.get("inputs")
    found = None if raw is None or inputs is None or not json.decode(inputs) else json.decode(raw)
    return found if isinstance(found, str) else ""


def said(wire: str, body: bytes) -> list[Turn]:
    """The turns of a request of another form, as its model sees them."""
    asked = json.decode(body)
    if wire == ALPHA1:
        return [
            Turn(
                _ROLES.get(str(one.get("role", "")).lower(), "user"),
                _seen(one.get("content", ""), scrub=one.get("scrubPII") is True),
            )
            for one in asked.get("inputs", ())
        ]
    return [
        _of_message(message, scrub=one.get("scrubPii") is True)
        for one in asked.get("inputs", ())
        for message in one.get("messages", ())
    ]


def _of_message(message: Mapping[str, Any], *, scrub: bool) -> Turn:
    for name, role in _SPEAKERS.items():
        if name in message:
            return Turn(role, _text(message[name], scrub=scrub))
    if "ofTool" in message:
        result = message["ofTool"]
        text = _text(result, scrub=scrub)
        return Turn("tool", text, answers=result.get("toolId", ""), name=result.get("name", ""))
    spoken = message["ofAssistant"]
    return Turn("assistant", _text(spoken, scrub=scrub), _calls(spoken))


def _text(spoken: Mapping[str, Any], *, scrub: bool) -> str:
    return _seen("\n".join([one.get("text", "") for one in spoken.get("content", ())]), scrub=scrub)


def _seen(text: str, *, scrub: bool) -> str:
    if not scrub:
        return text
    from parley.pii import scrubbed

    return scrubbed(text)


def _calls(spoken: Mapping[str, Any]) -> tuple[Call, ...]:
    found = ((one.get("id", ""), one.get("function", {})) for one in spoken.get("toolCalls", ()))
    return tuple(Call(called.get("name", ""), called.get("arguments", ""), named) for named, called in found)


def heard(wire: str, body: bytes) -> Turn:
    """The turn that an answer of another form is: its first."""
    outputs = json.decode(body).get("outputs") or [{}]
    if wire == ALPHA1:
        return Turn("assistant", outputs[0].get("result", ""))
    message = (outputs[0].get("choices") or [{}])[0].get("message", {})
    return Turn("assistant", message.get("content", ""), _calls(message))


def continued(wire: str, body: bytes, turns: Sequence[Turn]) -> bytes:
    """A request of another form with what was said before in front of it."""
    asked = json.decode(body)
    before: list[dict[str, Any]] = (
        [{"content": _plainly(turn), "role": turn.role} for turn in turns]
        if wire == ALPHA1
        else [{"messages": [_as_message(turn) for turn in turns]}]
    )
    return json.encode(asked | {"inputs": before + (asked.get("inputs") or [])})


def _plainly(turn: Turn) -> str:
    """A turn for a form that knows texts alone."""
    if turn.role == "tool":
        return f"Tool response [ID: {turn.answers}, Name: {turn.name}]: {turn.text}"
    calls = [f"Tool call [ID: {call.id}]: {call.name}({call.arguments})" for call in turn.calls]
    return "\n".join([*([turn.text] if turn.text else []), *calls])


def _as_message(turn: Turn) -> dict[str, Any]:
    content = [{"text": turn.text}] if turn.text or turn.role != "assistant" else []
    if turn.role == "tool":
        return {"ofTool": {"toolId": turn.answers, "name": turn.name, "content": content}}
    if turn.role == "assistant":
        calls = [{"id": call.id, "function": {"name": call.name, "arguments": call.arguments}} for call in turn.calls]
        return {"ofAssistant": {"content": content} | ({"toolCalls": calls} if calls else {})}
    return {_MEMBERS.get(turn.role, "ofUser"): {"content": content}}
