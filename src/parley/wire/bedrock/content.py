"""Amazon Bedrock Converse: content blocks of a request, written for the provider.

Source: provider contract 10.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

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
    ToolCall,
    ToolResult,
)
from parley.wire.bedrock.words import NAME, Json, call_id, input_of, is_claude
from parley.wire.data_url import split_data_url
from parley.wire.fields import thought_at
from parley.wire.signature import BEDROCK, marked

SYSTEM = ("system", "developer")
_OFFICE = "application/vnd.openxmlformats-officedocument."
_FORMATS: Mapping[str, Mapping[str, str]] = {
    "image": {
        "image/png": "png",
        "image/jpeg": "jpeg",
        "image/jpg": "jpeg",
        "image/gif": "gif",
        "image/webp": "webp",
    },
    "document": {
        "application/pdf": "pdf",
        "text/csv": "csv",
        "application/msword": "doc",
        _OFFICE + "wordprocessingml.document": "docx",
        "application/vnd.ms-excel": "xls",
        _OFFICE + "spreadsheetml.sheet": "xlsx",
        "text/html": "html",
        "text/plain": "txt",
        "text/markdown": "md",
    },
    "video": {
        "video/x-matroska": "mkv",
        "video/quicktime": "mov",
        "video/mp4": "mp4",
        "video/webm": "webm",
        "video/x-flv": "flv",
        "video/mpeg": "mpeg",
        "video/x-ms-wmv": "wmv",
        "video/3gpp": "three_gp",
    },
    "audio": {
        "audio/mpeg": "mp3",
        "audio/mp3": "mp3",
        "audio/wav": "wav",
        "audio/x-wav": "wav",
        "audio/opus": "opus",
        "audio/aac": "aac",
        "audio/flac": "flac",
        "audio/ogg": "ogg",
        "audio/mp4": "mp4",
        "audio/webm": "webm",
        "audio/pcm": "pcm",
    },
}
# The first base64 characters of what this wire takes.
_SIGNS: Mapping[str, Mapping[str, str]] = {
    "image": {"iVBOR": "png", "/9j/": "jpeg", "R0lG": "gif", "UklG": "webp"},
    "document": {"JVBER": "pdf"},
}
_ENDINGS = frozenset(_FORMATS["document"].values())
_BESIDE_DOCUMENTS = ("context", "citations")
_ODD = re.compile(r"[^a-zA-Z0-9 ()\[\]-]+")
_LONGEST_NAME = 200
_TTLS = ("5m", "1h")


class Writer:
    """The content of one request: what is sent, and what had to be left out."""

    __slots__ = ("dropped", "names", "request")

    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self.dropped: list[str] = []
        self.names: set[str] = set()

    def drop(self, *names: str) -> None:
        """Say that something could not go."""
        self.dropped += names

    def turn(self, i: int) -> str:
        """The caller's own path of a message."""
        ahead = self.request.ahead
        return self.request.messages[i].place or (f"messages[{i - ahead}]" if i >= ahead else "system")

    def path(self, i: int, j: int) -> str:
        """The path of a block in it."""
        return f"{self.turn(i)}.content[{j}]"

    def groups(self, i: int) -> list[list[Json]]:
        """The blocks of a message, each with the cache point that belongs behind it."""
        message = self.request.messages[i]
        if message.name is not None:
            self.drop(f"{self.turn(i)}.name")
        if message.extra:
            self.drop(*(f"{self.turn(i)}.{key}" for key in message.extra))
        made = [_WRITERS[type(block)](self, block, i, j) for j, block in enumerate(message.content)]
        return [group for group in made if group]

    def instructions(self, i: int) -> list[list[Json]]:
        """The same for a message that holds only text."""
        for j, block in enumerate(self.request.messages[i].content):
            if type(block) is not Text and type(block) is not Refusal:
                raise invalid("system messages hold only text with this provider", self.path(i, j))
        return self.groups(i)

    def with_extra(self, value: Json, extra: Extra, path: Callable[[], str], used: tuple[str, ...] = ()) -> list[Json]:
        """The block and the cache point that it asks for; whatever else is beside it cannot go."""
        if not extra:
            return [value]
        control = extra.get("cache_control")
        point = cache_point(control)
        placed = (*used, "cache_control") if point is not None or control is None else used
        self.drop(*(f"{path()}.{key}" for key in extra if key not in placed))
        return [value] if point is None else [value, point]

    def document_name(self, said: str | None) -> str:
        """A name in the characters this wire takes, and no name twice."""
        name = " ".join(_ODD.sub(" ", said or "").split())[:_LONGEST_NAME].strip() or "document"
        found, count = name, 1
        while found in self.names:
            count += 1
            found = f"{name[: _LONGEST_NAME - 12]} ({count})"
        self.names.add(found)
        return found


def cache_point(control: Any) -> Json | None:
    """The cache point that ``cache_control`` asks for; None where it asks for nothing this wire has."""
    if type(control) is not dict or control.get("type") != "ephemeral":
        return None
    ttl = control.get("ttl")
    return {"cachePoint": {"type": "default", **({"ttl": ttl} if ttl in _TTLS else {})}}


def is_result(group: list[Json]) -> bool:
    """Whether it is a tool's result."""
    return "toolResult" in group[0]


def _text(writer: Writer, block: Any, i: int, j: int) -> list[Json]:
    if not block.text:
        writer.drop(*(f"{writer.path(i, j)}.{key}" for key in block.extra))
        return []
    return writer.with_extra({"text": block.text}, block.extra, lambda: writer.path(i, j))


def _thinking(writer: Writer, block: Any, i: int, j: int) -> list[Json]:
    signature = _own(block.signature, writer.request.model)
    if block.redacted is not None:
        value: Json = {"redactedContent": block.redacted}
    elif signature is None:
        writer.drop(thought_at(writer.request.wire, writer.turn(i), writer.path(i, j)))
        return []
    else:
        value = {"reasoningText": {"text": block.text, "signature": signature}}
    return writer.with_extra({"reasoningContent": value}, block.extra, lambda: writer.path(i, j))


def _own(signature: str | None, model: str) -> str | None:
    """The signature as the model gave it, None where it is not one that it could have given."""
    if not signature:
        return None
    if signature.startswith(BEDROCK):
        return None if is_claude(model) else signature[len(BEDROCK) :]
    return signature if is_claude(model) and not marked(signature) else None


def _tool_call(writer: Writer, block: Any, i: int, j: int) -> list[Json]:
    value = {"toolUse": {"toolUseId": call_id(block.id), "name": block.name, "input": input_of(block.arguments)}}
    return writer.with_extra(value, block.extra, lambda: writer.path(i, j))


def _tool_result(writer: Writer, block: Any, i: int, j: int) -> list[Json]:
    # A tool's own message holds what its result holds.
    own = writer.request.messages[i].role == "tool"
    content: list[Json] = []
    for k, inner in enumerate(block.content):
        place = k if own else j
        if type(inner) is Media and inner.kind == "audio":
            path = writer.path(i, place)
            raise invalid(f"{path}: this provider takes no audio in a tool's result", path)
        group = _WRITERS[type(inner)](writer, inner, i, place)
        content += [value for value in group if "cachePoint" not in value]
        if len(content) and group and "cachePoint" in group[-1]:
            writer.drop(f"{writer.path(i, place)}.cache_control")
    result: Json = {"toolUseId": call_id(block.call_id), "content": content}
    if block.is_error:
        result["status"] = "error"
    return writer.with_extra({"toolResult": result}, block.extra, lambda: writer.path(i, j))


def _opaque(writer: Writer, block: Any, i: int, j: int) -> list[Json]:
    if block.wire == NAME:
        return [block.value]
    path = writer.path(i, j)
    if writer.request.messages[i].role != "assistant":
        raise invalid(f"{path}: this provider takes no content of type {block.value.get('type')!r}", path)
    writer.drop(path)
    return []


def _media(writer: Writer, block: Any, i: int, j: int) -> list[Json]:
    path = writer.path(i, j)
    media_type, source = _source(block, path)
    value: Json = {"format": _format(block, media_type, source, path)}
    used: tuple[str, ...] = ()
    if block.kind == "document":
        value["name"] = writer.document_name(block.name)
        used = tuple(key for key in _BESIDE_DOCUMENTS if _fits(key, block.extra.get(key)))
        value.update((key, _beside(key, block.extra[key])) for key in used)
    elif block.name is not None:
        writer.drop(f"{path}.name")
    if block.detail is not None:
        writer.drop(f"{path}.detail")
    return writer.with_extra({block.kind: {**value, "source": source}}, block.extra, lambda: path, used)


def _fits(key: str, value: Any) -> bool:
    if key == "context":
        return type(value) is str
    return type(value) is dict and type(value.get("enabled")) is bool


def _beside(key: str, value: Any) -> Any:
    return value if key == "context" else {"enabled": value["enabled"]}


def _source(block: Media, path: str) -> tuple[str | None, Json]:
    """Media type as far as it is told, and where the bytes are: here, or in the provider's own store."""
    if block.file_id is not None:
        raise invalid(f"{path}: a file_id is known only to the provider that gave it", path)
    if block.url is None:
        return block.media_type, {"bytes": block.data or ""}
    if block.url.startswith("s3://"):
        return block.media_type, {"s3Location": {"uri": block.url}}
    media_type, data = split_data_url(block.url)
    if data is None:
        message = f"{path}: this provider takes {block.kind}s as bytes (base64) or s3:// addresses, not as a URL"
        raise invalid(message, path)
    return media_type or block.media_type, {"bytes": data}


def _format(block: Media, media_type: str | None, source: Json, path: str) -> str:
    """This wire's word for the kind of bytes: from the media type, the name, or the bytes themselves."""
    formats = _FORMATS[block.kind]
    found = formats.get((media_type or "").partition(";")[0].strip().lower())
    if found is None and block.kind == "document":
        ending = (block.name or block.url or "").rpartition(".")[2].lower()
        found = ending if ending in _ENDINGS else None
    if found is None and block.url is not None and not block.url.startswith("data:"):
        ending = block.url.rpartition(".")[2].lower()
        found = "jpeg" if ending == "jpg" else ending if ending in formats.values() else None
    if found is None:
        data = source.get("bytes", "")
        found = next((word for sign, word in _SIGNS.get(block.kind, {}).items() if data.startswith(sign)), None)
    if found is None:
        kinds = ", ".join(dict.fromkeys(formats.values()))
        told = f"media type {media_type}" if media_type else "media type missing"
        raise invalid(f"{path}: {told}; this provider takes {block.kind}s of these kinds: {kinds}", path)
    return found


_WRITERS: Mapping[type[Block], Callable[[Writer, Any, int, int], list[Json]]] = {
    Text: _text,
    Refusal: _text,
    Thinking: _thinking,
    ToolCall: _tool_call,
    ToolResult: _tool_result,
    Opaque: _opaque,
    Media: _media,
}


def history_tools(messages: tuple[Message, ...]) -> list[str]:
    """The names of the tools that the conversation has called, each once."""
    names: dict[str, None] = {}
    for message in messages:
        for block in message.content:
            if type(block) is ToolCall:
                names[block.name] = None
    return list(names)


def has_tools(messages: tuple[Message, ...]) -> bool:
    """Whether the conversation holds calls or results."""
    for message in messages:
        for block in message.content:
            if type(block) is ToolCall or type(block) is ToolResult:
                return True
    return False
