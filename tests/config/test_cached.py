"""What the file says of kept answers."""

import pytest

from parley.config import load_text
from parley.settings import Caching

MODEL = "models:\n  - model: m\n    targets: [echo/echo]\n"


def own(more: str, top: str = "") -> Caching:
    loaded = load_text(f"{top}\n{MODEL}    cache: {more}", {})
    assert loaded.problems == ()
    return loaded.settings.registrations["*", "m"].cache


def test_nothing_is_kept_unless_it_is_said() -> None:
    settings = load_text("", {}).settings
    assert (settings.cache, settings.cache_size) == (Caching("off", 600.0), 64 * 2**20)


@pytest.mark.parametrize(
    "place", ["off", "memory", "store", "redis://127.0.0.1:6379/2", "rediss://u:p@cache.example", "redis://h:1"]
)
def test_a_place(place: str) -> None:
    loaded = load_text(f"cache: {{responses: '{place}', ttl: 90s, size: 1MiB}}", {})
    assert loaded.problems == ()
    assert (loaded.settings.cache, loaded.settings.cache_size) == (Caching(place, 90.0), 2**20)


def test_a_model_may_say_a_part_of_it_and_the_rest_is_as_for_all() -> None:
    everyone = Caching("memory", 60.0)
    assert own("{ttl: 1h}") == Caching(None, 3600.0)
    assert own("{ttl: 1h}").over(everyone) == Caching("memory", 3600.0)
    assert own("{responses: off}").over(everyone) == Caching("off", 60.0)
    assert own("{}").over(everyone) == everyone


def test_the_entry_for_an_endpoint_goes_by_that_for_every_one() -> None:
    text = MODEL + "    cache: {responses: memory, ttl: 5s}\n  - {model: m, endpoint: chat, cache: {ttl: 9s}}"
    loaded = load_text(text, {})
    assert loaded.problems == ()
    assert loaded.settings.registrations["chat", "m"].cache == Caching("memory", 9.0)


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("cache: {responses: exact}", 1, 20, "expected off, memory, store or redis://"),
        ("cache: {responses: redis}", 1, 20, "expected off, memory, store or redis://"),
        ("cache: {responses: 'redis://'}", 1, 20, "expected off, memory, store or redis://"),
        ("cache: {responses: 'redis://h/x'}", 1, 20, "expected off, memory, store or redis://"),
        ("cache: {responses: 'redis://h:99999'}", 1, 20, "expected off, memory, store or redis://"),
        ("cache: {ttl: soon}", 1, 14, "a duration such as"),
        ("cache: {ttl: 0}", 1, 14, "above 0"),
        ("cache: {size: much}", 1, 15, "a size such as"),
        (MODEL + "    cache: {responses: yes}", 4, 24, "expected off, memory, store or redis://"),
        (MODEL + "    cache: {size: 1MiB}", 4, 13, "size"),
        ("models: [{model: m, alias: echo, cache: {ttl: 1s}}]", 1, 34, "an alias has no cache of its own"),
    ],
)
def test_mistakes(text: str, line: int, column: int, words: str) -> None:
    (problem,) = load_text(text, {}).problems
    assert (problem.line, problem.column) == (line, column)
    assert words in f"{problem.message} {problem.hint}"


def test_a_password_is_not_shown() -> None:
    problems = load_text("cache: {responses: 'redis://:hunter2@h/x'}", {}).problems
    assert problems
    assert "hunter2" not in repr([problem.message + problem.hint for problem in problems])


def test_the_client_of_redis_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parley.config.cached.find_spec", lambda name: None)
    (problem,) = load_text("cache: {responses: 'redis://h/0'}", {}).problems
    assert problem.hint == "pip install 'parley[redis]'"
