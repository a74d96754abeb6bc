"""Whether a provider can take what a request asks: by what its row of the vendor table says, and by its wire.

A request that passes as it came is not looked at: the provider judges it. What a row does not speak of is tried.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from parley.failure import Failure, ParleyError, invalid
from parley.ir import Block, ChatRequest, Media, ToolResult
from parley.relay.inlined import refused
from parley.settings import UNFIT
from parley.wire import Encoded

if TYPE_CHECKING:
    from parley.relay.request import Passage

_MEDIA: Final = {"image": "images", "audio": "audio", "document": "files"}
_FIELDS: Final = {"json_schema": "response_format"}
_WORDS: Final = {
    "tools": "calls no tools",
    "images": "takes no images",
    "audio": "takes no audio",
    "files": "takes no files",
    "json_schema": "keeps to no schema",
    "n": "gives one answer per request",
}


def encoded(way: "Passage", request: Any) -> Encoded:
    """The request for the provider; what it cannot take is named by its path in the caller's own wire.

    A refusal that another provider need not share is marked by its detail, UNFIT.
    """
    try:
        if way.provider.cannot and type(request) is ChatRequest:
            request, left = fitted(request, way.provider.cannot)
            made = way.outlet.encode_request(request, way.provider.quirks.options)
            made = replace(made, dropped=(*left, *made.dropped)) if left else made
        else:
            made = way.outlet.encode_request(request, way.provider.quirks.options)
    except ParleyError as error:
        raise ParleyError(_unfit(way, error.failure)) from None
    if not made.dropped or (way.inlet.inside == "content" and not way.inlet.called):
        return made
    return replace(made, dropped=tuple([_called(way, name) for name in made.dropped]))


def addressed(way: "Passage", request: Any, error: ParleyError) -> ParleyError:
    """The same error; where the provider refuses no more than addresses, and takes the data itself, it has them."""
    failure = error.failure
    if type(request) is not ChatRequest or failure.detail != UNFIT or not failure.param:
        return error
    urls = refused(request, failure, lambda other: _refusal(way, other))
    return ParleyError(replace(failure, urls=urls)) if urls else error


def _refusal(way: "Passage", request: ChatRequest) -> Failure | None:
    try:
        encoded(way, request)
    except ParleyError as error:
        return error.failure
    return None


def fitted(request: ChatRequest, cannot: tuple[str, ...]) -> tuple[ChatRequest, tuple[str, ...]]:
    """The request without settings that the provider cannot follow, and their names. Raises ``invalid_request`` for
    what it cannot take and the answer depends on."""
    for capability, field in needs(request):
        if capability in cannot:
            raise invalid(f"{field}: this provider {_WORDS[capability]}", field)
    left: list[str] = []
    if "logprobs" in cannot and (request.logprobs or request.top_logprobs is not None):
        left += [name for name in ("logprobs", "top_logprobs") if getattr(request, name) is not None]
        request = replace(request, logprobs=None, top_logprobs=None)
    if "reasoning" in cannot and request.reasoning is not None:
        left.append("thinking" if request.reasoning.effort is None else "reasoning_effort")
        request = replace(request, reasoning=None)
    return request, tuple(left)


def needs(request: ChatRequest) -> Iterator[tuple[str, str]]:
    """Capabilities that a request cannot do without, each with the field that asks for it."""
    if request.tools and (request.tool_choice is None or request.tool_choice.mode != "none"):
        yield "tools", "tools"
    if request.n is not None and request.n > 1:
        yield "n", "n"
    if request.output is not None and request.output.kind == "schema":
        yield "json_schema", _FIELDS["json_schema"]
    for index, message in enumerate(request.messages):
        ahead = "system" if index < request.ahead else f"messages[{index - request.ahead}]"
        yield from _held(message.content, message.place or ahead)


def _held(blocks: tuple[Block, ...], path: str) -> Iterator[tuple[str, str]]:
    for index, block in enumerate(blocks):
        if type(block) is Media and block.kind in _MEDIA:
            yield _MEDIA[block.kind], f"{path}.content[{index}]"
        elif type(block) is ToolResult:
            yield from _held(block.content, f"{path}.content[{index}]")


def _unfit(way: "Passage", failure: Failure) -> Failure:
    """What this provider refuses, in the caller's words."""
    if failure.kind == "invalid_request" and not failure.detail:
        failure = replace(failure, detail=UNFIT)
    if not failure.param or (way.inlet.inside == "content" and not way.inlet.called):
        return failure
    param = _called(way, failure.param)
    return replace(failure, param=param, message=failure.message.replace(failure.param, param, 1))


def _called(way: "Passage", name: str) -> str:
    """The caller's own path of what another wire could not take."""
    return way.inlet.called.get(name) or name.replace(".content[", f".{way.inlet.inside}[", 1)
