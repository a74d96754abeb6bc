"""Turns of a conversation, written for a provider as Responses input items."""

from typing import Any, TypeGuard

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
from parley.wire.data_url import data_url
from parley.wire.fields import thought_at
from parley.wire.openai_responses.sealed import NAME, encrypted_of, own_seal

_FORMATS = {"audio/mpeg": "mp3", "audio/x-wav": "wav", "audio/wave": "wav"}
_NAMELESS = "document"
_ENDINGS = {"application/pdf": ".pdf", "text/plain": ".txt"}

Json = dict[str, Any]


class Prompt:
    """One request under way: what may go to this wire, and the list of what may not."""

    __slots__ = ("dropped", "request", "same")

    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self.same = request.wire == NAME
        self.dropped: list[str] = []

    def keep(self, made: Json, extra: Extra, path: str) -> Json:
        """``made`` with the extra members of its own wire; those of another wire are listed."""
        if self.same:
            made.update(extra)
        else:
            self.dropped += [f"{path}.{name}" for name in extra]
        return made

    def items(self, message: Message, index: int) -> list[Json]:
        """The items of one turn; tool results come before what else is said beside them."""
        ahead = self.request.ahead
        path = message.place or (f"messages[{index - ahead}]" if index >= ahead else "system")
        if message.name is not None:
            self.dropped.append(f"{path}.name")
        if message.role == "assistant":
            made = self.said(message, path)
        else:
            made = self.given(message, path)
        # Of the assistant's turn it is not known which of its items had them.
        self.keep(made[-1] if made and message.role != "assistant" else {}, message.extra, path)
        return made

    def given(self, message: Message, path: str) -> list[Json]:
        """A turn that is not the assistant's."""
        results: list[Json] = []
        parts: list[Json] = []
        for index, block in enumerate(message.content):
            place = f"{path}.content[{index}]"
            if isinstance(block, ToolResult):
                results.append(self.result(block, place))
            elif _is_item(block):
                results.append(block.value)
            else:
                parts.append(self.part(block, place, "input_text"))
        if not parts and results:
            return results
        role = "user" if message.role == "tool" else message.role
        return [*results, {"role": role, "content": _shortest(parts, "input_text")}]

    def said(self, message: Message, path: str) -> list[Json]:
        """What the model said before: a message for words in a row, an item for everything else."""
        items: list[Json] = []
        words: list[Json] = []
        for index, block in enumerate(message.content):
            place = f"{path}.content[{index}]"
            if isinstance(block, Text | Refusal):
                words.append(self.part(block, place, "output_text"))
                continue
            item = self.other(block, place, path)
            if item is not None:
                items += _spoken(words)
                items.append(item)
                words = []
        return items + _spoken(words)

    def other(self, block: Block, place: str, path: str) -> Json | None:
        """The item of anything but words; None for what is listed instead."""
        match block:
            case ToolCall():
                call = {"type": "function_call", "call_id": block.id, "name": block.name}
                # No arguments are an empty object here.
                return self.keep({**call, "arguments": block.arguments or "{}"}, block.extra, place)
            case Thinking():
                return self.reasoning(block, place, path)
            case Opaque(wire, value) if wire == NAME:
                return value
            case Opaque():
                # A provider's record of its own doings (searches, code it ran), of which a new turn needs nothing.
                self.dropped.append(place)
                return None
        raise invalid(f"{place}: this provider takes no {_kind_of(block)} from the assistant", place)

    def reasoning(self, block: Thinking, place: str, path: str) -> Json | None:
        """Reasoning that a provider of this wire sealed; other reasoning means nothing to it."""
        seal = own_seal(block.signature)
        if seal is not None:
            summary = [{"type": "summary_text", "text": block.text}] if block.text else []
            item: Json = {"type": "reasoning", "id": seal[0], "summary": summary, "encrypted_content": seal[1]}
            return self.keep(item, block.extra, place)
        if not self.same:
            self.dropped.append(thought_at(self.request.wire, path, place))
            return None
        own: Json = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": block.text}]}
        encrypted = encrypted_of(block.signature, block.redacted)
        return self.keep(own if encrypted is None else own | {"encrypted_content": encrypted}, block.extra, place)

    def result(self, result: ToolResult, path: str) -> Json:
        """One tool's answer: words, pictures and files."""
        parts = [self.part(block, f"{path}.content[{i}]", "input_text") for i, block in enumerate(result.content)]
        if result.is_error:
            self.dropped.append(f"{path}.is_error")
        output = _shortest(parts, "input_text") if parts else ""
        made: Json = {"type": "function_call_output", "call_id": result.call_id, "output": output}
        return self.keep(made, result.extra, path)

    def part(self, block: Block, path: str, kind: str) -> Json:
        """One content part. Raises ``invalid_request`` naming ``path`` where this wire has none for it."""
        match block:
            case Text(text):
                return self.keep({"type": kind, "text": text}, block.extra, path)
            case Refusal(text):
                return self.keep({"type": "refusal", "refusal": text}, block.extra, path)
            case Media():
                made = _media_part(block, same=self.same)
                if made is not None:
                    return self.keep(made, block.extra, path)
            case Opaque(wire, value) if wire == NAME:
                return value
        raise invalid(f"{path}: this provider takes no {_kind_of(block)}", path)


def _is_item(block: Block) -> TypeGuard[Opaque]:
    """Whether an opaque block of this wire is a whole item, not a content part."""
    return isinstance(block, Opaque) and block.wire == NAME and not str(block.value.get("type")).startswith("input_")


def _spoken(words: list[Json]) -> list[Json]:
    """The assistant's message of some words, if there are any."""
    return [{"role": "assistant", "content": _shortest(words, "output_text")}] if words else []


def _shortest(parts: list[Json], kind: str) -> str | list[Json]:
    """A lone plain text as a string, which every provider takes."""
    if len(parts) == 1 and parts[0]["type"] == kind and len(parts[0]) == 2:
        text: str = parts[0]["text"]
        return text
    return parts


def _kind_of(block: Block) -> str:
    """What a caller would call it."""
    if isinstance(block, Opaque):
        return f"content of type {block.value.get('type')!r}"
    if not isinstance(block, Media):
        return "such content here"
    return f"{block.kind} by {'file id' if block.file_id is not None else 'URL' if block.url is not None else 'data'}"


def _media_part(media: Media, *, same: bool) -> Json | None:
    """A file's id is known only to the provider that gave it, so that only this wire's caller may name one."""
    if media.file_id is not None and not same:
        return None
    if media.kind == "image":
        image: Json = {"type": "input_image", "detail": media.detail or "auto"}
        if media.file_id is not None:
            return image | {"file_id": media.file_id}
        return image | {"image_url": media.url if media.data is None else data_url(media.media_type, media.data)}
    if media.kind == "audio" and media.data is not None:
        said = media.media_type or "audio/wav"
        form = _FORMATS.get(said) or said.partition("/")[2]
        return {"type": "input_audio", "input_audio": {"data": media.data, "format": form}}
    return _document(media, same=same) if media.kind == "document" else None


def _document(media: Media, *, same: bool) -> Json:
    file: Json = {"type": "input_file"}
    if media.detail is not None:
        file["detail"] = media.detail
    if media.file_id is not None:
        return file | {"file_id": media.file_id}
    if media.data is None:
        return file | {"file_url": media.url}
    media_type = media.media_type or ("application/pdf" if not same else None)
    file["file_data"] = media.data if media_type is None else data_url(media_type, media.data)
    # Data without a name is refused.
    name = media.name
    if name is None and not same:
        name = _NAMELESS + _ENDINGS.get(media_type or "", "")
    return file if name is None else file | {"filename": name}
