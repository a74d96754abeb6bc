"""Rerank: a document is as relevant as the share of the query's words that it holds. Cohere's and Jina's shape."""

import re
from typing import Any, Final

from msgspec import json

from parley.failure import invalid
from parley.io.echo.asked import JSON, Ask, Fields, Said, object_of

_WORD: Final = re.compile(r"\w+")


def rerank(ask: Ask) -> Said:
    """The documents by their scores, the best first, equal ones in the order given."""
    fields = object_of(ask)
    model, query, documents = fields.need("model"), fields.need("query"), _documents(fields)
    first, shown = fields.whole("top_n", 1), fields.flag("return_documents")
    texts = [_text(document, f"documents[{index}]") for index, document in enumerate(documents)]
    wanted = _words(query)
    scored = [(_score(wanted, text), index) for index, text in enumerate(texts)]
    best = sorted(scored, key=lambda one: (-one[0], one[1]))[:first]
    results = [_result(score, index, documents[index] if shown else None) for score, index in best]
    count = len(query.split()) + sum(len(text.split()) for text in texts)
    usage = {"prompt_tokens": count, "total_tokens": count}
    made = {"id": f"rerank-echo-{ask.number}", "model": model, "results": results, "usage": usage}
    return Said(JSON, iter((json.encode(made),)))


def _result(score: float, index: int, document: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"index": index, "relevance_score": score}
    if document is not None:
        made["document"] = {"text": document} if isinstance(document, str) else document
    return made


def _score(wanted: frozenset[str], text: str) -> float:
    return round(len(wanted & _words(text)) / len(wanted), 6) if wanted else 0.0


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def _documents(fields: Fields) -> list[Any]:
    given = fields.given("documents")
    if not isinstance(given, list) or not given:
        raise invalid("documents is required and must be an array that is not empty", "documents")
    return given


def _text(document: Any, path: str) -> str:
    """A document's words: it is a string, or an object with a ``text``."""
    text = document.get("text") if isinstance(document, dict) else document
    if not isinstance(text, str):
        raise invalid(f"{path} must be a string or an object with a text", path)
    return text
