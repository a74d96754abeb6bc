"""Legacy completions requests, read from a caller for a model that chats.

The prompt is one message of the user. What only a model that continues text can do is refused by name: ``echo``,
``suffix``, ``best_of`` beyond ``n``, ``logprobs`` (the shape differs), several prompts, token numbers. A value that
asks for nothing (``echo`` false, ``best_of`` equal to ``n``) is no such request. Sources: product contract section
5; surface contract section 4.
"""

from typing import Any, Final

from parley.failure import ParleyError, at, invalid
from parley.ir import ChatRequest, Message, Text
from parley.wire.fields import Scalar, check, missing, optional, wrong

WIRE_NAME: Final = "openai_completions"
# This API's own limit where the caller names none. A caller of it who is silent asked for that, is told by
# finish_reason "length" where it cuts, and pays for no more; a registration's defaults come before it.
SILENT_LIMIT: Final = 16

_PENALTY = Scalar((int, float), -2, 2)
_DIRECT: dict[str, Scalar] = {
    "model": Scalar((str,)),
    "stream": Scalar((bool,)),
    "temperature": Scalar((int, float), 0, 2),
    "top_p": Scalar((int, float), 0, 1),
    "max_tokens": Scalar((int,), 0),
    "n": Scalar((int,), 1, 128),
    "seed": Scalar((int,)),
    "presence_penalty": _PENALTY,
    "frequency_penalty": _PENALTY,
    "logit_bias": Scalar((dict,)),
    "user": Scalar((str,)),
}
_REFUSED: dict[str, Scalar] = {
    "echo": Scalar((bool,)),
    "suffix": Scalar((str,)),
    "best_of": Scalar((int,), 0, 20),
    "logprobs": Scalar((int,), 0, 5),
}
KNOWN: Final = frozenset({*_DIRECT, *_REFUSED, "prompt", "stop", "stream_options"})
# What configuration may set. Its logprobs is another thing than this one's.
NAMED: Final = frozenset({*_DIRECT, *_REFUSED, "stop"}) - {"model", "stream", "logprobs"}


def decode_request(body: dict[str, Any]) -> ChatRequest:
    """The request in ``body``, which is left as it is. Raises ``invalid_request`` naming the field."""
    body = body.copy()
    direct = {}
    for name in [name for name in body if name in _DIRECT]:
        value = body.pop(name)
        if value is not None:
            check(name, value, _DIRECT[name])
            direct[name] = value
    if "model" not in direct:
        raise missing("model")
    _refuse(body, direct.get("n", 1))
    direct.setdefault("max_tokens", SILENT_LIMIT)
    return ChatRequest(
        wire=WIRE_NAME,
        messages=(Message("user", (Text(_prompt(body)),)),),
        stop=_stop(body),
        include_usage=_include_usage(body),
        extra=body,
        **direct,
    )


def _refuse(body: dict[str, Any], count: int) -> None:
    """Take out what asks for nothing; raise for the rest."""
    for name, scalar in _REFUSED.items():
        value = body.pop(name, None)
        if value is None:
            continue
        check(name, value, scalar)
        if value is False or (name == "best_of" and value == count):
            continue
        raise invalid(f"{name} cannot be translated for this model, which only chats; leave it out", name)


def _prompt(body: dict[str, Any]) -> str:
    """The one text. Lists of texts or of token numbers cannot be one message."""
    value = body.pop("prompt", None)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        value = value[0]
    if isinstance(value, str):
        return value
    if value is None:
        raise missing("prompt")
    if not isinstance(value, list):
        raise wrong("prompt", str, list)
    if not value:
        raise invalid("prompt must hold a text", "prompt")
    if all(isinstance(item, str) for item in value):
        raise invalid("prompt must be one text for this model, which only chats; send one request for each", "prompt")
    if any(isinstance(item, str) for item in value):
        place = next(index for index, item in enumerate(value) if not isinstance(item, str))
        raise wrong(f"prompt[{place}]", str)
    raise invalid("prompt must be text for this model, which only chats; it cannot read token numbers", "prompt")


def _stop(body: dict[str, Any]) -> tuple[str, ...] | None:
    value = body.pop("stop", None)
    if value is None:
        return None
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise wrong("stop", str, list)
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise wrong(f"stop[{index}]", str)
    return tuple(value)


def _include_usage(body: dict[str, Any]) -> bool:
    """Whether usage is asked for in the stream; other options stay in ``body``."""
    given = optional(body, "stream_options", dict)
    if given is None:
        return False
    options = given.copy()
    try:
        asked = optional(options, "include_usage", bool)
    except ParleyError as error:
        raise at(error, "stream_options") from None
    if options:
        body["stream_options"] = options
    return bool(asked)
