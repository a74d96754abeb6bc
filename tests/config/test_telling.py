"""What is told of requests, as the file says it."""

import pytest

from config.test_schema import refused
from parley.config import load_text
from parley.settings import Telemetry


def test_slow_requests_and_the_collector() -> None:
    text = (
        "log: {slow: 1500ms}\n"
        'telemetry: {otlp: "http://127.0.0.1:4318/base", headers: {authorization: Bearer x}, sample: 0.25}\n'
    )
    loaded = load_text(text, {})
    assert loaded.problems == ()
    assert not refused(text)
    assert loaded.settings.slow == 1.5
    assert loaded.settings.telemetry == Telemetry("http://127.0.0.1:4318/base", (("authorization", "Bearer x"),), 0.25)
    assert loaded.settings.log_requests


@pytest.mark.parametrize("text", ["{}", "log: {slow: null}", "telemetry: {otlp: null}", "telemetry: {otlp: ''}"])
def test_neither_is_the_default(text: str) -> None:
    settings = load_text(text, {}).settings
    assert (settings.slow, settings.telemetry) == (None, Telemetry())
    assert not refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "log: {slow: soon}",
        "log: {slow: 0}",
        "telemetry: {otlp: 'collector:4318'}",
        "telemetry: {otlp: 'http://h?x=1'}",
        "telemetry: {sample: 2}",
        "telemetry: {sample: often}",
        "telemetry: {url: 'http://h'}",
    ],
)
def test_what_is_wrong_is_pointed_at(text: str) -> None:
    (problem,) = load_text(text, {}).problems
    assert (problem.line, problem.message != "") == (1, True)
    assert refused(text)


def test_a_headers_value_is_not_shown() -> None:
    (problem,) = load_text("telemetry: {headers: {authorization: Bearer very-secret}, sample: 2}", {}).problems
    assert "very-secret" not in repr(problem)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parley.config.telling.find_spec", lambda name: None)
    (problem,) = load_text("telemetry: {otlp: 'http://127.0.0.1:4318'}", {}).problems
    assert "pip install 'parley[otel]'" in problem.hint
