"""A conversation as one text, for models that only continue text. Shared by wires.

Every message is one piece in the form of its role, pieces stand in separate lines, and the beginning of the reply comes
last: ``System: ..``, ``User: ..``, ``Assistant: ..``, ``Assistant:``. A last message of the assistant is left open, to
be continued. A legacy completions request has no roles: its prompt goes as it is. What a text cannot say (pictures,
tools, tool results) is refused by name; reasoning of earlier turns is listed.
"""

from collections.abc import Collection
from typing import Any, Final

from msgspec import Struct, convert

from parley.failure import ParleyError, invalid
from parley.ir import Block, ChatRequest, Media, Message, Opaque, Refusal, Text, Thinking, ToolCall, ToolResult
from parley.wire.fields import thought_at

# A wire whose requests are a text to be continued already.
_BARE: Final = "openai_completions"
_PLACE: Final = "{text}"
_KINDS: Final[dict[type, str]] = {ToolCall: "a tool call", ToolResult: "a tool's result", Opaque: "this content"}
# Fields of a request as callers know them.
_NAMES: Final = {"output": "response_format"}
_SETTINGS: Final = (
    "parallel_tool_calls", "temperature", "top_p", "top_k", "stop", "seed", "presence_penalty", "frequency_penalty",
    "logit_bias", "logprobs", "top_logprobs", "output", "user",
)  # fmt: skip


class Template(Struct, frozen=True, forbid_unknown_fields=True):
    """The form of a message of each role, ``{text}`` in it being what it says; ``reply`` is how the answer begins (""
    for nothing) and ``between`` what stands between pieces."""

    system: str = "System: {text}"
    user: str = "User: {text}"
    assistant: str = "Assistant: {text}"
    reply: str = "Assistant:"
    between: str = "\n"


class Written(Struct, frozen=True):
    """The text, and the caller's fields that are not in it."""

    text: str
    dropped: tuple[str, ...] = ()


def written(request: ChatRequest, template: Template) -> Written:
    """The conversation as one text. Raises ``invalid_request`` for what cannot be said in one, and for n above 1."""
    dropped = _refused(request)
    pieces: list[str] = []
    for index, message in enumerate(request.messages):
        ahead = "system" if index < request.ahead else f"messages[{index - request.ahead}]"
        pieces.append(_said(message, message.place or ahead, dropped, request.wire))
    if not any(pieces):
        raise invalid("messages: no message has any text", "messages")
    if request.wire == _BARE:
        return Written("\n".join(pieces), tuple(dropped))
    formed = [_formed(template, message, pieces[index]) for index, message in enumerate(request.messages)]
    if template.reply and request.messages[-1].role != "assistant":
        formed.append(template.reply)
    return Written(template.between.join(formed), tuple(dropped))


def left_out(request: ChatRequest, taken: Collection[str]) -> list[str]:
    """The settings of a request that are not among ``taken``, by the caller's names."""
    names = [_NAMES.get(name, name) for name in _SETTINGS if getattr(request, name) is not None and name not in taken]
    if request.max_tokens is not None and "max_tokens" not in taken:
        names.append(request.max_tokens_field or "max_tokens")
    reasoning = request.reasoning
    if reasoning is not None:
        names += ["reasoning_effort"] if reasoning.effort is not None else []
        names += ["thinking"] if reasoning.mode is not None or reasoning.budget is not None else []
        names += [f"reasoning.{name}" for name in reasoning.extra]
    return [*names, *request.extra]


def _refused(request: ChatRequest) -> list[str]:
    """Raise for what the whole request asks and a text cannot; gives what is left out instead."""
    if request.n is not None and request.n != 1:
        raise invalid("n: this provider gives one answer per request", "n")
    choice = request.tool_choice
    if not request.tools:
        return [] if choice is None else ["tool_choice"]
    if choice is None or choice.mode != "none":
        raise invalid("tools: this provider's model continues plain text and cannot call tools", "tools")
    return ["tools", "tool_choice"]


def _said(message: Message, path: str, dropped: list[str], wire: str) -> str:
    """What a message says."""
    if message.name is not None:
        dropped.append(f"{path}.name")
    dropped += [f"{path}.{name}" for name in message.extra]
    texts: list[str] = []
    for index, block in enumerate(message.content):
        if type(block) is Text or type(block) is Refusal:
            texts.append(block.text)
            dropped += [f"{path}.content[{index}].{name}" for name in block.extra]
        elif type(block) is Thinking:
            dropped.append(thought_at(wire, path, f"{path}.content[{index}]"))
        else:
            raise _unsaid(block, f"{path}.content[{index}]")
    return "\n".join(texts)


def _unsaid(block: Block, path: str) -> ParleyError:
    what = f"{block.kind} content" if isinstance(block, Media) else _KINDS.get(type(block), "this content")
    return invalid(f"{path}: this provider's model takes plain text; {what} cannot be sent to it", path)


def _formed(template: Template, message: Message, text: str) -> str:
    if message.role in ("system", "developer"):
        return template.system.replace(_PLACE, text)
    form = template.assistant if message.role == "assistant" else template.user
    return form.replace(_PLACE, text)


def converted(options: Any, kind: type[Any]) -> Any:
    """A provider's options as a Struct; members of other wires of the same provider are not looked at. Raises
    ``msgspec.ValidationError``."""
    return convert({name: options[name] for name in kind.__struct_fields__ if name in options}, kind)
