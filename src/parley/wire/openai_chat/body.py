"""OpenAI chat completions requests, written for a provider.

Members that another wire's caller sent and this wire cannot say are listed, never dropped in silence; what a
message says and this wire cannot is refused by name. A path such as ``messages[2].cache_control`` counts in the
caller's own list. What a tool showed beside words follows its results in a turn of the user.
"""

from collections.abc import Mapping
from typing import Any, TypeGuard

from msgspec import DecodeError, convert
from msgspec.structs import replace

from parley.failure import invalid
from parley.ir import (
    Block,
    ChatRequest,
    Extra,
    Media,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from parley.wire import Encoded
from parley.wire.effort import effort_of
from parley.wire.fields import thought_at
from parley.wire.openai_chat.error import WIRE_NAME
from parley.wire.signature import CALLS, RETURNS, SIGNED, call_signature, extra_content, opened

_SCALARS = (
    "temperature",
    "top_p",
    "n",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "parallel_tool_calls",
    "user",
)
_FORMATS = {"audio/mpeg": "mp3", "audio/x-wav": "wav", "audio/wave": "wav"}
_NAMELESS = "document.pdf"
# Members of other wires that are labels.
_LABELS = frozenset({"metadata", "promptCacheRetention"})
_FRAME = frozenset({"type", "media_type", "data", "content"})
_WORDS = frozenset({"type", "text"})


def encode_request(request: ChatRequest, options: Mapping[str, Any]) -> Encoded:
    """The body for a provider. Options: ``reasoning_field`` (the name of an assistant's reasoning text, None = not
    sent), ``stream_usage`` (False: do not ask), ``top_k``, ``reasoning_effort`` (whether the provider takes them),
    ``returns`` (what it wants back of its answers with calls: "reasoning", or "calls" for signatures of calls)."""
    signs = options.get(RETURNS) == CALLS
    letter = _Letter(request.wire, options.get("reasoning_field", "reasoning_content"), signs=signs)
    body: dict[str, Any] = {"model": request.model, "messages": letter.messages(request.messages, request.ahead)}
    for name in _SCALARS:
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.tools:
        letter.tools(body, request.tools)
    _composed(body, request)
    letter.optional(body, request, options)
    if request.labels:
        body["metadata"] = dict(request.labels)
    if request.extra:
        letter.carry(body, _unlabelled(request), "")
    if request.stream:
        _ask_stream(body, options)
    return Encoded(body, tuple(letter.dropped))


def _unlabelled(request: ChatRequest) -> Extra:
    """What the caller's wire left over, without what went as labels."""
    if not request.labels:
        return request.extra
    return {name: value for name, value in request.extra.items() if name not in _LABELS}


def _composed(body: dict[str, Any], request: ChatRequest) -> None:
    if request.max_tokens is not None:
        renamed = request.wire == WIRE_NAME and request.max_tokens_field == "max_completion_tokens"
        body["max_completion_tokens" if renamed else "max_tokens"] = request.max_tokens
    if request.stop is not None:
        body["stop"] = list(request.stop)
    if request.tool_choice is not None:
        body["tool_choice"] = _choice(request.tool_choice)
    if request.output is not None:
        body["response_format"] = _format(request.output)
    if request.aside and request.wire == WIRE_NAME:
        body.update(request.aside)


def _ask_stream(body: dict[str, Any], options: Mapping[str, Any]) -> None:
    body["stream"] = True
    if options.get("stream_usage") is not False:
        body["stream_options"] = {**body.get("stream_options", {}), "include_usage": True}


def _choice(choice: ToolChoice) -> Any:
    if choice.mode != "named":
        return choice.mode
    return {"type": "function", "function": {"name": choice.name}}


def _format(output: OutputFormat) -> dict[str, Any]:
    if output.kind != "schema":
        return {"type": "json_object" if output.kind == "json" else "text"}
    schema: dict[str, Any] = {"name": output.name or "answer"}
    for name in ("description", "schema", "strict"):
        value = getattr(output, name)
        if value is not None:
            schema[name] = value
    return {"type": "json_schema", "json_schema": schema}


class _Letter:
    """One request under way: what may go to this wire, and the list of what may not."""

    __slots__ = ("dropped", "reasoning_field", "same", "shown", "signs", "wire")

    def __init__(self, wire: str, reasoning_field: str | None, *, signs: bool = False) -> None:
        self.wire = wire
        # Whether the provider signs calls; what other wires' callers bring back of that goes to it.
        self.signs = signs and wire != WIRE_NAME
        self.same = wire == WIRE_NAME
        self.reasoning_field = reasoning_field
        self.dropped: list[str] = []
        self.shown: list[dict[str, Any]] = []

    def carry(self, target: dict[str, Any], extra: Extra, path: str) -> None:
        """What the caller's wire left over: for the same wire into ``target``, else on the list."""
        if not self.same:
            self.dropped += [f"{path}.{name}" if path else name for name in extra]
            return
        for name, value in extra.items():
            known = target.get(name)
            target[name] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value

    def optional(self, body: dict[str, Any], request: ChatRequest, options: Mapping[str, Any]) -> None:
        """Members that not every provider takes. Where nothing is known of a provider, its own wire's caller knows."""
        if request.top_k is not None:
            if options.get("top_k", self.same):
                body["top_k"] = request.top_k
            else:
                self.dropped.append("top_k")
        if request.reasoning is None:
            return
        self.reasoning(body, request.reasoning, takes=options.get("reasoning_effort", True))

    def reasoning(self, body: dict[str, Any], reasoning: Reasoning, *, takes: bool) -> None:
        """How much to think, or by its names what is not said of it."""
        effort = effort_of(reasoning)
        if effort is not None and takes:
            body["reasoning_effort"] = effort
        else:
            if reasoning.effort is not None:
                self.dropped.append("reasoning_effort")
            if reasoning.mode is not None or reasoning.budget is not None:
                self.dropped.append("thinking")
        self.carry(body, reasoning.extra, "reasoning")

    def tools(self, body: dict[str, Any], tools: tuple[Tool | Opaque, ...]) -> None:
        """The tools that this wire knows."""
        made = []
        for index, tool in enumerate(tools):
            if isinstance(tool, Tool):
                made.append(self.tool(tool, f"tools[{index}]"))
            elif tool.wire == WIRE_NAME:
                made.append(tool.value)
            else:
                self.dropped.append(f"tools[{index}]")
        if made:
            body["tools"] = made

    def tool(self, tool: Tool, path: str) -> dict[str, Any]:
        """One function."""
        function: dict[str, Any] = {"name": tool.name}
        for name in ("description", "parameters", "strict"):
            value = getattr(tool, name)
            if value is not None:
                function[name] = value
        made = {"type": "function", "function": function}
        if tool.extra:
            self.carry(made, tool.extra, path)
        return made

    def messages(self, messages: tuple[Message, ...], ahead: int) -> list[dict[str, Any]]:
        """All turns; tool results come before what else a user says beside them."""
        made: list[dict[str, Any]] = []
        for index, message in enumerate(messages):
            content = message.content
            path = message.place or (f"messages[{index - ahead}]" if index >= ahead else "system")
            if self.shown and not any(type(block) is ToolResult for block in content):
                made.append(self.showing())
            if len(content) == 1 and type(content[0]) is Text and not content[0].extra:
                turn: dict[str, Any] = {"role": message.role, "content": content[0].text}
            elif message.role == "assistant":
                turn = self.assistant(_signed(content) if self.signs else content, path)
            else:
                turn = self.turn(message, made, path)
            if message.name is not None:
                turn["name"] = message.name
            if message.extra:
                self.carry(turn, message.extra, path)
            made.append(turn)
        if self.shown:
            made.append(self.showing())
        return made

    def showing(self) -> dict[str, Any]:
        """The turn that shows what the results before it hold beside words: results follow one another directly."""
        shown, self.shown = self.shown, []
        return {"role": "user", "content": shown}

    def turn(self, message: Message, made: list[dict[str, Any]], path: str) -> dict[str, Any]:
        """One turn that is not the assistant's. Results but the last of a lone-result turn go to ``made``."""
        rest = []
        results = []
        for index, block in enumerate(message.content):
            if type(block) is ToolResult:
                results.append(self.result(block, f"{path}.content[{index}]"))
            else:
                rest.append(self.part(block, f"{path}.content[{index}]"))
        if results and not rest:
            made += results[:-1]
            return results[-1]
        made += results
        if results:
            rest = self.shown + rest
            self.shown = []
        content = _joined(rest) if rest or not message.content else ""
        return {"role": "user" if message.role == "tool" else message.role, "content": content}

    def result(self, result: ToolResult, path: str) -> dict[str, Any]:
        """One tool's answer; of another wire's caller it holds only text, and the rest is to be shown after it."""
        parts: list[dict[str, Any]] = []
        shown: list[dict[str, Any]] = []
        for index, block in enumerate(result.content):
            part = self.part(block, f"{path}.content[{index}]")
            (parts if self.same or part["type"] == "text" else shown).append(part)
        if shown:
            self.shown += [{"type": "text", "text": f"Content of the result of tool call {result.call_id}:"}, *shown]
        if result.is_error:
            self.dropped.append(f"{path}.is_error")
        made = {"role": "tool", "tool_call_id": result.call_id, "content": _joined(parts) if parts else ""}
        extra = result.extra
        if not self.same and extra.get("name"):
            # The tool's, where its caller's API says it once more.
            made["name"] = extra["name"]
            extra = {name: value for name, value in extra.items() if name != "name"}
        if extra:
            self.carry(made, extra, path)
        return made

    def assistant(self, content: tuple[Block, ...], path: str) -> dict[str, Any]:
        """What the model said before."""
        thoughts = [block for block in content if type(block) is Thinking]
        refusals = [block for block in content if type(block) is Refusal]
        lone = refusals[0] if len(refusals) == 1 and not refusals[0].extra else None
        parts: list[dict[str, Any]] = []
        calls: list[dict[str, Any]] = []
        for index, block in enumerate(content):
            if type(block) is ToolCall or is_custom_call(block):
                calls.append(self.call(block, f"{path}.content[{index}]"))
            elif type(block) is Opaque and block.wire != WIRE_NAME:
                # A provider's record of its own doings (searches, code it ran), of which a new turn needs nothing.
                self.dropped.append(f"{path}.content[{index}]")
            elif type(block) is not Thinking and block is not lone:
                parts.append(self.part(block, f"{path}.content[{index}]"))
        turn: dict[str, Any] = {"role": "assistant", "content": _joined(parts) if parts else None}
        if lone is not None:
            turn["refusal"] = lone.text
        if thoughts:
            self.thoughts(turn, thoughts, path, f"{path}.content[{content.index(thoughts[0])}]")
        if calls:
            turn["tool_calls"] = calls
        return turn

    def thoughts(self, turn: dict[str, Any], thoughts: list[Thinking], path: str, place: str) -> None:
        """Reasoning as text, and for a caller of this wire the blocks with their signatures as they came."""
        if self.reasoning_field is None:
            self.dropped.append(thought_at(self.wire, path, place))
            return
        text = "".join(block.text for block in thoughts)
        if text:
            turn[self.reasoning_field] = text
        if self.same:
            if any(map(is_sealed, thoughts)):
                turn["thinking_blocks"] = [thinking_object(block) for block in thoughts]
        elif any(block.signature or block.redacted is not None for block in thoughts):
            self.dropped.append(f"{path}.thinking.signature")

    def call(self, call: ToolCall | Opaque, path: str) -> dict[str, Any]:
        """One call the model made; another wire's "no arguments" must be JSON here."""
        if isinstance(call, Opaque):
            return call.value
        arguments = call.arguments or ("" if self.same else "{}")
        made = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}
        extra = call.extra
        if self.signs and (signature := call_signature(extra)) is not None:
            made["extra_content"] = extra_content(signature)
            extra = {name: value for name, value in extra.items() if name not in (SIGNED, "extra_content")}
        if extra:
            self.carry(made, extra, path)
        return made

    def part(self, block: Block, path: str) -> dict[str, Any]:
        """One content part. Raises ``invalid_request`` naming ``path`` where this wire has none for it."""
        match block:
            case Text(text):
                made = {"type": "text", "text": text}
            case Refusal(text):
                made = {"type": "refusal", "refusal": text}
            case Media():
                return self.media(block, path)
            case Opaque(wire, value) if wire == WIRE_NAME:
                return value
            case _:
                raise invalid(f"{path}: this provider takes no {_kind_of(block)}", path)
        if block.extra:
            self.carry(made, block.extra, path)
        return made

    def media(self, media: Media, path: str) -> dict[str, Any]:
        """One picture, sound or document; another wire's document of text is told as text."""
        words = None if self.same else _text_of(media)
        made = _media_part(media, self.same) if words is None else {"type": "text", "text": words}
        if made is None:
            raise invalid(f"{path}: this provider takes no {_kind_of(media)}", path)
        if words is not None and media.name is not None:
            self.dropped.append(f"{path}.title")
        if media.extra:
            self.carry(made, media.extra if words is None else _unframed(media.extra), path)
        return made


def _signed(content: tuple[Block, ...]) -> tuple[Block, ...]:
    """The content with signatures on the calls that they are of, where the caller has them as thoughts before those."""
    made: list[Block] = []
    for block in content:
        last = made[-1] if made else None
        signature = opened(last.signature) if type(last) is Thinking and not last.text else None
        if signature is not None and type(block) is ToolCall:
            made[-1] = replace(block, extra={**block.extra, SIGNED: signature})
        else:
            made.append(block)
    return tuple(made)


def _joined(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """A lone plain text as a string, which every provider takes."""
    if len(parts) == 1 and parts[0]["type"] == "text" and len(parts[0]) == 2:
        text: str = parts[0]["text"]
        return text
    return parts


def is_custom_call(block: Block) -> TypeGuard[Opaque]:
    """Whether the block is this wire's other kind of tool call."""
    return type(block) is Opaque and block.wire == WIRE_NAME and block.value.get("type") == "custom"


def is_sealed(thinking: Thinking) -> bool:
    """Whether the block holds what must come back untouched, beside its text."""
    return thinking.signature is not None or thinking.redacted is not None or bool(thinking.extra)


def thinking_object(thinking: Thinking) -> dict[str, Any]:
    """One item of the extension ``thinking_blocks``."""
    if thinking.redacted is not None:
        return {"type": "redacted_thinking", "data": thinking.redacted, **thinking.extra}
    made = {"type": "thinking", "thinking": thinking.text}
    if thinking.signature is not None:
        made["signature"] = thinking.signature
    return {**made, **thinking.extra}


def _kind_of(block: Block) -> str:
    """What a caller would call it."""
    if type(block) is Opaque:
        kind = block.value.get("type")
        return f"content of type {kind!r}" if isinstance(kind, str) else "content of this type"
    if type(block) is not Media:
        return "such content here"
    return f"{block.kind} by {'file id' if block.file_id is not None else 'URL' if block.url is not None else 'data'}"


def _unframed(extra: Extra) -> Extra:
    """What is left of a document whose words are told: a ``source`` that only frames them is told with them."""
    source = extra.get("source")
    if not isinstance(source, dict) or "type" not in source or not source.keys() <= _FRAME:
        return extra
    parts = source.get("content")
    if isinstance(parts, list) and not all(part.keys() <= _WORDS for part in parts):
        return extra
    return {name: value for name, value in extra.items() if name != "source"}


def _media_part(media: Media, same: bool) -> dict[str, Any] | None:
    if media.kind == "image" and media.file_id is None:
        image: dict[str, Any] = {"url": media.url if media.data is None else _data_url(media)}
        if media.detail is not None:
            image["detail"] = media.detail
        return {"type": "image_url", "image_url": image}
    if media.kind == "audio" and media.data is not None:
        said = media.media_type or "audio/wav"
        return {
            "type": "input_audio",
            "input_audio": {"data": media.data, "format": _FORMATS.get(said) or said.partition("/")[2]},
        }
    if media.kind == "document" and media.url is None and (same or media.data is not None):
        file = {"file_id": media.file_id} if media.data is None else {"file_data": _data_url(media)}
        # Data without a name is refused; a file's id is known only to the provider that gave it.
        name = _NAMELESS if media.name is None and not same else media.name
        if name is not None:
            file["filename"] = name
        return {"type": "file", "file": file}
    return None


def _data_url(media: Media) -> str:
    """A document's data may have come bare; an image must be a URL."""
    if media.media_type is None and media.kind == "document":
        return media.data or ""
    return f"data:{media.media_type or ''};base64,{media.data}"


def _text_of(media: Media) -> str | None:
    """The words of a text document; None where it holds none."""
    if media.data is None or not (media.media_type or "").startswith("text/"):
        return None
    try:
        return convert(media.data, bytes).decode()
    except (DecodeError, UnicodeDecodeError):
        return None
