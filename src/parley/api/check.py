"""A request against the model of its operation: what is wrong in it is told by the JSON path of the field at fault.

Members that nobody declares are let through. Where this is called, and where not: docs/decisions/0006.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final, NoReturn

import msgspec
from msgspec import DecodeError, Struct, ValidationError

from parley.api.form import Form, members
from parley.api.words import complaint
from parley.failure import Failure, ParleyError

# The gateway's operations by their names, and what is sent to the stored conversations and to the counter of tokens.
BODIES: Final = frozenset(
    {
        "chat",
        "completions",
        "conversation",
        "conversation_items",
        "conversation_update",
        "embeddings",
        "image_generation",
        "input_tokens",
        "moderation",
        "rerank",
        "responses",
        "speech",
    }
)
FORMS: Final = frozenset({"image_edit", "image_variation", "transcription", "translation"})


def checked(operation: str, body: bytes) -> None:
    """Raise unless ``body`` is a request of the operation, one of BODIES.

    ``invalid_json`` where it is no JSON, ``invalid_request`` with the field at fault for everything else.
    """
    try:
        _decoder(operation)(body)
    except ValidationError as error:
        _refuse(operation, error)
    except (DecodeError, UnicodeDecodeError) as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise ParleyError(Failure("invalid_json", f"the request body is not valid JSON: {reason}")) from None
    except RecursionError:
        raise ParleyError(Failure("invalid_json", "the request body is nested too deeply")) from None


def checked_form(operation: str, fields: Mapping[str, list[str]], files: Iterable[str]) -> None:
    """The same for a form, one of FORMS: the values of its text fields by name, and the names of its files.

    Names may end in brackets, as OpenAI's clients write lists (``include[]``) and objects (``svg[detail]``).
    Numbers and truth values are read from their text; an object may also be JSON text.
    """
    try:
        msgspec.convert(members(_form(operation), fields, files), _model(operation), strict=False)
    except ValidationError as error:
        _refuse(operation, error)


def _refuse(operation: str, error: ValidationError) -> NoReturn:
    raise complaint(str(error), _model(operation)) from None


def _model(operation: str) -> type[Struct]:
    if operation not in BODIES and operation not in FORMS:
        raise KeyError(operation)
    model: type[Struct] = import_module(f"parley.api.models.{operation}").Request
    return model


@cache
def _decoder(operation: str) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(_model(operation)).decode


@cache
def _form(operation: str) -> Form:
    return Form(_model(operation))
