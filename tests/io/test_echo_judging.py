"""Moderations that flag nothing, and documents ranked by the words they share with the query."""

from typing import Any

import pytest
from echoes import object_at, refused
from openai.types import ModerationCreateResponse
from openai.types.moderation import Categories

JUDGED, RANKED = "/moderations", "/rerank"
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
DOCUMENTS = ["the cat sat", "A DOG, a cat: and the bird", "nothing here", "dog cat"]


@pytest.mark.parametrize(
    ("given", "results", "kinds"),
    [
        ("text", 1, ["text"]),
        ("", 1, ["text"]),
        (["a", "b"], 2, ["text"]),
        ([{"type": "text", "text": "a"}, IMAGE], 1, ["text", "image"]),
        ([IMAGE], 1, ["image"]),
    ],
)
async def test_nothing_is_flagged(given: Any, results: int, kinds: list[str]) -> None:
    made = await object_at(JUDGED, {"model": "echo", "input": given})
    parsed = ModerationCreateResponse.model_validate(made)
    assert (parsed.model, len(parsed.results)) == ("echo", results)
    names = {field.alias or name for name, field in Categories.model_fields.items()}
    for result in made["results"]:
        assert result["flagged"] is False
        assert set(result["categories"]) == set(result["category_scores"]) == names
        assert len(names) == 13
        assert set(result["categories"].values()) == {False}
        assert set(result["category_scores"].values()) == {0.0}
        assert result["category_applied_input_types"]["violence"] == kinds
        assert result["category_applied_input_types"]["hate"] == [kind for kind in kinds if kind == "text"]


async def test_the_usual_model() -> None:
    assert (await object_at(JUDGED, {"input": "x"}))["model"] == "omni-moderation-latest"


@pytest.mark.parametrize(
    ("given", "param"),
    [
        (None, "input"),
        ([], "input"),
        (5, "input"),
        (["a", 5], "input[1]"),
        ([5], "input[0]"),
        ([{"type": "text"}], "input[0].text"),
        ([IMAGE, {"type": "sound"}], "input[1].type"),
        ([{"type": "image_url", "image_url": "x"}], "input[0].image_url"),
    ],
)
async def test_what_cannot_be_judged(given: Any, param: str) -> None:
    assert (await refused(JUDGED, {"input": given})).param == param


def ranking(**members: Any) -> dict[str, Any]:
    return {"model": "echo", "query": "the Cat dog", "documents": DOCUMENTS, **members}


async def test_the_best_document_comes_first() -> None:
    made = await object_at(RANKED, ranking())
    third = round(2 / 3, 6)
    assert [(one["index"], one["relevance_score"]) for one in made["results"]] == [
        (1, 1.0), (0, third), (3, third), (2, 0.0),
    ]  # fmt: skip
    assert all("document" not in one for one in made["results"])
    assert made["model"] == "echo"
    assert made["usage"] == {"prompt_tokens": 17, "total_tokens": 17}


async def test_only_the_first_and_with_their_texts() -> None:
    made = await object_at(RANKED, ranking(top_n=2, return_documents=True))
    assert [one["document"] for one in made["results"]] == [{"text": DOCUMENTS[1]}, {"text": DOCUMENTS[0]}]
    assert len((await object_at(RANKED, ranking(top_n=99)))["results"]) == 4


async def test_documents_that_are_objects() -> None:
    documents = [{"text": "cat", "id": 7}, "dog"]
    made = await object_at(RANKED, ranking(query="cat", documents=documents, return_documents=True))
    assert [one["document"] for one in made["results"]] == [{"text": "cat", "id": 7}, {"text": "dog"}]


async def test_a_query_without_words() -> None:
    made = await object_at(RANKED, ranking(query="?!"))
    assert [(one["index"], one["relevance_score"]) for one in made["results"]] == [(at, 0.0) for at in range(4)]


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"query": None}, "query"),
        ({"query": ["x"]}, "query"),
        ({"documents": None}, "documents"),
        ({"documents": []}, "documents"),
        ({"documents": "x"}, "documents"),
        ({"documents": ["a", 5]}, "documents[1]"),
        ({"documents": [{"title": "x"}]}, "documents[0]"),
        ({"top_n": 0}, "top_n"),
        ({"top_n": 1.0}, "top_n"),
        ({"return_documents": "yes"}, "return_documents"),
        ({"model": None}, "model"),
    ],
)
async def test_what_cannot_be_ranked(members: dict[str, Any], param: str) -> None:
    assert (await refused(RANKED, ranking(**members))).param == param
