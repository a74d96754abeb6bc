"""The canonical form: what a request, an answer and a stream mean, apart from any wire.

Every value is frozen. Unknown members of a wire's objects are kept in ``extra``; they belong to the
wire named by the enclosing request or response and go out again only to that wire.
Tool arguments are JSON *text*, never parsed values: order, spelling and even breakage survive.
"""

from typing import Any, Literal, TypeAlias

from msgspec import Struct

Extra: TypeAlias = dict[str, Any]
Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]
MediaKind: TypeAlias = Literal["image", "audio", "video", "document"]
Stop: TypeAlias = Literal["end", "stop_sequence", "length", "tool_use", "refusal", "pause", "error"]
DeltaKind: TypeAlias = Literal["text", "thinking", "signature", "arguments", "refusal"]


class Text(Struct, frozen=True, tag="text"):
    """Plain text. ``extra`` may hold e.g. ``cache_control`` or ``annotations``."""

    text: str
    extra: Extra = {}


class Media(Struct, frozen=True, tag="media", kw_only=True):
    """An image, sound, video or document; exactly one of ``data`` (base64), ``url``, ``file_id`` is set."""

    kind: MediaKind
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    media_type: str | None = None
    name: str | None = None
    detail: str | None = None
    extra: Extra = {}


class Thinking(Struct, frozen=True, tag="thinking"):
    """Reasoning text. ``signature`` is opaque and returned byte for byte; ``redacted`` replaces the text.

    ``signature`` None means that the wire had none; "" is a signature that is present and empty.
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    extra: Extra = {}


class Refusal(Struct, frozen=True, tag="refusal"):
    """The model's words for declining."""

    text: str
    extra: Extra = {}


class ToolCall(Struct, frozen=True, tag="tool_call"):
    """A call the model wants made. ``arguments`` is JSON text as the provider wrote it ("" = none given)."""

    id: str
    name: str
    arguments: str = ""
    extra: Extra = {}


class Opaque(Struct, frozen=True, tag="opaque"):
    """A block only its own wire understands; ``value`` goes out unchanged to that wire and nowhere else."""

    wire: str
    value: dict[str, Any]


class ToolResult(Struct, frozen=True, tag="tool_result"):
    """What a tool answered. ``content`` holds Text, Media and Opaque blocks."""

    call_id: str
    content: tuple["Block", ...] = ()
    is_error: bool = False
    extra: Extra = {}


Block: TypeAlias = Text | Media | Thinking | Refusal | ToolCall | ToolResult | Opaque


class Origin(Struct, frozen=True):
    """The objects of its own wire that a message was read from, for that wire alone.

    They say exactly what ``content`` says: they hold as long as it is the very content of their message.
    """

    content: tuple[Block, ...]
    items: tuple[dict[str, Any], ...]


class Message(Struct, frozen=True):
    """One turn. System texts are messages of role system (first, where the wire keeps them apart).

    A tool result is a ToolResult block, in a message of role ``tool`` or among the blocks of a ``user`` message.
    ``place`` is the caller's own path of it ("input[2]"), "" where that is its number among the messages.
    """

    role: Role
    content: tuple[Block, ...]
    name: str | None = None
    extra: Extra = {}
    origin: Origin | None = None
    place: str = ""


class Tool(Struct, frozen=True):
    """A function the model may call; ``parameters`` is JSON Schema, None where the caller gave none."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    extra: Extra = {}


class ToolChoice(Struct, frozen=True):
    """``mode`` as in OpenAI's vocabulary; ``named`` carries the one tool to call in ``name``."""

    mode: Literal["auto", "none", "required", "named"]
    name: str | None = None


class OutputFormat(Struct, frozen=True):
    """The form asked of the answer: free text, any JSON object, or JSON that fits ``schema``."""

    kind: Literal["text", "json", "schema"]
    schema: dict[str, Any] | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Reasoning(Struct, frozen=True):
    """How much to think: ``effort`` (none|minimal|low|medium|high|xhigh|max) and/or ``budget`` in tokens.

    ``mode`` is the explicit switch where a wire has one. None everywhere = the caller did not say.
    """

    mode: Literal["enabled", "adaptive", "disabled"] | None = None
    effort: str | None = None
    budget: int | None = None
    extra: Extra = {}


class ChatRequest(Struct, frozen=True, kw_only=True):
    """One chat operation. None = absent; zero and empty are values the caller sent.

    ``max_tokens_field`` is the caller's own name for ``max_tokens`` where its wire has more than one.
    ``ahead`` counts the leading messages that its wire keeps apart from its list of messages, for field paths.
    ``aside`` are members for its own wire that no other wire's provider misses: they go to no other and are no loss.
    ``labels`` are to be noted beside it; ``extra`` has them too, for wires without a place for that.
    """

    wire: str
    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool | Opaque, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    max_tokens_field: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] | None = None
    n: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    output: OutputFormat | None = None
    reasoning: Reasoning | None = None
    stream: bool = False
    include_usage: bool = False
    user: str | None = None
    ahead: int = 0
    extra: Extra = {}
    aside: Extra = {}
    labels: dict[str, str] = {}


class Usage(Struct, frozen=True):
    """Tokens of one answer. ``input`` counts cached and cache-written tokens too, ``output`` counts reasoning.

    None for a part means that the provider did not report it. ``estimated`` marks our own guess. Parts of the input
    are ``cached`` and ``cache_write`` (of it ``cache_write_1h``) and, by what they were, ``audio_input``,
    ``image_input`` and ``video_input`` (of them ``audio_cached``, ``image_cached``); of the output ``reasoning``,
    ``audio_output`` and ``image_output``. What is no token: ``images`` made, ``seconds`` of sound, ``searches`` made,
    ``characters`` spoken. ``tier`` is the grade of service that answered, in the provider's own word.
    """

    input: int = 0
    output: int = 0
    cached: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    estimated: bool = False
    extra: Extra = {}
    audio_input: int | None = None
    audio_output: int | None = None
    audio_cached: int | None = None
    image_input: int | None = None
    image_output: int | None = None
    image_cached: int | None = None
    video_input: int | None = None
    cache_write_1h: int | None = None
    images: int | None = None
    seconds: float | None = None
    searches: int | None = None
    characters: int | None = None
    tier: str | None = None


class Choice(Struct, frozen=True):
    """One of the answers. ``native`` is the provider's own word for the stop reason, for its own wire."""

    index: int
    content: tuple[Block, ...]
    stop: Stop = "end"
    stop_sequence: str | None = None
    native: str | None = None
    logprobs: Any = None
    extra: Extra = {}


class ChatResponse(Struct, frozen=True, kw_only=True):
    """A whole answer. ``created`` in Unix seconds, 0 where the provider reports none."""

    wire: str
    id: str
    model: str
    choices: tuple[Choice, ...]
    created: int = 0
    usage: Usage | None = None
    extra: Extra = {}


class Start(Struct, frozen=True, tag="start"):
    """The stream has begun. ``usage`` holds what is known now (Anthropic reports its input tokens here)."""

    id: str
    model: str
    created: int = 0
    usage: Usage | None = None
    extra: Extra = {}


class BlockStart(Struct, frozen=True, tag="block_start"):
    """Block ``index`` of ``choice`` begins; ``block`` is its empty shell (id and name for a ToolCall)."""

    choice: int
    index: int
    block: Block


class Delta(Struct, frozen=True, tag="delta"):
    """More of a block that has begun; ``kind`` says which part of it grows."""

    choice: int
    index: int
    kind: DeltaKind
    text: str
    logprobs: Any = None


class BlockStop(Struct, frozen=True, tag="block_stop"):
    """Block ``index`` of ``choice`` is whole. ``extra`` joins the block's own: what came while it grew (citations)."""

    choice: int
    index: int
    extra: Extra = {}


class Finish(Struct, frozen=True, tag="finish"):
    """One choice is complete, and why."""

    choice: int
    stop: Stop
    stop_sequence: str | None = None
    native: str | None = None
    extra: Extra = {}


class End(Struct, frozen=True, tag="end"):
    """The provider's own success terminator, with the final usage (None where it reported none).

    ``extra`` are members of the whole answer that came after Start.
    """

    usage: Usage | None = None
    extra: Extra = {}


Event: TypeAlias = Start | BlockStart | Delta | BlockStop | Finish | End


class EmbedRequest(Struct, frozen=True, kw_only=True):
    """Texts, or lists of a model's own tokens, to be made vectors. ``purpose`` (query, document, ...) as the wire
    spells it; ``encoding`` float or base64 as the caller wants it; ``single``: one input, not a list of one."""

    wire: str
    model: str
    inputs: tuple[str | tuple[int, ...], ...]
    single: bool = False
    dimensions: int | None = None
    encoding: str | None = None
    purpose: str | None = None
    truncate: bool | None = None
    user: str | None = None
    extra: Extra = {}


class EmbedResponse(Struct, frozen=True, kw_only=True):
    """One vector for each input, in order."""

    wire: str
    vectors: tuple[tuple[float, ...], ...]
    model: str = ""
    id: str = ""
    usage: Usage | None = None
    extra: Extra = {}


class RerankRequest(Struct, frozen=True, kw_only=True):
    """Documents to be put in order by what they say about ``query``; ``top_n`` None: all of them."""

    wire: str
    model: str
    query: str
    documents: tuple[str | dict[str, Any], ...]
    top_n: int | None = None
    return_documents: bool | None = None
    extra: Extra = {}


class Ranked(Struct, frozen=True):
    """One document by its place in the request; ``score`` higher is nearer."""

    index: int
    score: float
    document: str | dict[str, Any] | None = None


class RerankResponse(Struct, frozen=True, kw_only=True):
    """The best documents first."""

    wire: str
    results: tuple[Ranked, ...]
    model: str = ""
    id: str = ""
    usage: Usage | None = None
    extra: Extra = {}


class ImageRequest(Struct, frozen=True, kw_only=True):
    """Pictures to be made of ``prompt``. ``size`` is WIDTHxHEIGHT in pixels or "auto"; ``answer`` url or b64_json."""

    wire: str
    model: str
    prompt: str
    n: int | None = None
    size: str | None = None
    quality: str | None = None
    style: str | None = None
    background: str | None = None
    format: str | None = None
    answer: str | None = None
    seed: int | None = None
    user: str | None = None
    extra: Extra = {}


class Picture(Struct, frozen=True):
    """One picture: base64 ``data`` or its ``url``."""

    data: str | None = None
    url: str | None = None
    media_type: str | None = None
    revised_prompt: str | None = None


class ImageResponse(Struct, frozen=True, kw_only=True):
    """The pictures, in order. ``created`` in Unix seconds, 0 where the provider reports none."""

    wire: str
    pictures: tuple[Picture, ...]
    created: int = 0
    usage: Usage | None = None
    extra: Extra = {}
