"""The small providers themselves: what their contract allows they answer, everything else they refuse."""

import json
from urllib.parse import urlsplit

import pytest

from grid import fakes
from grid.fakes import Fake
from grid.features import words
from grid.losses import Way, provider_of
from grid.parts import Plan, Wrong
from grid.samples import ASK

HEADERS = {"authorization": "Bearer sk-up", "api-key": "sk-up", "x-api-key": "sk-up", "x-goog-api-key": "sk-up",
           "anthropic-version": "2023-06-01"}  # fmt: skip
EACH = [pytest.param(fake, id=fake.name) for fake in fakes.made()]


def asked(fake: Fake) -> tuple[str, bytes]:
    """Path and body of a plain request as they reach the provider."""
    provider = provider_of(fake)
    path = urlsplit(provider.endpoints[0]).path + provider.paths["chat"].replace("{model}", "m")
    way = Way("OpenAI chat", fake)
    return path, b"".join(way.sent({"temperature": 0.5}).body)


@pytest.mark.parametrize("fake", EACH)
def test_a_request_by_the_contract_is_read(fake: Fake) -> None:
    path, body = asked(fake)
    seen = fake.read(path, HEADERS, body)
    assert ASK in seen.text


@pytest.mark.parametrize("fake", EACH)
@pytest.mark.parametrize("where", ["path", "member"])
def test_what_breaks_it_is_refused(fake: Fake, where: str) -> None:
    path, body = asked(fake)
    if where == "path":
        path = path.replace("/", "/x", 1)
    else:
        body = json.dumps({**json.loads(body), "frobnicate": 1}).encode()
    with pytest.raises((Wrong, ValueError)):
        fake.read(path, HEADERS, body)


@pytest.mark.parametrize(
    "fake", [param for param in EACH if param.id not in ("ollama", "tgi", "generate", "infer", "infer_grpc", "predict")]
)
def test_nobody_without_a_key_is_answered(fake: Fake) -> None:
    path, body = asked(fake)
    with pytest.raises(Wrong):
        fake.read(path, {}, body)


def test_every_provider_speaks_words_of_its_own() -> None:
    fakes_words = {fake.name: words(fake.name) for fake in fakes.made()}
    assert len(set(fakes_words.values())) == len(fakes_words)
    answers = {
        fake.whole(Plan(text="same"), "m")
        for fake in fakes.made()
        if fake.name not in ("openai", "azure", "infer_grpc")
    }
    # One writes what another writes: OpenAI's own form, of which Mistral's differs only where there is more to say.
    assert len(answers) == len(fakes.made()) - 4
