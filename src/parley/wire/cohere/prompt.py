"""Cohere v2 chat: requests, written for a provider.

What this wire cannot say is refused by name or listed in ``dropped``. It has no way to demand one tool of several (only
that one is shown then), no efforts of thinking (a budget or none), and shows pictures only in the user's turns: those
that a tool answered with follow in one. Source: provider contract 0.3 and section 9.
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
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from parley.wire import Encoded
from parley.wire.data_url import data_url

_SAME: Final = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_k": "k",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "logprobs": "logprobs",
}
_LACKING: Final = ("logit_bias", "top_logprobs", "user")
_DETAILS: Final = frozenset({"auto", "low", "high"})
_LEAST_P, _MOST_P = 0.01, 0.99
_ROLES: Final = {"developer": "system", "system": "system", "user": "user", "tool": "user"}


def encode_request(request: ChatRequest, options: Mapping[str, Any]) -> Encoded:
    """The body of POST /v2/chat. Raises ``invalid_request`` for n > 1, and for content that this wire has not."""
    if request.n is not None and request.n != 1:
        raise invalid("n: this provider gives one answer per request", "n")
    letter = _Letter(request)
    body: dict[str, Any] = {"model": request.model, "messages": letter.messages()}
    for name, other in _SAME.items():
        value = getattr(request, name)
        if value is not None:
            body[other] = value
    if request.top_p is not None:
        # The ends are not allowed; the nearest values mean the same.
        body["p"] = min(max(request.top_p, _LEAST_P), _MOST_P)
    if request.stop is not None:
        body["stop_sequences"] = list(request.stop)
    letter.tools(body)
    letter.output(body)
    if request.reasoning is not None:
        letter.reasoning(body, request.reasoning)
    if request.stream:
        body["stream"] = True
    letter.dropped += [name for name in _LACKING if getattr(request, name) is not None]
    letter.dropped += request.extra
    return Encoded(body, tuple(letter.dropped))


class _Letter:
    """One request under way; ``shown`` is what tools showed beside words and no turn has held yet."""

    __slots__ = ("dropped", "request", "shown")

    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self.dropped: list[str] = []
        self.shown: list[dict[str, Any]] = []

    def lose(self, extra: Extra, path: str) -> None:
        """What only the caller's own wire knows."""
        self.dropped += [f"{path}.{name}" for name in extra]

    def messages(self) -> list[dict[str, Any]]:
        """All turns; tool results become messages of their own, before what is said beside them."""
        made: list[dict[str, Any]] = []
        ahead = self.request.ahead
        for index, message in enumerate(self.request.messages):
            path = message.place or (f"messages[{index - ahead}]" if index >= ahead else "system")
            if message.name is not None:
                self.dropped.append(f"{path}.name")
            self.lose(message.extra, path)
            if self.shown and not any(type(block) is ToolResult for block in message.content):
                self._show(made)
            if message.role == "assistant":
                made.append(self.assistant(message.content, path))
            else:
                self.turn(message, path, made)
        self._show(made)
        return made

    def _show(self, made: list[dict[str, Any]]) -> None:
        if self.shown:
            made.append({"role": "user", "content": self.shown})
            self.shown = []

    def turn(self, message: Message, path: str, made: list[dict[str, Any]]) -> None:
        """One turn that is not the assistant's."""
        parts: list[dict[str, Any]] = []
        for index, block in enumerate(message.content):
            place = f"{path}.content[{index}]"
            if type(block) is ToolResult:
                made.append(self.result(block, place))
            else:
                parts.append(self.part(block, place))
        if parts or not any(type(block) is ToolResult for block in message.content):
            made.append({"role": _ROLES[message.role], "content": _joined(self.shown + parts)})
            self.shown = []

    def result(self, result: ToolResult, path: str) -> dict[str, Any]:
        """What a tool answered, in words."""
        texts: list[dict[str, Any]] = []
        shown: list[dict[str, Any]] = []
        for index, block in enumerate(result.content):
            part = self.part(block, f"{path}.content[{index}]")
            (texts if part["type"] == "text" else shown).append(part)
        if shown:
            self.shown += [{"type": "text", "text": f"Content of the result of tool call {result.call_id}:"}, *shown]
        if result.is_error:
            self.dropped.append(f"{path}.is_error")
        self.lose(result.extra, path)
        return {"role": "tool", "tool_call_id": result.call_id, "content": _joined(texts)}

    def assistant(self, content: tuple[Block, ...], path: str) -> dict[str, Any]:
        """What the model said before; its thoughts are the plan for the calls that follow them."""
        thoughts = [words for block in content if type(block) is Thinking and (words := self.thought(block, path))]
        parts: list[dict[str, Any]] = []
        calls: list[dict[str, Any]] = []
        for index, block in enumerate(content):
            place = f"{path}.content[{index}]"
            if type(block) is ToolCall:
                calls.append(self.call(block, place))
            elif type(block) is Opaque:
                # A provider's record of its own doings, of which a new turn needs nothing.
                self.dropped.append(place)
            elif type(block) is not Thinking:
                parts.append(self.part(block, place))
        if not calls:
            thinking = [{"type": "thinking", "thinking": words} for words in thoughts]
            return {"role": "assistant", "content": _joined(thinking + parts)}
        turn: dict[str, Any] = {"role": "assistant", "tool_calls": calls}
        if parts:
            turn["content"] = _joined(parts)
        if thoughts:
            turn["tool_plan"] = "".join(thoughts)
        return turn

    def thought(self, block: Thinking, path: str) -> str:
        """The words of a thought. What seals it is for the provider that sealed it."""
        if block.redacted is not None or block.signature:
            self.dropped.append(f"{path}.thinking.signature")
        return block.text

    def call(self, call: ToolCall, path: str) -> dict[str, Any]:
        """One call the model made."""
        self.lose(call.extra, path)
        function = {"name": call.name, "arguments": call.arguments or "{}"}
        return {"id": call.id, "type": "function", "function": function}

    def part(self, block: Block, path: str) -> dict[str, Any]:
        """One piece of content. Raises ``invalid_request`` naming ``path`` where this wire has none for it."""
        if type(block) is Media:
            return self.media(block, path)
        if type(block) is not Text and type(block) is not Refusal:
            kind = block.value.get("type") if type(block) is Opaque else None
            raise invalid(f"{path}: this provider takes no content of type {kind or 'this'!r}", path)
        self.lose(block.extra, path)
        return {"type": "text", "text": block.text}

    def media(self, media: Media, path: str) -> dict[str, Any]:
        """A picture, or the words of a document."""
        words = _text_of(media)
        if words is not None:
            if media.name is not None:
                self.dropped.append(f"{path}.title")
            return {"type": "text", "text": words}
        if media.kind != "image" or media.file_id is not None:
            by = "file id" if media.file_id is not None else "URL" if media.url is not None else "data"
            raise invalid(f"{path}: this provider takes no {media.kind} by {by}", path)
        self.lose(media.extra, path)
        image = {"url": media.url if media.data is None else data_url(media.media_type or "image/png", media.data)}
        if media.detail in _DETAILS:
            image["detail"] = media.detail
        elif media.detail is not None:
            self.dropped.append(f"{path}.detail")
        return {"type": "image_url", "image_url": image}

    def tools(self, body: dict[str, Any]) -> None:
        """The tools and how they are to be chosen from."""
        request, choice = self.request, self.request.tool_choice
        if request.parallel_tool_calls is False:
            self.dropped.append("parallel_tool_calls")
        tools = [tool for tool in request.tools if isinstance(tool, Tool)]
        self.dropped += [f"tools[{place}]" for place, tool in enumerate(request.tools) if not isinstance(tool, Tool)]
        if choice is not None and choice.mode == "named":
            tools = [tool for tool in tools if tool.name == choice.name]
            if not tools:
                raise invalid(f"tool_choice: there is no tool {choice.name!r}", "tool_choice")
        if not tools:
            self.dropped += ["tool_choice"] if choice is not None else []
            return
        body["tools"] = [self.tool(tool, f"tools[{request.tools.index(tool)}]") for tool in tools]
        if all(tool.strict for tool in tools):
            body["strict_tools"] = True
        elif any(tool.strict for tool in tools):
            self.dropped += [f"tools[{request.tools.index(tool)}].strict" for tool in tools if tool.strict]
        if choice is not None and choice.mode != "auto":
            body["tool_choice"] = "NONE" if choice.mode == "none" else "REQUIRED"

    def tool(self, tool: Tool, path: str) -> dict[str, Any]:
        """One function."""
        self.lose(tool.extra, path)
        function: dict[str, Any] = {"name": tool.name}
        if tool.description is not None:
            function["description"] = tool.description
        function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
        return {"type": "function", "function": function}

    def output(self, body: dict[str, Any]) -> None:
        """The form of the answer. A schema's name says nothing to a model."""
        output = self.request.output
        if output is None:
            return
        if output.kind == "text":
            body["response_format"] = {"type": "text"}
            return
        body["response_format"] = {"type": "json_object"}
        if output.kind == "schema":
            body["response_format"]["json_schema"] = output.schema or {"type": "object"}
            if output.description is not None:
                self.dropped.append("response_format.json_schema.description")
            if output.strict is False:
                self.dropped.append("response_format.json_schema.strict")

    def reasoning(self, body: dict[str, Any], reasoning: Reasoning) -> None:
        """Whether to think, and for how many tokens at most."""
        if reasoning.mode == "disabled" or reasoning.effort == "none" or reasoning.budget == 0:
            body["thinking"] = {"type": "disabled"}
        elif reasoning.budget is not None:
            body["thinking"] = {"type": "enabled", "token_budget": reasoning.budget}
        elif reasoning.mode == "enabled":
            body["thinking"] = {"type": "enabled"}
        if reasoning.effort not in (None, "none"):
            self.dropped.append("reasoning_effort")
        self.lose(reasoning.extra, "reasoning")


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
