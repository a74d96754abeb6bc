"""Hooks and issuers as the file names them."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from parley.config import load_text
from parley.config.hooks import built
from parley.hooks.scrub import Scrub
from parley.keys.token import Issuer
from parley.settings import Hook

JWT = "auth: {jwt: {issuer: 'https://i.example', audience: me%s}}"


def test_a_hook_with_everything_that_can_be_said() -> None:
    text = "hooks: [{use: pii, models: 'a*', on_failure: pass, timeout: 2s, slow: 5, options: {answers: false}}]"
    loaded = load_text(text, {})
    assert loaded.problems == ()
    assert loaded.settings.hooks == (Hook("pii", ("a*",), "pass", 2.0, 5, {"answers": False}),)
    assert isinstance(built(loaded.settings.hooks[0]), Scrub)


def test_nothing_is_loaded_that_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **more: pytest.fail("they were looked at"))
    assert load_text("", {}).settings.hooks == ()
    assert load_text("hooks: [{use: pii}]", {}).problems == ()


def test_a_hook_of_an_installed_package_and_one_by_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "made_by_somebody.py").write_text("class Mine:\n    def request(self, view): ...\nnone = dict\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    class Points(dict[str, Any]):
        @property
        def names(self) -> set[str]:
            return set(self)

    points = Points(mine=SimpleNamespace(value="made_by_somebody:Mine"))
    monkeypatch.setattr(
        "importlib.metadata.entry_points", lambda *, group: points if group == "parley.hooks" else Points()
    )
    assert load_text("hooks: [{use: mine}, {use: 'made_by_somebody:Mine'}]", {}).problems == ()
    (problem,) = load_text("hooks: [{use: mime}]", {}).problems
    assert (problem.line, problem.column) == (1, 15)
    assert "mine" in problem.hint
    (problem,) = load_text("hooks: [{use: 'made_by_somebody:none'}]", {}).problems
    assert "is no hook" in problem.message
    sys.modules.pop("made_by_somebody")


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("hooks: [{use: nobody}]", "nobody", 'unknown hook "nobody"'),
        ("hooks: [{use: 'no.such.module:Hook'}]", "'no.such", "cannot be loaded: ModuleNotFoundError"),
        ("hooks: [{use: 'json:Nothing'}]", "'json", "cannot be loaded: AttributeError"),
        ("hooks: [{use: pii, options: {wrong: 1}}]", "pii", "cannot be made: TypeError"),
        ("hooks: [{use: pii, options: {entities: [NAME]}}]", "pii", "unknown entity 'NAME'"),
        ("hooks: [{use: pii, timeout: never}]", "never", "a duration such as"),
        ("hooks: [{use: pii, on_failure: ignore}]", "ignore", "refuse"),
        ("hooks: [{used: pii}]", "used", "use"),
        (JWT % ", algorithms: [HS256]", "HS256", '"HS256" does not prove'),
        (JWT % ", algorithms: [ES256, none]", "none", '"none" does not prove'),
        (JWT % ", jwks_url: 'http://i.example/keys'", "'http://i", "plain http"),
        (JWT % ", leeway: much", "much", "a duration such as"),
        ("auth: {jwt: {issuer: i.example, audience: me}}", "i.example", "not an address"),
        ("auth: {jwt: {issuer: 'https://i.example', audience: ''}}", "''", "no audience"),
        ("auth: {jwt: {issuer: 'https://i.example'}}", "jwt", "audience"),
    ],
)
def test_mistakes(text: str, at: str, words: str) -> None:
    problem = load_text(text, {}).problems[0]
    assert text[problem.column - 1 :].startswith(at)
    assert words in f"{problem.message} {problem.hint}"


def test_an_issuer_with_everything_that_can_be_said() -> None:
    text = JWT % (
        ", jwks_url: 'http://127.0.0.1/k', algorithms: [ES256], models: m, name: email, tags: {team: org.team},"
        " claims: {groups: [a, b], admin: true, level: 5}, leeway: 5s, refresh: 1m"
    )
    loaded = load_text(text, {})
    assert loaded.problems == ()
    assert loaded.settings.jwt == Issuer(
        issuer="https://i.example",
        audience=("me",),
        jwks="http://127.0.0.1/k",
        algorithms=("ES256",),
        claims={"groups": ("a", "b"), "admin": ("true",), "level": ("5",)},
        models="m",
        name="email",
        tags={"team": "org.team"},
        leeway=5.0,
        refresh=60.0,
    )


def test_the_library_for_tokens_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parley.config.tokens.find_spec", lambda name: None)
    (problem,) = load_text(JWT % "", {}).problems
    assert problem.hint == "pip install 'parley[oidc]'"
