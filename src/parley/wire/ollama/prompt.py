"""The canonical form to the bodies of /api/chat and /api/generate.

What this wire cannot say is refused by name or listed in ``dropped``, never left out in silence; a path counts in
the caller's own list of messages. Texts of one turn are joined by an empty line, as the server joins turns of one
role. Source: provider contract 4.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from msgspec import DecodeError, Raw, convert, json

from parley.failure import invalid
from parley.ir import (
    Block,
    ChatRequest,
    Extra,
    Media,
    Message,
    Opaque,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from parley.wire import Encoded
from parley.wire.data_url import split_data_url
from parley.wire.ollama.errors import BAD_JSON
from parley.wire.ollama.options import GENERATE, KIN, put_settings

_SYSTEM: Final = ("system", "developer")
_PROMPTING: Final = frozenset({"system", "developer", "user"})
Json: TypeAlias = dict[str, Any]
_object: Final = json.Decoder(dict[str, Any])


def encode_request(request: ChatRequest, options: Mapping[str, Any]) -> Encoded:
    """The body of POST /api/chat. Option ``truncate`` says what becomes of a prompt that is too long where the caller
    cannot: false is an error, which is what callers of other dialects know.

    Raises ``invalid_request`` for n > 1, for sound, video, files and pictures by URL, and for content of another
    wire's own.
    """
    letter = _Letter(request)
    body: Json = {"model": request.model, "messages": letter.messages()}
    letter.tools(body)
    put_settings(body, request, options, letter.dropped)
    return Encoded(body, tuple(letter.dropped))


def encode_generate(request: ChatRequest, options: Mapping[str, Any]) -> Encoded:
    """The body of POST /api/generate, which answers one prompt under one instruction; options as for chat. Raises
    ``invalid_request`` for a conversation and for tools."""
    letter = _Letter(request)
    if request.tools:
        raise invalid("tools: this provider's generate takes no tools", "tools")
    body: Json = {"model": request.model, "prompt": ""}
    system, prompts = letter.prompts()
    if len(prompts) > 1:
        raise invalid("messages: this provider's generate takes one prompt, not a conversation", "messages")
    if system:
        body["system"] = "\n\n".join([turn["content"] for turn in system])
    for turn in prompts:
        body["prompt"] = turn["content"]
        body.update({name: value for name, value in turn.items() if name not in ("role", "content")})
    letter.choice()
    put_settings(body, request, options, letter.dropped)
    return Encoded(body, tuple(letter.dropped))


def arguments_object(arguments: str) -> Any:
    """Arguments as the object this wire has, spelled as they came; text that is none is wrapped as ``_raw``."""
    if arguments in ("", "{}") or arguments.isspace():
        return {}
    try:
        _object.decode(arguments)
    except BAD_JSON:
        return {"_raw": arguments}
    return Raw(arguments.encode())


class _Letter:
    """A request under way: what could not go, and the names of the tools called so far by call."""

    __slots__ = ("_names", "dropped", "request", "same")

    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self.same = request.wire in KIN
        self.dropped: list[str] = []
        self._names: dict[str, str] = {}

    def place(self, index: int) -> str:
        """The caller's own path of a message."""
        ahead = self.request.ahead
        return self.request.messages[index].place or (f"messages[{index - ahead}]" if index >= ahead else "system")

    def carry(self, target: Json, extra: Extra, path: str) -> None:
        """What the caller's wire left over: into ``target`` where it is this one, else on the list."""
        if not self.same:
            self.dropped += [f"{path}.{name}" for name in extra]
            return
        for name, value in extra.items():
            known = target.get(name)
            target[name] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value

    def messages(self) -> list[Json]:
        """All turns; tool results come before what else a user says beside them."""
        made: list[Json] = []
        for index, message in enumerate(self.request.messages):
            path = self.place(index)
            results = [place for place, block in enumerate(message.content) if type(block) is ToolResult]
            made += [self.result(message, place, path) for place in results]
            if not results or len(results) < len(message.content):
                made.append(self.turn(message, path))
            self.left(made[-1], message, path)
        return made

    def prompts(self) -> tuple[list[Json], list[Json]]:
        """The instructions and the prompts of a request that is no conversation."""
        system: list[Json] = []
        prompts: list[Json] = []
        for index, message in enumerate(self.request.messages):
            path = self.place(index)
            if message.role not in _PROMPTING or any(type(block) is ToolResult for block in message.content):
                raise invalid(f"{path}: this provider's generate takes one prompt, not a conversation", path)
            turn = self.turn(message, path)
            self.left(turn, message, path)
            if message.role != "user" and "images" in turn:
                raise invalid(f"{path}: this provider's instructions hold only text", path)
            (prompts if message.role == "user" else system).append(turn)
        return system, prompts

    def left(self, turn: Json, message: Message, path: str) -> None:
        """What a message has beside its content."""
        if message.name is not None:
            self.dropped.append(f"{path}.name")
        if message.extra:
            self.carry(turn, message.extra, path)

    def turn(self, message: Message, path: str) -> Json:
        """One turn without the results in it."""
        if message.role == "assistant":
            return self.assistant(message, path)
        role = "user" if message.role == "tool" else "system" if message.role in _SYSTEM else "user"
        return self.said(role, enumerate(message.content), path)

    def said(self, role: str, content: Iterable[tuple[int, Block]], path: str, *, join: str = "\n\n") -> Json:
        """Texts and pictures, in the two places this wire has for them."""
        turn: Json = {"role": role, "content": ""}
        texts: list[str] = []
        images: list[str] = []
        for index, block in content:
            where = f"{path}.content[{index}]"
            match block:
                case Text(text, extra) | Refusal(text, extra):
                    texts.append(text)
                    if extra:
                        self.carry(turn, extra, where)
                case Media():
                    self.media(block, where, texts, images)
                case Opaque(wire, value) if wire == GENERATE and self.same:
                    turn.update({name: item for name, item in value.items() if name != "type"})
                case Opaque(_, value):
                    kind = value.get("type")
                    raise invalid(f"{where}: this provider takes no content of type {kind!r}", where)
        turn["content"] = join.join(texts)
        if images:
            turn["images"] = images
        return turn

    def media(self, media: Media, path: str, texts: list[str], images: list[str]) -> None:
        """A picture by its data, or a document's words; everything else is refused by name."""
        data = media.data if media.url is None else split_data_url(media.url)[1]
        words = _words_of(media)
        if words is not None:
            texts.append(words)
        elif media.kind == "image" and data:
            images.append(data)
        else:
            by = "file id" if media.file_id is not None else "URL" if media.url is not None else "data"
            raise invalid(f"{path}: this provider takes no {media.kind} by {by}", path)
        unsaid = [name for name in ("name", "detail") if getattr(media, name) is not None]
        self.dropped += [f"{path}.{name}" for name in (*unsaid, *media.extra)]

    def result(self, message: Message, place: int, path: str) -> Json:
        """One tool's answer, with the name of the tool: that is how this wire finds the call."""
        block = message.content[place]
        assert isinstance(block, ToolResult)
        where = f"{path}.content[{place}]"
        # A tool's own message holds what its result holds.
        made = self.said("tool", enumerate(block.content), path if message.role == "tool" else where)
        name = self._names.get(block.call_id)
        if name is not None:
            made["tool_name"] = name
        made["tool_call_id"] = block.call_id
        if block.is_error:
            self.dropped.append(f"{where}.is_error")
        if block.extra:
            self.carry(made, block.extra, where)
        return made

    def assistant(self, message: Message, path: str) -> Json:
        """What the model said before. Signatures and other providers' records of their own doings stay behind."""
        thoughts = [block for block in message.content if type(block) is Thinking]
        calls = [block for block in message.content if type(block) is ToolCall]
        said = []
        for index, block in enumerate(message.content):
            if type(block) is Opaque:
                self.dropped.append(f"{path}.content[{index}]")
            else:
                said.append((index, block))
        turn = self.said("assistant", said, path, join="")
        if text := "".join([block.text for block in thoughts]):
            turn["thinking"] = text
        if any(block.signature or block.redacted is not None for block in thoughts):
            self.dropped.append(f"{path}.thinking.signature")
        if calls:
            turn["tool_calls"] = [self.call(call, place, path) for place, call in enumerate(calls)]
        return turn

    def call(self, call: ToolCall, place: int, path: str) -> Json:
        """One call the model made."""
        self._names[call.id] = call.name
        function: Json = {"index": place, "name": call.name, "arguments": arguments_object(call.arguments)}
        made: Json = {"id": call.id, "function": function}
        if call.extra:
            self.carry(made, call.extra, f"{path}.tool_calls[{place}]")
        return made

    def tools(self, body: Json) -> None:
        """The tools, unless none may be called; this wire cannot make the model call one."""
        choice = self.request.tool_choice
        made = [item for index, tool in enumerate(self.request.tools) if (item := self.tool(tool, f"tools[{index}]"))]
        if made and (choice is None or choice.mode != "none"):
            body["tools"] = made
        self.choice()

    def choice(self) -> None:
        """What was asked of the choice and of its number."""
        choice = self.request.tool_choice
        if choice is not None and choice.mode in ("required", "named"):
            self.dropped.append("tool_choice")
        if self.request.parallel_tool_calls is False:
            self.dropped.append("parallel_tool_calls")

    def tool(self, tool: Tool | Opaque, path: str) -> Json | None:
        """One function; another kind of tool is listed."""
        if isinstance(tool, Opaque):
            if tool.wire in KIN:
                return tool.value
            self.dropped.append(path)
            return None
        function: Json = {"name": tool.name}
        if tool.description is not None:
            function["description"] = tool.description
        function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
        if tool.strict is not None:
            if self.same:
                function["strict"] = tool.strict
            else:
                self.dropped.append(f"{path}.strict")
        made: Json = {"type": "function", "function": function}
        if tool.extra:
            self.carry(made, tool.extra, path)
        return made


def _words_of(media: Media) -> str | None:
    """The words of a text document; None where it holds none."""
    if media.data is None or not (media.media_type or "").startswith("text/"):
        return None
    try:
        return convert(media.data, bytes).decode()
    except (DecodeError, UnicodeDecodeError):
        return None
