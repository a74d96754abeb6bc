"""Model lists as the official clients read them."""

import msgspec
import pytest
from anthropic.pagination import SyncPage
from anthropic.types import ModelInfo
from openai.pagination import SyncPage as OpenAIPage
from openai.types import Model

from parley.failure import ParleyError
from parley.wire.listing import (
    Listed,
    anthropic_list,
    anthropic_model,
    openai_list,
    openai_model,
    page_limit,
)

MODELS = [Listed("a", 1_700_000_000, "me"), Listed("org/b"), Listed("c"), Listed("d"), Listed("e")]


def page(**options: object) -> tuple[list[str], bool]:
    """Ids and has_more, as the client sees them."""
    found = SyncPage[ModelInfo].model_validate_json(anthropic_list(MODELS, **options))  # type: ignore[arg-type]
    ids = [model.id for model in found.data]
    assert (found.first_id, found.last_id) == ((ids[0], ids[-1]) if ids else (None, None))
    assert found.has_more is not None
    return ids, found.has_more


def test_openai_shape() -> None:
    found = OpenAIPage[Model].model_validate_json(openai_list(MODELS))
    assert found.object == "list"
    assert [model.id for model in found.data] == ["a", "org/b", "c", "d", "e"]
    assert msgspec.json.decode(openai_model(MODELS[0])) == {
        "id": "a",
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "me",
    }
    assert msgspec.json.decode(openai_list([])) == {"object": "list", "data": []}


def test_anthropic_shape() -> None:
    model = ModelInfo.model_validate_json(anthropic_model(MODELS[0]))
    assert (model.id, model.display_name, model.lifecycle, model.type) == ("a", "a", "active", "model")
    assert model.created_at.isoformat() == "2023-11-14T22:13:20+00:00"
    assert msgspec.json.decode(anthropic_model(MODELS[1]))["created_at"] == "1970-01-01T00:00:00Z"


def test_pages_forward_and_back() -> None:
    assert page() == (["a", "org/b", "c", "d", "e"], False)
    assert page(limit=2) == (["a", "org/b"], True)
    assert page(limit=2, after_id="org/b") == (["c", "d"], True)
    assert page(limit=2, after_id="d") == (["e"], False)
    assert page(limit=2, after_id="e") == ([], False)
    assert page(limit=2, before_id="d") == (["org/b", "c"], True)
    assert page(limit=2, before_id="org/b") == (["a"], False)


def test_wrong_pages_are_named() -> None:
    for options, param in (
        ({"after_id": "x"}, "after_id"),
        ({"before_id": "x"}, "before_id"),
        ({"after_id": "a", "before_id": "d"}, "before_id"),
    ):
        with pytest.raises(ParleyError) as caught:
            page(**options)
        assert (caught.value.failure.kind, caught.value.failure.param) == ("invalid_request", param)


def test_limits() -> None:
    assert (page_limit(None), page_limit("1"), page_limit("1000")) == (20, 1, 1000)
    for text in ("0", "1001", "-1", "x", "", "٣", "1.5"):
        with pytest.raises(ParleyError) as caught:
            page_limit(text)
        assert caught.value.failure.param == "limit"
