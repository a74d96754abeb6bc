"""Component files of Dapr: what they come to, and what is said of mistakes in them."""

from pathlib import Path
from typing import Any

import pytest

from parley.config import load
from parley.config.components.durations import go_seconds
from parley.settings import Provider, Settings

HEAD = "apiVersion: dapr.io/v1alpha1\nkind: Component\n"


def component(name: str, kind: str, more: str = "", **properties: str) -> str:
    lines = "".join(f"  - {{name: {key}, value: {value}}}\n" for key, value in properties.items())
    metadata = f"  metadata:\n{lines}" if properties else ""
    return f"{HEAD}metadata: {{name: {name}}}\nspec:\n  type: conversation.{kind}\n  version: v1\n{metadata}{more}"


def read(tmp_path: Path, *documents: str, env: dict[str, str] | None = None) -> Any:
    (tmp_path / "components").mkdir(exist_ok=True)
    (tmp_path / "components/all.yaml").write_text("\n---\n".join(documents))
    main = tmp_path / "parley.yaml"
    main.write_text("include: components/*.yaml\n")
    return load(main, env or {})


def provider(settings: Settings, name: str) -> Provider:
    return settings.providers[f"{name}#component"]


def target(settings: Settings, name: str) -> str:
    found = settings.find("chat", name)
    assert found is not None
    return found.targets[0].name


def test_a_component_is_a_model_for_everybody(tmp_path: Path):
    loaded = read(tmp_path, component("ai", "openai", key="sk-1", model="gpt-4o"))
    assert not loaded.problems
    assert not loaded.rejected
    assert target(loaded.settings, "ai") == "ai/gpt-4o"
    assert provider(loaded.settings, "ai").endpoints == ("https://api.openai.com/v1",)
    assert provider(loaded.settings, "ai").keys == ("sk-1",)
    assert loaded.settings.components["ai"].type == "conversation.openai"


@pytest.mark.parametrize(
    ("kind", "model", "variable", "endpoint"),
    [
        ("openai", "gpt-5-nano", "OPENAI_MODEL", "https://api.openai.com/v1"),
        ("chatgpt", "gpt-5-nano", "OPENAI_MODEL", "https://api.openai.com/v1"),
        ("anthropic", "claude-sonnet-4-20250514", "ANTHROPIC_MODEL", "https://api.anthropic.com/v1"),
        (
            "googleai",
            "gemini-2.5-flash-lite",
            "GOOGLEAI_MODEL",
            "https://generativelanguage.googleapis.com/v1beta/openai",
        ),
        ("mistral", "open-mistral-7b", "MISTRAL_MODEL", "https://api.mistral.ai/v1"),
        ("ollama", "llama3.2:latest", "OLLAMA_MODEL", "http://localhost:11434/v1"),
        ("openrouter", "openai/gpt-4o-mini", "OPENROUTER_MODEL", "https://openrouter.ai/api/v1"),
        (
            "huggingface",
            "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",
            "HUGGINGFACE_MODEL",
            "https://router.huggingface.co/hf-inference/models/deepseek-ai/DeepSeek-R1-Distill-Qwen-32B/v1",
        ),
    ],
)
def test_models_come_from_the_environment_then_the_file_then_the_type(
    tmp_path: Path, kind: str, model: str, variable: str, endpoint: str
):
    plain = read(tmp_path, component("c", kind, key="k")).settings
    assert target(plain, "c") == f"c/{model}"
    assert provider(plain, "c").endpoints == (endpoint,)
    named = component("c", kind, key="k", model="mine")
    assert target(read(tmp_path, named).settings, "c") == "c/mine"
    assert target(read(tmp_path, named, env={variable: "theirs"}).settings, "c") == "c/theirs"


def test_the_proposals_own_example_works_as_written(tmp_path: Path):
    proposed = component(
        "chatgpt",
        "chatgpt",
        key="sk",
        model="gpt-4-turbo",
        endpoints='"us.api.openai.com,eu.api.openai.com,host:8080/v1,http://plain/v1"',
        loadBalancingPolicy="ROUNDROBIN",
    )
    made = provider(read(tmp_path, proposed).settings, "chatgpt")
    assert made.endpoints == (
        "https://us.api.openai.com/v1",
        "https://eu.api.openai.com/v1",
        "https://host:8080/v1",
        "http://plain/v1",
    )
    assert made.balance == "round_robin"


@pytest.mark.parametrize(
    ("policy", "balance"),
    [("roundrobin", "round_robin"), ("LeastRequest", "least_busy"), ("RANDOM", "weighted"), ("failover", "fallback")],
)
def test_every_policy_of_the_proposal(tmp_path: Path, policy: str, balance: str):
    made = read(tmp_path, component("c", "openai", key="k", loadBalancingPolicy=policy)).settings
    assert provider(made, "c").balance == balance


def test_azure_has_its_deployment_in_the_path(tmp_path: Path):
    azure = component(
        "az",
        "openai",
        key="k",
        apiType="Azure",
        endpoint="https://x.openai.azure.com",
        apiVersion="2025-01-01",
        model="d",
    )
    made = provider(read(tmp_path, azure).settings, "az")
    assert made.endpoints == ("https://x.openai.azure.com/openai",)
    assert made.paths["chat"] == "/deployments/{model}/chat/completions?api-version=2025-01-01"
    assert made.auth == "api-key"


def test_settings_of_a_component_reach_its_registration(tmp_path: Path):
    loaded = read(tmp_path, component("c", "openai", key="k", maxTokens='"77"', cacheTTL="1h30m"))
    found = loaded.settings.find("chat", "c")
    assert found.defaults == {"max_tokens": 77}
    assert (found.cache.place, found.cache.ttl) == ("memory", 5400.0)


SECRET = "  metadata:\n  - name: key\n    secretKeyRef: {name: MY_KEY, key: MY_KEY}\nauth:\n  secretStore: %s\n"
ENV_STORE = f"{HEAD}metadata: {{name: vault}}\nspec: {{type: secretstores.local.env, version: v1}}\n"


def test_secrets_come_from_the_environment(tmp_path: Path):
    made = read(tmp_path, component("c", "openai", SECRET % "vault"), ENV_STORE, env={"MY_KEY": "sk-env"})
    assert not made.rejected
    assert provider(made.settings, "c").keys == ("sk-env",)


def test_secrets_come_from_a_file(tmp_path: Path):
    (tmp_path / "components").mkdir()
    (tmp_path / "components/secrets.json").write_text('{"openai": {"key": "sk-file"}, "MY_KEY": "sk-flat"}')
    spec = "{type: secretstores.local.file, version: v1, metadata: [{name: secretsFile, value: secrets.json}]}"
    store = f"{HEAD}metadata: {{name: vault}}\nspec: {spec}\n"
    nested = SECRET.replace("name: MY_KEY, key: MY_KEY", "name: 'openai:key'")
    made = read(tmp_path, component("a", "openai", SECRET % "vault"), component("b", "openai", nested % "vault"), store)
    assert not made.rejected
    assert provider(made.settings, "a").keys == ("sk-flat",)
    assert provider(made.settings, "b").keys == ("sk-file",)
    assert str(tmp_path / "components/secrets.json") in made.files


def test_the_sidecars_own_variables_are_no_secrets(tmp_path: Path):
    hidden = SECRET.replace("MY_KEY", "DAPR_API_TOKEN")
    made = read(tmp_path, component("c", "openai", hidden % "vault"), ENV_STORE, env={"DAPR_API_TOKEN": "x"})
    assert "key is required" in made.rejected[0].message


def test_envref_fills_in_where_no_value_is_given(tmp_path: Path):
    more = "  metadata:\n  - {name: key, envRef: MY_KEY}\n  - {name: model, value: m, envRef: OTHER}\n"
    made = read(tmp_path, component("c", "openai", more), env={"MY_KEY": "sk-ref", "OTHER": "no"})
    assert provider(made.settings, "c").keys == ("sk-ref",)
    assert target(made.settings, "c") == "c/m"


def test_resiliency_becomes_timeouts_retries_and_breakers(tmp_path: Path):
    policies = (
        "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {name: r}\nspec:\n  policies:\n"
        "    timeouts: {short: 7s}\n    retries: {some: {policy: constant, maxRetries: 4,"
        " matching: {httpStatusCodes: '429,500-502'}}}\n"
        "    circuitBreakers: {cb: {timeout: 12s, trip: consecutiveFailures >= 3}}\n"
        "  targets: {components: {c: {outbound: {timeout: short, retry: some, circuitBreaker: cb}}}}\n"
    )
    made = read(tmp_path, component("c", "openai", key="k"), component("d", "openai", key="k"), policies).settings
    mine, other = provider(made, "c"), provider(made, "d")
    assert (mine.timeouts.total, mine.timeouts.first_byte, mine.trips, mine.rests) == (7.0, 7.0, 3, 12.0)
    assert (other.timeouts.total, other.trips) == (600.0, None)
    found = made.find("chat", "c")
    assert found.retries.attempts == 5
    assert found.retries.on == frozenset({"429", "500", "501", "502", "connect"})


def test_default_policies_hold_for_components_that_are_not_named(tmp_path: Path):
    policies = (
        "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {name: r}\nspec:\n  policies:\n"
        "    timeouts: {DefaultTimeoutPolicy: 9s, DefaultComponentOutboundTimeoutPolicy: 8s}\n"
    )
    made = read(tmp_path, component("c", "openai", key="k"), policies).settings
    assert provider(made, "c").timeouts.total == 8.0


def test_scopes_and_namespaces_say_who_loads_what(tmp_path: Path):
    scoped = component("a", "echo", "scopes: [other]\n")
    ours = component("b", "echo", "scopes: [parley, other]\n")
    elsewhere = component("c", "echo").replace("{name: c}", "{name: c, namespace: there}")
    assert set(read(tmp_path, scoped, ours, elsewhere).settings.components) == {"b", "c"}
    named = read(tmp_path, scoped, ours, elsewhere, env={"APP_ID": "other", "NAMESPACE": "here"}).settings
    assert set(named.components) == {"a", "b"}
    assert named.dapr_app == "other"


def test_other_kinds_are_left_alone(tmp_path: Path):
    other = "apiVersion: dapr.io/v2alpha1\nkind: Subscription\nmetadata: {name: s}\nspec: {topic: t}\n"
    state = f"{HEAD}metadata: {{name: st}}\nspec: {{type: state.redis, version: v1}}\n"
    made = read(tmp_path, other, state, component("c", "echo"))
    assert not made.rejected
    assert set(made.settings.components) == {"c"}


WRONG = {
    "type": (component("c", "opnai"), 5, "couldn't find conversation conversation.opnai/v1"),
    "version": (component("c", "echo").replace("version: v1", "version: v9"), 6, "conversation.echo/v9"),
    "key": (component("c", "mistral"), 4, "mistral api key is required"),
    "policy": (component("c", "openai", key="k", loadBalancingPolicy="BEST"), 9, 'unknown loadBalancingPolicy "BEST"'),
    "azure": (component("c", "openai", key="k", apiType="azure"), 9, "endpoint and apiVersion must be provided"),
    "tokens": (component("c", "openai", key="k", maxTokens="-4"), 9, "maxTokens is a positive integer"),
    "ttl": (component("c", "openai", key="k", cacheTTL="soon"), 9, '"soon" is not a duration'),
    "endpoint": (component("c", "openai", key="k", endpoint="ftp://x"), 9, "http"),
    "twice": (component("c", "openai", key="k", KEY="l"), 9, 'the property "KEY" is given twice'),
    "name": (component("a/b", "echo"), 3, "a component needs a name"),
    "store": (component("c", "openai", SECRET % "nowhere"), 11, 'there is no secret store "nowhere"'),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_component_leaves_out_only_itself_and_says_where(tmp_path: Path, name: str):
    text, line, message = WRONG[name]
    made = read(tmp_path, text, component("good", "echo"))
    assert not made.problems
    problem = made.rejected[0]
    assert message in problem.message
    assert (problem.file, problem.line) == (str(tmp_path / "components/all.yaml"), line)
    assert set(made.settings.components) == {"good"}


def test_one_that_may_be_missing_is_only_a_remark(tmp_path: Path):
    text = component("c", "mistral").replace("  version: v1", "  version: v1\n  ignoreErrors: true")
    made = read(tmp_path, text)
    assert not made.rejected
    assert "mistral api key is required" in made.absent[0].message


def test_two_of_one_name_are_told_of_each_other(tmp_path: Path):
    made = read(tmp_path, component("c", "echo"), component("c", "echo"))
    assert 'two components named "c"' in made.rejected[0].message
    assert "on line 3" in made.rejected[0].hint


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10m", 600.0), ("1h30m", 5400.0), ("1.5s", 1.5), ("300ms", 0.3), ("90", 90.0), ("-1s", -1.0)],
)
def test_durations_are_gos(text: str, seconds: float):
    assert go_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "soon", "1d", "1h-3m", "--1s", "1.2.3s"])
def test_what_is_no_duration(text: str):
    assert go_seconds(text) == (10.0 if text == "10" else None)


BROKEN = ["foo: [\n", "a: b: c\n", "x: 'never ends\n", "\tx: 1\n", "x: \x07\n"]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("how", ["folder", "include"])
def test_a_document_that_is_no_yaml_leaves_out_only_itself(tmp_path: Path, broken: str, place: int, how: str):
    documents = [component("one", "echo"), component("two", "echo")]
    documents.insert(place, broken)
    (tmp_path / "components").mkdir()
    file = tmp_path / "components/all.yaml"
    file.write_text("---\n".join(documents))
    if how == "folder":
        made = load(None, {}, components=[tmp_path / "components"])
    else:
        (tmp_path / "parley.yaml").write_text("include: components/*.yaml\n")
        made = load(tmp_path / "parley.yaml", {})
    assert set(made.settings.components) == {"one", "two"}
    assert {made.settings.find("chat", name) is None for name in ("one", "two")} == {False}
    first = "---\n".join(documents[:place]).count("\n") + (place > 0)
    assert made.rejected
    for problem in made.rejected:
        assert problem.file == str(file)
        assert first < problem.line <= first + broken.count("\n") + 2


def test_what_is_told_of_components_is_what_answers(tmp_path: Path):
    """A file with registrations in it is left out as a whole, components and all that is told of them too."""
    (tmp_path / "all.yaml").write_text(component("one", "echo") + "---\nregistration: {model: m}\n---\nfoo: [\n")
    (tmp_path / "parley.yaml").write_text("include: all.yaml\n")
    made = load(tmp_path / "parley.yaml", {})
    assert made.rejected
    assert made.settings.find("chat", "one") is None
    assert set(made.settings.components) == set()


@pytest.mark.parametrize(
    ("kind", "model", "properties", "rename", "drop"),
    [
        ("openai", "gpt-4o", {"endpoint": "http://127.0.0.1:9/v1"}, "max_completion_tokens", ()),
        ("openai", "gpt-5-mini", {}, "max_completion_tokens", ("temperature",)),
        ("openai", "o1-preview", {}, "max_completion_tokens", ("temperature",)),
        ("openai", "o3", {}, "max_completion_tokens", ("temperature",)),
        ("openai", "o1", {}, "max_completion_tokens", ()),
        ("chatgpt", "gpt-5", {}, "max_completion_tokens", ("temperature",)),
        ("deepseek", "deepseek-chat", {}, None, ()),
    ],
)
def test_requests_are_those_of_the_runtimes_own_client(
    tmp_path: Path, kind: str, model: str, properties: dict[str, str], rename: str | None, drop: tuple[str, ...]
):
    made = provider(read(tmp_path, component("c", kind, key="k", model=model, **properties)).settings, "c")
    assert made.quirks.rename.get("max_tokens") == rename
    assert tuple(name for name in made.quirks.drop if name == "temperature") == drop


def test_a_version_and_a_choice_of_tools_are_those_of_the_runtimes_own_client(tmp_path: Path):
    text = component("a", "anthropic", key="k"), component("o", "ollama")
    settings = read(tmp_path, *text).settings
    assert provider(settings, "a").quirks.options["version"] == "2023-06-01"
    assert "tool_choice" not in provider(settings, "o").quirks.drop
