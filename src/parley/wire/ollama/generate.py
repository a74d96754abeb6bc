"""Requests to /api/generate, read from a caller: one prompt under one instruction, as a chat of one turn.

The server puts its chat template around the prompt, so any model that chats can answer. What only it can do stands
among the blocks of the prompt, so that another provider refuses it by name. Source: provider contract 4.2, 4.3.
"""

from typing import Any, Final

from parley.ir import Block, ChatRequest, Extra, Message, Opaque, Text
from parley.wire.fields import Scalar, check, optional
from parley.wire.ollama.options import GENERATE, SHARED, shared_fields
from parley.wire.ollama.turns import spoken

# What no chat has.
OWN: Final = {
    "suffix": Scalar((str,)),
    "template": Scalar((str,)),
    "context": Scalar((list,)),
    "raw": Scalar((bool,)),
    "width": Scalar((int,)),
    "height": Scalar((int,)),
    "steps": Scalar((int,)),
}
KNOWN: Final = SHARED | {"prompt", "system", "images", *OWN}


def decode_request(body: dict[str, Any]) -> ChatRequest:
    """The request in ``body``, which is left as it is. Raises ``invalid_request`` with the field's path."""
    rest = body.copy()
    aside: Extra = {}
    fields = shared_fields(rest, aside)
    system = optional(rest, "system", str)
    own = _own(rest, aside)
    prompt = Message("user", (*spoken(rest, "prompt"), *own), place="prompt")
    ahead = (Message("system", (Text(system),), place="system"),) if system else ()
    return ChatRequest(wire=GENERATE, messages=(*ahead, prompt), ahead=len(ahead), extra=rest, aside=aside, **fields)


def _own(rest: Extra, aside: Extra) -> list[Block]:
    """What no chat has; a value that asks for nothing is no loss anywhere."""
    found: list[Block] = []
    for name, scalar in OWN.items():
        value = rest.pop(name, None)
        if value is None:
            continue
        check(name, value, scalar)
        if value:
            found.append(Opaque(GENERATE, {"type": name, name: value}))
        else:
            aside[name] = value
    return found
