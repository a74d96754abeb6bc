"""What properties of a component may be: templates, variables, numbers; where it is and who it is for."""

import re
from pathlib import Path

import pytest

from config.test_components import component, provider, read, target

HOST = re.compile(r"https://[0-9a-f-]{36}\.example/v1")


def of(tmp_path: Path, value: str, **env: str) -> tuple[str, ...]:
    """The endpoint that comes of a template."""
    made = read(tmp_path, component("c", "openai", key="k", endpoint=f'"{value}"'), env=env)
    assert not made.rejected
    return provider(made.settings, "c").endpoints


def test_templates(tmp_path: Path) -> None:
    assert of(tmp_path, "https://{podName}.example/v1", POD_NAME="p-1") == ("https://p-1.example/v1",)
    assert of(tmp_path, "https://{appID}.example/v1") == ("https://parley.example/v1",)
    assert of(tmp_path, "https://{appID}.example/v1", APP_ID="mine") == ("https://mine.example/v1",)
    assert of(tmp_path, "https://{namespace}.example/v1") == ("https://default.parley.example/v1",)
    assert of(tmp_path, "https://{namespace}.example/v1", NAMESPACE="n") == ("https://n.parley.example/v1",)
    (one,), (other,) = (of(tmp_path, "https://{uuid}.example/v1") for _ in range(2))
    assert HOST.fullmatch(one)
    assert one != other
    assert of(tmp_path, "https://{other}x.example/v1".replace("{other}", "o")) == ("https://ox.example/v1",)


ENVREF = "  metadata:\n  - {name: key, envRef: %s}\n"


@pytest.mark.parametrize(
    ("variable", "env", "key"),
    [
        ("MINE", {"MINE": "k"}, "k"), ("APP_API_TOKEN", {"APP_API_TOKEN": "k"}, None),
        ("DAPR_API_TOKEN", {"DAPR_API_TOKEN": "k"}, None), ("dapr_x", {"dapr_x": "k"}, None),
        ("'A B'", {"A B": "k"}, None), ("''", {"": "k"}, None), ("GONE", {}, None),
        ("MINE", {"MINE": "k", "DAPR_ENV_KEYS": "OTHER MINE"}, "k"),
        ("MINE", {"MINE": "k", "DAPR_ENV_KEYS": "OTHER"}, None),
    ],
)  # fmt: skip
def test_which_variables_may_be_read(tmp_path: Path, variable: str, env: dict[str, str], key: str | None) -> None:
    made = read(tmp_path, component("c", "mistral", ENVREF % variable), env=env)
    if key is None:
        assert "mistral api key is required" in made.rejected[0].message
    else:
        assert provider(made.settings, "c").keys == (key,)


def test_numbers_and_truth_values_are_their_text(tmp_path: Path) -> None:
    text = "  metadata:\n  - {name: key, value: 12}\n  - {name: model, value: 4.5}\n  - {name: maxTokens, value: 7}\n"
    made = read(tmp_path, component("c", "openai", text)).settings
    assert (provider(made, "c").keys, target(made, "c")) == (("12",), "c/4.5")
    assert made.find("chat", "c").defaults["max_tokens"] == 7


def test_names_of_properties_and_types_are_read_in_any_case(tmp_path: Path) -> None:
    text = component("c", "OpenAI", KEY="k", Model="m", MaxTokens="5")
    made = read(tmp_path, text).settings
    assert (target(made, "c"), made.find("chat", "c").defaults) == ("c/m", {"max_tokens": 5})


@pytest.mark.parametrize("version", ["v1", "v0", "''"])
def test_versions_that_are_one(tmp_path: Path, version: str) -> None:
    text = component("c", "echo").replace("version: v1", f"version: {version}")
    assert set(read(tmp_path, text).settings.components) == {"c"}


@pytest.mark.parametrize(
    ("endpoints", "urls"),
    [
        ("us.api.openai.com, eu.api.openai.com", ("https://us.api.openai.com/v1", "https://eu.api.openai.com/v1")),
        ("127.0.0.1:8000", ("https://127.0.0.1:8000",)),
        ("http://127.0.0.1:8000/v1/,https://h/x", ("http://127.0.0.1:8000/v1", "https://h/x")),
    ],
)
def test_several_endpoints(tmp_path: Path, endpoints: str, urls: tuple[str, ...]) -> None:
    made = read(tmp_path, component("c", "chatgpt", key="k", endpoints=f'"{endpoints}"'))
    assert not made.rejected
    assert provider(made.settings, "c").endpoints == urls


@pytest.mark.parametrize(
    ("kind", "endpoint", "model"),
    [
        ("deepseek", "https://api.deepseek.com", "deepseek-chat"),
        ("aws.bedrock", "https://bedrock-runtime.eu-west-1.amazonaws.com", "amazon.titan-text-lite-v1"),
    ],
)
def test_types_that_no_variable_chooses_the_model_of(tmp_path: Path, kind: str, endpoint: str, model: str) -> None:
    made = read(tmp_path, component("c", kind, key="k"), env={"AWS_REGION": "eu-west-1"})
    assert not made.rejected
    assert provider(made.settings, "c").endpoints[0].removesuffix("/v1") == endpoint
    assert target(made.settings, "c") == f"c/{model}"


def test_an_endpoint_of_a_type_that_has_none_is_not_looked_at(tmp_path: Path) -> None:
    made = read(tmp_path, component("c", "googleai", key="k", endpoint="https://elsewhere.example/v1"))
    assert "elsewhere" not in provider(made.settings, "c").endpoints[0]
    made = read(tmp_path, component("c", "mistral", key="k", endpoint="https://elsewhere.example/v1"))
    assert "elsewhere" not in provider(made.settings, "c").endpoints[0]


@pytest.mark.parametrize("given", [{"cacheTTL": "90"}, {"responseCacheTTL": "1m30s"}, {"CACHETTL": "90s"}])
def test_a_cache_by_either_name(tmp_path: Path, given: dict[str, str]) -> None:
    found = read(tmp_path, component("c", "openai", key="k", **given)).settings.find("chat", "c")
    assert (found.cache.place, found.cache.ttl) == ("memory", 90.0)


def test_other_documents_of_resiliency(tmp_path: Path) -> None:
    policies = (
        "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {name: r}\nspec:\n  policies:\n"
        "    timeouts: {DefaultConversationComponentOutboundTimeoutPolicy: 3s, DefaultTimeoutPolicy: 9s}\n"
        "    retries: {DefaultRetryPolicy: {policy: exponential, maxInterval: 15s, maxRetries: 2}}\n"
        "    circuitBreakers: {DefaultCircuitBreakerPolicy: {maxRequests: 1, timeout: 30s}}\n"
    )
    made = read(tmp_path, component("c", "openai", key="k"), policies).settings
    found = provider(made, "c")
    assert (found.timeouts.total, found.trips, found.rests) == (3.0, 6, 30.0)
    assert made.find("chat", "c").retries.attempts == 3
    elsewhere = read(tmp_path, component("c", "openai", key="k"), policies + "scopes: [other]\n").settings
    assert provider(elsewhere, "c").timeouts.total == 600.0
    ours = read(tmp_path, component("c", "openai", key="k"), policies + "scopes: [parley]\n").settings
    assert provider(ours, "c").timeouts.total == 3.0
    endless = policies.replace("maxRetries: 2", "maxRetries: -1")
    assert read(tmp_path, component("c", "openai", key="k"), endless).settings.find("chat", "c").retries.attempts == 100
