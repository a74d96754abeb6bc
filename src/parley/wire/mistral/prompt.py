"""Mistral chat: requests, written for a provider. Only members that it knows are sent, for it refuses all others.

Ids of calls are nine letters and digits here: others get one made of theirs, the same every time. After the result of
a tool the model must speak before the user may: between the two stands a word of its. A last turn of the model is one
to go on with. Thoughts go back only where this provider sealed them, or where its row says that its models take them.
Source: provider contract 0.3 and section 8.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import DecodeError, convert

from parley.failure import invalid
from parley.ir import (
    Block,
    ChatRequest,
    Extra,
    Media,
    Message,
    Opaque,
    OutputFormat,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from parley.wire import PARAMETERS, Encoded
from parley.wire.data_url import data_url
from parley.wire.effort import effort_of
from parley.wire.fields import thought_at
from parley.wire.mistral.answer import is_short, short_id
from parley.wire.signature import MISTRAL

BRIDGE: Final = "Understood."
_SAME: Final = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "n": "n",
    "seed": "random_seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
    "parallel_tool_calls": "parallel_tool_calls",
}
# Members that a caller of OpenAI's wire may send by the names they have here.
_OWN: Final = frozenset(
    {
        "guardrails",
        "metadata",
        "min_tokens",
        "prediction",
        "prompt_cache_key",
        "prompt_logprobs",
        "prompt_mode",
        "random_seed",
        "repetition_penalty",
        "safe_prompt",
        "top_prompt_logprobs",
    }
)
_LACKING: Final = ("logit_bias", "user")
_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any"}
_ROLES: Final = {"developer": "system", "system": "system", "user": "user", "tool": "user"}
# Members of a turn of the model that this wire has too.
_PREFIX: Final = "prefix"


def encode_request(request: ChatRequest, options: Mapping[str, Any]) -> Encoded:
    """The body of POST /v1/chat/completions. Options: ``thinking`` (thoughts of earlier turns go back), ``bridge`` (the
    word between a tool's result and the user, None for none). Raises ``invalid_request`` for content that this wire
    has not."""
    letter = _Letter(request, options)
    body: dict[str, Any] = {"model": request.model, "messages": letter.messages()}
    for name, other in _SAME.items():
        value = getattr(request, name)
        if value is not None:
            body[other] = value
    if request.stop is not None:
        body["stop"] = list(request.stop)
    letter.tools(body)
    if request.output is not None:
        body["response_format"] = _format(request.output)
    letter.reasoning(body)
    if request.stream:
        body["stream"] = True
    letter.dropped += [name for name in _LACKING if getattr(request, name) is not None]
    letter.rest(body)
    return Encoded(body, tuple(letter.dropped))


class _Letter:
    """One request under way. ``ids`` are the calls' ids here by the caller's."""

    __slots__ = ("_taken", "bridge", "dropped", "ids", "names", "own", "request", "thinking")

    def __init__(self, request: ChatRequest, options: Mapping[str, Any]) -> None:
        self.request = request
        self.own = request.wire == PARAMETERS
        self.bridge = options.get("bridge", BRIDGE)
        self.thinking = options.get("thinking") is True
        self.dropped: list[str] = []
        self.ids: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self._taken: set[str] = set()
        for message in request.messages:
            for block in message.content:
                if type(block) is ToolCall and is_short(block.id):
                    self._taken.add(block.id)

    def id(self, given: str) -> str:
        """The id of a call: different ones stay different."""
        if is_short(given):
            return given
        made = self.ids.get(given)
        if made is None:
            made, salt = short_id(given), 0
            while made in self._taken:
                salt += 1
                made = short_id(f"{given}#{salt}")
            self._taken.add(made)
            self.ids[given] = made
        return made

    def lose(self, extra: Extra, path: str) -> None:
        """What only the caller's own wire knows."""
        self.dropped += [f"{path}.{name}" for name in extra]

    def messages(self) -> list[dict[str, Any]]:
        """All turns, in an order that this provider takes."""
        made: list[dict[str, Any]] = []
        ahead = self.request.ahead
        for index, message in enumerate(self.request.messages):
            path = message.place or (f"messages[{index - ahead}]" if index >= ahead else "system")
            if message.name is not None:
                self.dropped.append(f"{path}.name")
            extra = dict(message.extra)
            prefix = extra.pop(_PREFIX, None) if self.own and message.role == "assistant" else None
            self.lose(extra, path)
            if message.role == "assistant":
                made.append(self.assistant(message.content, path))
                if prefix is not None:
                    made[-1][_PREFIX] = prefix
            else:
                self.turn(message, path, made)
        if made and made[-1]["role"] == "assistant" and "tool_calls" not in made[-1]:
            made[-1].setdefault(_PREFIX, True)
        return made

    def turn(self, message: Message, path: str, made: list[dict[str, Any]]) -> None:
        """One turn that is not the assistant's; results come before what is said beside them."""
        parts: list[dict[str, Any]] = []
        results = 0
        for index, block in enumerate(message.content):
            place = f"{path}.content[{index}]"
            if type(block) is ToolResult:
                made.append(self.result(block, place))
                results += 1
            else:
                parts.append(self.part(block, place))
        if results and not parts:
            return
        role = _ROLES[message.role]
        if role == "user" and made and made[-1]["role"] == "tool" and self.bridge is not None:
            made.append({"role": "assistant", "content": self.bridge})
        made.append({"role": role, "content": _joined(parts)})

    def result(self, result: ToolResult, path: str) -> dict[str, Any]:
        """What a tool answered."""
        parts = [self.part(block, f"{path}.content[{index}]") for index, block in enumerate(result.content)]
        if result.is_error:
            self.dropped.append(f"{path}.is_error")
        self.lose(result.extra, path)
        made = {"role": "tool", "tool_call_id": self.id(result.call_id), "content": _joined(parts)}
        name = self.names.get(result.call_id)
        if name is not None:
            made["name"] = name
        return made

    def assistant(self, content: tuple[Block, ...], path: str) -> dict[str, Any]:
        """What the model said before."""
        parts: list[dict[str, Any]] = []
        calls: list[dict[str, Any]] = []
        for index, block in enumerate(content):
            place = f"{path}.content[{index}]"
            if type(block) is ToolCall:
                calls.append(self.call(block, place))
            elif type(block) is Thinking:
                parts += self.thought(block, path, place)
            elif type(block) is Opaque:
                # A provider's record of its own doings, of which a new turn needs nothing.
                self.dropped.append(place)
            else:
                parts.append(self.part(block, place))
        turn: dict[str, Any] = {"role": "assistant", "content": _joined(parts)}
        if calls:
            turn["tool_calls"] = calls
        return turn

    def thought(self, block: Thinking, path: str, place: str) -> list[dict[str, Any]]:
        """A thought as a chunk, or its name on the list. A seal goes only to who made it."""
        sealed = block.signature is not None and block.signature.startswith(MISTRAL)
        if block.redacted is not None or not (sealed or self.thinking):
            self.dropped.append(thought_at(self.request.wire, path, place))
            return []
        chunk: dict[str, Any] = {"type": "thinking", "thinking": [{"type": "text", "text": block.text}], "closed": True}
        if sealed and block.signature is not None:
            chunk["signature"] = block.signature[len(MISTRAL) :]
        elif block.signature:
            self.dropped.append(f"{path}.thinking.signature")
        return [chunk]

    def call(self, call: ToolCall, path: str) -> dict[str, Any]:
        """One call the model made."""
        self.lose(call.extra, path)
        self.names[call.id] = call.name
        function = {"name": call.name, "arguments": call.arguments or "{}"}
        return {"id": self.id(call.id), "type": "function", "function": function}

    def part(self, block: Block, path: str) -> dict[str, Any]:
        """One chunk of content. Raises ``invalid_request`` naming ``path`` where this wire has none for it."""
        if type(block) is Media:
            return self.media(block, path)
        if type(block) is not Text and type(block) is not Refusal:
            kind = block.value.get("type") if type(block) is Opaque else None
            raise invalid(f"{path}: this provider takes no content of type {kind or 'this'!r}", path)
        self.lose(block.extra, path)
        return {"type": "text", "text": block.text}

    def media(self, media: Media, path: str) -> dict[str, Any]:
        """A picture, a sound or a document; the words of a document of text are told."""
        words = _text_of(media)
        if words is not None:
            self.dropped += [f"{path}.title"] if media.name is not None else []
            return {"type": "text", "text": words}
        chunk = _chunk(media)
        if chunk is None:
            by = "file id" if media.file_id is not None else "URL" if media.url is not None else "data"
            raise invalid(f"{path}: this provider takes no {media.kind} by {by}", path)
        self.lose(media.extra, path)
        return chunk

    def tools(self, body: dict[str, Any]) -> None:
        """The tools and how they are to be chosen from."""
        made = []
        for index, tool in enumerate(self.request.tools):
            if isinstance(tool, Tool):
                made.append(self.tool(tool, f"tools[{index}]"))
            else:
                self.dropped.append(f"tools[{index}]")
        if made:
            body["tools"] = made
        if self.request.tool_choice is not None:
            body["tool_choice"] = _choice(self.request.tool_choice)

    def tool(self, tool: Tool, path: str) -> dict[str, Any]:
        """One function; parameters are not optional here."""
        self.lose(tool.extra, path)
        function: dict[str, Any] = {"name": tool.name}
        if tool.description is not None:
            function["description"] = tool.description
        if tool.strict is not None:
            function["strict"] = tool.strict
        function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
        return {"type": "function", "function": function}

    def reasoning(self, body: dict[str, Any]) -> None:
        """How much to think, in one word."""
        reasoning = self.request.reasoning
        if reasoning is None:
            return
        effort = effort_of(reasoning)
        if effort is not None:
            body["reasoning_effort"] = effort
        self.lose(reasoning.extra, "reasoning")

    def rest(self, body: dict[str, Any]) -> None:
        """Members that have no place in the canonical form."""
        for name, value in self.request.extra.items():
            if self.own and name in _OWN:
                body.setdefault(name, value)
            else:
                self.dropped.append(name)


def _choice(choice: ToolChoice) -> Any:
    if choice.mode == "named":
        return {"type": "function", "function": {"name": choice.name}}
    return _CHOICES[choice.mode]


def _format(output: OutputFormat) -> dict[str, Any]:
    if output.kind != "schema":
        return {"type": "json_object" if output.kind == "json" else "text"}
    schema: dict[str, Any] = {"name": output.name or "answer", "schema": output.schema or {}}
    for name in ("description", "strict"):
        value = getattr(output, name)
        if value is not None:
            schema[name] = value
    return {"type": "json_schema", "json_schema": schema}


def _chunk(media: Media) -> dict[str, Any] | None:
    """The chunk of a picture, sound or document, None where there is none."""
    if media.kind == "image" and media.file_id is None:
        url = media.url if media.data is None else data_url(media.media_type or "image/png", media.data)
        image = {"url": url} if media.detail is None else {"url": url, "detail": media.detail}
        return {"type": "image_url", "image_url": image}
    if media.kind == "audio" and media.data is not None:
        return {"type": "input_audio", "input_audio": media.data}
    if media.kind == "document" and media.file_id is None:
        url = media.url if media.data is None else data_url(media.media_type or "application/pdf", media.data)
        chunk = {"type": "document_url", "document_url": url}
        return chunk if media.name is None else {**chunk, "document_name": media.name}
    return None


def _joined(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """A lone text as a string."""
    if len(parts) == 1 and parts[0]["type"] == "text":
        text: str = parts[0]["text"]
        return text
    return parts or ""


def _text_of(media: Media) -> str | None:
    """The words of a document of text; None for anything else."""
    if media.kind != "document" or media.data is None or not (media.media_type or "").startswith("text/"):
        return None
    try:
        return convert(media.data, bytes).decode()
    except (DecodeError, UnicodeDecodeError):
        return None
