"""Optional parts that are not installed: told where they are asked for, with what brings them."""

import pytest

from parley.config import load_text, packages


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing optional is here."""
    monkeypatch.setattr(packages, "find_spec", lambda name: None)


@pytest.mark.parametrize(
    ("provider", "module", "extra"),
    [
        ("{type: kserve, wire: infer-grpc, base_url: 'http://h:1'}", "grpc", "grpc"),
        ("{type: bedrock, base_url: 'http://h:1'}", "botocore", "aws"),
        ("{type: vertex, base_url: 'http://h:1'}", "google.auth", "gcp"),
    ],
)
def test_what_carries_calls_is_told_with_its_extra(bare: None, provider: str, module: str, extra: str) -> None:
    (problem,) = load_text(f"providers:\n  p: {provider}\n", {}).problems
    assert problem.message == f"calls to this provider need {module}, which is not installed"
    assert problem.hint == f"pip install 'parley[{extra}]'"
    assert (problem.line, problem.column) == (2, 3)


@pytest.mark.parametrize(
    "provider",
    [
        "{type: kserve, base_url: 'http://h:1'}",
        "{type: bedrock, base_url: 'http://h:1', api_key: k}",
        "{type: openai, base_url: 'http://h:1'}",
    ],
)
def test_what_needs_none_of_it_is_left_alone(bare: None, provider: str) -> None:
    assert load_text(f"providers:\n  p: {provider}\n", {}).problems == ()


def test_with_them_all_is_well() -> None:
    text = "providers:\n  p: {type: kserve, wire: infer-grpc, base_url: 'http://h:1'}\n"
    assert load_text(text, {}).problems == ()
    assert not packages.installed("nothing_of_this_name.at_all")
