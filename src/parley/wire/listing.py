"""The list of models in the shape of each dialect (GET /v1/models and GET /v1/models/{id}).

Source: OpenAI surface contract section 9, provider contract sections 2, 3.1 and 13.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from parley.failure import invalid

PAGE = 20
LARGEST_PAGE = 1000
GEMINI_PAGE = 50
_METHODS = {
    "chat": ("generateContent", "streamGenerateContent", "countTokens"),
    "embeddings": ("embedContent", "batchEmbedContents"),
}
_encode = msgspec.json.Encoder().encode


class Listed(Struct, frozen=True):
    """One model as it may be asked for; ``created`` in Unix seconds, 0 where unknown; ``operations`` it serves."""

    id: str
    created: int = 0
    owner: str = "parley"
    operations: tuple[str, ...] = ("chat",)


def openai_list(models: Sequence[Listed]) -> bytes:
    """Every model: this dialect knows no pages here."""
    return _encode({"object": "list", "data": [_openai(model) for model in models]})


def openai_model(model: Listed) -> bytes:
    """One model."""
    return _encode(_openai(model))


def _openai(model: Listed) -> dict[str, object]:
    return {"id": model.id, "object": "model", "created": model.created, "owned_by": model.owner}


def page_limit(text: str | None) -> int:
    """``limit`` of the query, 20 where absent. Raises ``invalid_request`` unless it is 1 to 1000."""
    if text is None:
        return PAGE
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= LARGEST_PAGE):
        raise invalid(f"limit: must be a number from 1 to {LARGEST_PAGE}", "limit")
    return int(text)


def anthropic_list(
    models: Sequence[Listed], limit: int = PAGE, after_id: str | None = None, before_id: str | None = None
) -> bytes:
    """One page: the first models, those after or those just before a cursor (a model's id).

    Raises ``invalid_request`` for both cursors at once or one that names no model.
    """
    if after_id is not None and before_id is not None:
        raise invalid("before_id: cannot be combined with after_id", "before_id")
    if before_id is not None:
        end = _position(models, before_id, "before_id")
        start = max(0, end - limit)
        more = start > 0
    else:
        start = 0 if after_id is None else _position(models, after_id, "after_id") + 1
        end = start + limit
        more = end < len(models)
    page = models[start:end]
    return _encode(
        {
            "data": [_anthropic(model) for model in page],
            "has_more": more,
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
        }
    )


def anthropic_model(model: Listed) -> bytes:
    """One model."""
    return _encode(_anthropic(model))


def _anthropic(model: Listed) -> dict[str, object]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
    }


def gemini_list(models: Sequence[Listed], query: Mapping[str, str]) -> bytes:
    """One page of ``pageSize`` models (50 where absent); ``pageToken`` is the id of the first of them.

    Raises ``invalid_request`` for another size or a token that names no model.
    """
    size, token = query.get("pageSize") or query.get("page_size"), query.get("pageToken") or query.get("page_token")
    if size and not (size.isascii() and size.isdigit() and len(size) <= 6):
        raise invalid("pageSize must be a number", "pageSize")
    start = _position(models, token, "pageToken") if token else 0
    end = start + min(int(size or 0) or GEMINI_PAGE, LARGEST_PAGE)
    answer: dict[str, object] = {"models": [_gemini(model) for model in models[start:end]]}
    if end < len(models):
        answer["nextPageToken"] = models[end].id
    return _encode(answer)


def gemini_model(model: Listed) -> bytes:
    """One model."""
    return _encode(_gemini(model))


def _gemini(model: Listed) -> dict[str, object]:
    return {
        "name": f"models/{model.id}",
        "version": "1",
        "displayName": model.id,
        "supportedGenerationMethods": [
            method for operation in model.operations for method in _METHODS.get(operation, ())
        ],
    }


def _position(models: Sequence[Listed], id: str, name: str) -> int:
    for position, model in enumerate(models):
        if model.id == id:
            return position
    raise invalid(f"{name}: no model of that id", name)


def page(dialect: str, models: Sequence[Listed], query: Mapping[str, str]) -> bytes:
    """The list in a dialect's shape; ``query`` holds paging where it has any. Raises ``invalid_request``."""
    if dialect == "gemini":
        return gemini_list(models, query)
    if dialect != "anthropic":
        return openai_list(models)
    return anthropic_list(models, page_limit(query.get("limit")), query.get("after_id"), query.get("before_id"))


def one(dialect: str, model: Listed) -> bytes:
    """One model in a dialect's shape."""
    shapes = {"anthropic": anthropic_model, "gemini": gemini_model}
    return shapes.get(dialect, openai_model)(model)
