"""How many tokens a request may be, where no provider counts: an estimate, or words for the echo model."""

from collections.abc import Iterator

from parley.ir import Block, ChatRequest, Media, Refusal, Text, Thinking, ToolCall, ToolResult

# Common tokenizers make one token of about four bytes of English text; each message adds a few of its own.
BYTES_PER_TOKEN = 4
PER_MESSAGE = 4
PER_MEDIA = 1000


def estimate(request: ChatRequest) -> int:
    """A rough count of input tokens; at least 1."""
    size = sum(len(text.encode()) for text in _texts(request))
    media = sum(isinstance(block, Media) for message in request.messages for block in message.content)
    return max(1, -(-size // BYTES_PER_TOKEN) + PER_MESSAGE * len(request.messages) + PER_MEDIA * media)


def words(request: ChatRequest) -> int:
    """White-space separated words of every message."""
    return sum(len(_text(block).split()) for message in request.messages for block in message.content)


def _texts(request: ChatRequest) -> Iterator[str]:
    for message in request.messages:
        for block in message.content:
            yield _text(block)
    for tool in request.tools:
        yield str(tool)


def _text(block: Block) -> str:
    match block:
        case Text(text) | Refusal(text) | Thinking(text):
            return text
        case ToolCall():
            return f"{block.name} {block.arguments}"
        case ToolResult():
            return " ".join(_text(part) for part in block.content)
    return ""
