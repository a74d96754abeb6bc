"""Bedrock in a configuration: where it is, how calls get in, and what is wrong with too little or too much."""

import pytest

from config.sample import good, only
from parley.config import environment
from parley.settings import Provider, Signing

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


ALL = "aws: {region: ap-south-1, access_key_id: AKIA, secret_access_key: '${S}', session_token: t, role_arn: 'arn:r', role_session_name: me, external_id: x}"  # noqa: E501


def test_credentials_of_the_file() -> None:
    made = bedrock(f"providers: {{bedrock: {{{ALL}}}}}", S="secret/+", AWS_BEARER_TOKEN_BEDROCK="token")
    assert made.endpoints == ("https://bedrock-runtime.ap-south-1.amazonaws.com",)
    assert made.signing == Signing(
        region="ap-south-1", access_key="AKIA", secret_key="secret/+", token="t", role="arn:r", session="me",
        external_id="x",
    )  # fmt: skip
    # Calls are signed with them, whatever else the environment has.
    assert (made.keys, made.auth) == ((), "none")


def test_a_profile_or_a_region_alone() -> None:
    assert bedrock("providers: {bedrock: {aws: {profile: work}}}", **REGION).signing == Signing(profile="work")
    keyed = bedrock("providers: {bedrock: {aws: {region: eu-north-1}}}", AWS_BEARER_TOKEN_BEDROCK="token")
    assert (keyed.keys, keyed.signing) == (("token",), Signing(region="eu-north-1"))
    assert keyed.endpoints == ("https://bedrock-runtime.eu-north-1.amazonaws.com",)


def test_a_role_is_assumed_in_the_region_of_the_address() -> None:
    url = "https://bedrock-runtime.us-west-2.amazonaws.com"
    made = bedrock(f"providers: {{bedrock: {{base_url: '{url}', aws: {{role_arn: 'arn:r'}}}}}}")
    assert made.signing == Signing(region="us-west-2", role="arn:r")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("aws: {access_key_id: A}", "access_key_id needs secret_access_key"),
        ("aws: {secret_access_key: hidden-one}", "secret_access_key needs access_key_id"),
        ("aws: {session_token: hidden-one}", "session_token goes with access_key_id"),
        ("aws: {access_key_id: A, secret_access_key: hidden-one, profile: p}", "not both"),
        ('aws: {access_key_id: A, secret_access_key: "hidden\\none"}', "cannot be sent in a header"),
        ("api_key: k, aws: {role_arn: r}", "give api_key or aws, not both"),
        ("aws: {acess_key: A}", 'unknown key "acess_key"'),
    ],
)
def test_what_is_wrong_with_credentials(entry: str, message: str) -> None:
    problem = only(f"providers: {{bedrock: {{{entry}}}}}", **REGION)
    assert message in problem.message
    assert "hidden" not in problem.source


def test_only_calls_to_aws_are_signed() -> None:
    problem = only("providers: {openai: {api_key: k, aws: {region: eu-west-1}}}")
    assert "only calls to AWS are signed" in problem.message
