"""What seals a model's thoughts and calls, on its way through callers of another wire. Shared by wires.

A signature belongs to the provider that made it and must come back byte for byte. Gemini signs calls and thoughts;
Anthropic signs thoughts. In the canonical form Gemini's signature of a thought begins with a mark, so that nobody
takes it for one of Anthropic's; its signature of a call is ``thoughtSignature`` in the call's ``extra``, which callers
of OpenAI's wire know as ``extra_content.google.thought_signature``, and callers of Anthropic's as the signature of an
empty thought before the call. Its signature of a text is that of an empty thought beside the text, with a mark of its
own. Sources: provider contract 3.6 (2).
"""

from base64 import b64decode, b64encode
from typing import Any, Final

from parley.ir import Block, Extra, Thinking, ToolCall

SIGNED: Final = "thoughtSignature"
# What Gemini takes in place of a signature for calls that another model made.
FILLER: Final = "skip_thought_signature_validator"
_MARK: Final = "gemini:"
MISTRAL: Final = "mistral:"
# Of models at Bedrock that are not Claude's: Claude signs alike wherever it is served.
BEDROCK: Final = "bedrock:"
# Of a text, and of the end of one: it stood on a part without words.
_OF_TEXT: Final = "gemini-text:"
_OF_END: Final = "gemini-end:"
# How signatures begin that carry what another wire's provider sealed.
MARKS: Final = (_MARK, _OF_TEXT, _OF_END, MISTRAL, BEDROCK, "openai_responses:")
# Wires whose providers seal, and want back what they sealed beside calls.
SEALING: Final = frozenset({"anthropic", "bedrock", "gemini", "mistral", "openai_responses"})
# The option of a provider of OpenAI's wire that wants such things back: its words, or the signatures of its calls.
RETURNS: Final = "returns"
WORDS: Final = "reasoning"
CALLS: Final = "calls"
_FOREIGN: Final = b"parley:"
# How everything begins in base64 that ``foreign`` made.
WRAPPED: Final = b"cGFybGV5O"


def sealed(signature: str) -> str:
    """Gemini's signature as the canonical form and callers of other wires have it."""
    return _MARK + signature


def opened(signature: str | None) -> str | None:
    """Gemini's own signature, None where it is somebody else's."""
    return signature[len(_MARK) :] if signature is not None and signature.startswith(_MARK) else None


def beside(text: str, signature: str) -> Thinking:
    """The empty thought that carries Gemini's signature of a part with that text."""
    return Thinking("", (_OF_TEXT if text else _OF_END) + signature)


def of_text(signature: str | None) -> tuple[str, bool] | None:
    """Gemini's signature of a text, and whether the text's own part had it; None for any other."""
    if signature is None or not signature.startswith("gemini-"):
        return None
    own = signature.startswith(_OF_TEXT)
    return signature[len(_OF_TEXT if own else _OF_END) :], own


def marked(signature: str | None) -> bool:
    """Whether a mark says whose signature it is; Anthropic's bear none."""
    return signature is not None and signature.startswith(MARKS)


def apart(block: Block) -> Thinking | None:
    """The empty thought that carries the signature of a call to callers who keep signatures of thoughts only; None
    for any other block."""
    signature = call_signature(block.extra) if type(block) is ToolCall else None
    return None if signature is None else Thinking("", sealed(signature))


def call_signature(extra: Extra) -> str | None:
    """Gemini's signature of a call, None where it has none."""
    found: Any = extra.get(SIGNED)
    if found is None:
        content = extra.get("extra_content")
        google = content.get("google") if isinstance(content, dict) else None
        found = google.get("thought_signature") if isinstance(google, dict) else None
    return found if isinstance(found, str) and found else None


def extra_content(signature: str) -> dict[str, Any]:
    """The same as callers of OpenAI's wire know it."""
    return {"google": {"thought_signature": signature}}


def foreign(signature: str) -> str:
    """Somebody else's signature as bytes in base64, which is all that callers of Gemini's wire keep."""
    return b64encode(_FOREIGN + signature.encode()).decode()


def native(signature: str) -> str | None:
    """What ``foreign`` was given, None for a signature of Gemini's own."""
    try:
        found = b64decode(signature.replace("-", "+").replace("_", "/"), validate=True)
        return found[len(_FOREIGN) :].decode() if found.startswith(_FOREIGN) else None
    except ValueError:
        return None
