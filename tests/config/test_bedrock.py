"""Bedrock in a configuration: where it is, how calls get in, and what is wrong with too little or too much."""

import pytest

from config.sample import good, only
from parley.config import environment
from parley.settings import Provider

REGION = {"AWS_REGION": "eu-west-1"}
HOME = "https://bedrock-runtime.eu-west-1.amazonaws.com"


def bedrock(text: str = "providers: {bedrock: }", **env: str) -> Provider:
    """The provider as a configuration makes it."""
    return good(text, **env).settings.providers["bedrock"]


def test_a_region_is_enough_as_calls_are_signed() -> None:
    made = bedrock(**REGION)
    assert (made.endpoints, made.transport, made.wire) == ((HOME,), "bedrock", "bedrock")
    assert (made.keys, made.auth) == ((), "none")
    assert dict(made.paths) == {"chat": "/model/{model}/converse", "chat_stream": "/model/{model}/converse-stream"}


def test_a_bearer_key_of_the_environment_or_of_the_file() -> None:
    made = bedrock(**REGION, AWS_BEARER_TOKEN_BEDROCK="token")
    assert (made.keys, made.auth, made.transport) == (("token",), "bearer", "bedrock")
    assert bedrock("providers: {bedrock: {api_key: mine}}", **REGION).keys == ("mine",)
    signed = bedrock("providers: {bedrock: {api_key: null}}", **REGION, AWS_BEARER_TOKEN_BEDROCK="token")
    assert (signed.keys, signed.auth) == ((), "none")


@pytest.mark.parametrize(
    ("url", "keys"),
    [
        ("https://bedrock-runtime.us-west-2.amazonaws.com", ("token",)),
        ("https://bedrock-runtime.us-west-2.amazonaws.com.example", ()),
        ("http://127.0.0.1:9", ()),
    ],
)
def test_the_key_of_the_environment_goes_to_every_region_and_nowhere_else(url: str, keys: tuple[str, ...]) -> None:
    made = bedrock(f"providers: {{bedrock: {{base_url: '{url}'}}}}", AWS_BEARER_TOKEN_BEDROCK="token")
    assert (made.endpoints, made.keys) == ((url,), keys)


def test_the_address_that_aws_s_own_tools_read() -> None:
    assert bedrock(AWS_ENDPOINT_URL_BEDROCK_RUNTIME="https://vpce.example").endpoints == ("https://vpce.example",)


def test_without_a_region_the_variable_is_named() -> None:
    problem = only("providers: {bedrock: }")
    assert "AWS_REGION" in problem.message


def test_a_library_that_signs_nothing_is_refused() -> None:
    problem = only("providers: {bedrock: {transport: aiohttp}}", **REGION)
    assert "native transport" in problem.message
    assert (problem.line, problem.column) == (1, 34)


def test_the_path_of_streams_can_be_set_like_any_other() -> None:
    made = bedrock("providers: {bedrock: {paths: {chat_stream: '/s/{model}'}}}", **REGION)
    assert made.paths["chat_stream"] == "/s/{model}"


def test_a_bearer_key_and_a_region_in_the_environment_need_no_file() -> None:
    [made] = environment({**REGION, "AWS_BEARER_TOKEN_BEDROCK": "token"})
    assert (made.name, made.endpoints, made.keys) == ("bedrock", (HOME,), ("token",))
    assert environment({**REGION, "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s"}) == ()
