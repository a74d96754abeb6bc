"""``parley import`` of component files and of LiteLLM's configuration."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from parley.cli.root import outcome
from parley.config import Loaded, load
from parley.settings import EVERY, Signing

LITE = """
model_list:
  - model_name: gpt
    litellm_params: {model: azure/eu, api_base: "https://x.openai.azure.com/", api_key: os.environ/AZURE_KEY, rpm: 6}
  - model_name: gpt
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/KEY, temperature: 0.2, organization: org}
  - {model_name: claude, litellm_params: {model: claude-sonnet-4-5, api_key: k}}
  - model_name: mine
    litellm_params: {model: openai/org/m, api_base: "http://10.0.0.1:8000/v1", api_key: k, timeout: 5}
  - {model_name: odd, litellm_params: {model: nobody/x, api_key: k}}
  - {model_name: "all/*", litellm_params: {model: "openai/*"}}
  - {model_name: broken}
litellm_settings: {drop_params: true, num_retries: 3, fallbacks: [{claude: [gpt]}], callbacks: [x], cache: true}
router_settings: {routing_strategy: latency-based-routing, model_group_alias: {g: gpt, h: gone}}
general_settings: {master_key: sk-1, database_url: postgres://u:secret@h/d}
"""
COMPONENTS = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: chatgpt4o}
spec:
  type: conversation.chatgpt
  version: v1
  metadata:
    - {name: key, secretKeyRef: {name: OPENAI_KEY}}
    - {name: model, value: gpt-4o}
    - {name: endpoints, value: "us.api.openai.com,eu.api.openai.com"}
    - {name: loadBalancingPolicy, value: failover}
    - {name: cacheTTL, value: 10m}
    - {name: maxTokens, value: 7}
    - {name: siteName, value: x}
auth: {secretStore: env}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: env}
spec: {type: secretstores.local.env, version: v1, metadata: [{name: prefix, value: X_}]}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: mimic}
spec: {type: conversation.echo, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Resiliency
spec:
  policies: {timeouts: {t: 3s}, retries: {r: {policy: constant, maxRetries: 2}}}
  targets: {components: {chatgpt4o: {outbound: {timeout: t, retry: r}}}}
---
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {name: s}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: db}
spec: {type: state.redis, version: v1}
"""
ENV = {"AZURE_KEY": "a", "KEY": "b", "X_OPENAI_KEY": "c"}


def imported(folder: Path, capsys: Any, *texts: str) -> tuple[Loaded, str, dict[str, Any]]:
    names = []
    for number, text in enumerate(texts):
        (folder / f"{number}.yaml").write_text(text)
        names.append(f"{number}.yaml")
    assert outcome(["import", *names]) == 0
    out, err = capsys.readouterr()
    (folder / "parley.yaml").write_text(out)
    loaded = load(folder / "parley.yaml", ENV)
    assert (loaded.problems, loaded.rejected) == ((), ())
    return loaded, err, yaml.safe_load(out)


def test_litellm(folder: Path, capsys: Any) -> None:
    loaded, err, data = imported(folder, capsys, LITE)
    settings = loaded.settings
    gpt = settings.registrations[EVERY, "gpt"]
    assert [target.name for target in gpt.targets] == ["azure/eu", "openai/gpt-4o"]
    assert (gpt.strategy, gpt.defaults, gpt.retries.attempts, gpt.unknown_fields) == (
        "fastest", {"temperature": 0.2}, 4, "drop",
    )  # fmt: skip
    assert settings.providers["openai"].keys == ("b",)
    assert ("OpenAI-Organization", "org") in settings.providers["openai"].headers
    assert settings.providers["azure"].keys == ("a",)
    claude = settings.registrations[EVERY, "claude"]
    assert [target.name for target in claude.targets] == ["anthropic/claude-sonnet-4-5", "azure/eu", "openai/gpt-4o"]
    mine = settings.registrations[EVERY, "mine"].targets[0]
    provider = settings.providers[mine.provider]
    assert (mine.model, provider.endpoints, provider.timeouts.total) == ("org/m", ("http://10.0.0.1:8000/v1",), 5)
    assert (settings.admin_key, settings.auth_required, settings.cache.place) == ("sk-1", True, "memory")
    assert {entry["model"] for entry in data["models"]} == {"gpt", "claude", "mine", "g"}
    for note in (
        "gpt: litellm_params.rpm is not carried over", "odd: left out: the provider nobody is not known",
        "all/*: left out: patterns", "model_list[6]: left out", "litellm_settings: callbacks is not carried over",
        "h: left out: an alias of gone", "general_settings: database_url is not carried over",
    ):  # fmt: skip
        assert note in err
    assert "secret" not in err


def test_components(folder: Path, capsys: Any) -> None:
    loaded, err, _ = imported(folder, capsys, COMPONENTS)
    settings = loaded.settings
    model = settings.registrations[EVERY, "chatgpt4o"]
    provider = settings.providers["chatgpt4o"]
    assert [target.name for target in model.targets] == ["chatgpt4o/gpt-4o"]
    assert (provider.keys, provider.balance, provider.timeouts.total) == (("c",), "fallback", 3)
    assert provider.endpoints == ("https://us.api.openai.com/v1", "https://eu.api.openai.com/v1")
    assert (model.cache.place, model.cache.ttl, model.retries.attempts) == ("memory", 600, 3)
    assert model.defaults == {"max_tokens": 7}
    assert [target.name for target in settings.registrations[EVERY, "mimic"].targets] == ["echo/echo"]
    for note in (
        "chatgpt4o: set X_OPENAI_KEY where it is served", "chatgpt4o: the property siteName is not carried over",
        "left out: a document of kind Subscription", "db: left out: state.redis", "mimic: the built-in echo",
    ):  # fmt: skip
        assert note in err


def test_several_programs_at_once_keep_their_names_apart(folder: Path, capsys: Any) -> None:
    component = (
        COMPONENTS.partition("---")[0]
        .replace("chatgpt4o", "openai")
        .replace("secretKeyRef: {name: OPENAI_KEY}", "value: k")
    )
    loaded, _, _ = imported(folder, capsys, LITE, component)
    models = loaded.settings.registrations
    first, second = models[EVERY, "openai"].targets[0], models[EVERY, "gpt"].targets[1]
    assert first.provider != second.provider
    assert loaded.settings.providers[first.provider].keys == ("k",)
    assert loaded.settings.providers[second.provider].keys == ("b",)


OTHERS = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: eu}
spec:
  type: conversation.openai
  version: v1
  metadata:
    - {name: apiType, value: Azure}
    - {name: key, secretKeyRef: {name: AZURE_KEY}}
    - {name: endpoint, value: "https://x.openai.azure.com/"}
    - {name: apiVersion, value: 2025-01-01-preview}
    - {name: model, value: my-deployment}
auth: {secretStore: env}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: env}
spec: {type: secretstores.local.env, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: cloud}
spec:
  type: conversation.aws.bedrock
  version: v1
  metadata:
    - {name: region, value: eu-north-1}
    - {name: accessKey, value: AKIA}
    - {name: secretKey, secretKeyRef: {name: KEY}}
    - {name: assumeRoleArn, value: "arn:aws:iam::1:role/r"}
    - {name: trustAnchorArn, value: ""}
    - {name: model, value: amazon.nova}
auth: {secretStore: env}
"""


@pytest.mark.parametrize("name", ["eu", "cloud"])
def test_what_is_imported_is_what_the_component_is(folder: Path, capsys: Any, name: str) -> None:
    (folder / "components").mkdir()
    (folder / "components/all.yaml").write_text(OTHERS)
    known = load(None, ENV, components=[folder / "components"])
    assert known.rejected == ()
    loaded, err, _ = imported(folder, capsys, OTHERS)
    there, here = known.settings.registrations[EVERY, name], loaded.settings.registrations[EVERY, name]
    component, made = (of.settings.providers[one.targets[0].provider] for of, one in ((known, there), (loaded, here)))
    assert replace(made, name="") == replace(component, name="")
    assert [one.model for one in here.targets] == [one.model for one in there.targets]
    assert f"{name}: set " in err


def test_an_azure_component_that_lacks_what_it_needs(folder: Path, capsys: Any) -> None:
    lacking = "\n".join(line for line in OTHERS.partition("---")[0].splitlines() if "apiVersion, value" not in line)
    loaded, err, _ = imported(folder, capsys, COMPONENTS, lacking)
    assert (EVERY, "eu") not in loaded.settings.registrations
    assert "eu: left out: endpoint and apiVersion must be provided" in err


def test_what_a_proxy_signs_its_calls_with(folder: Path, capsys: Any) -> None:
    text = """
model_list:
- model_name: nova
  litellm_params: {model: bedrock/amazon.nova, aws_region_name: eu-west-1, aws_role_name: "arn:aws:iam::1:role/r"}
- model_name: keyed
  litellm_params: {model: bedrock/amazon.nova, aws_region_name: eu-west-1, aws_access_key_id: AKIA,
    aws_secret_access_key: os.environ/KEY, aws_web_identity_token: x}
- model_name: odd
  litellm_params: {model: openai/gpt-4o, api_key: k, aws_region_name: eu-west-1}
"""
    loaded, err, _ = imported(folder, capsys, text)
    models, known = loaded.settings.registrations, loaded.settings.providers
    nova, keyed = (known[models[EVERY, name].targets[0].provider] for name in ("nova", "keyed"))
    assert nova.signing == Signing(region="eu-west-1", role="arn:aws:iam::1:role/r")
    assert keyed.signing == Signing(region="eu-west-1", access_key="AKIA", secret_key="b")
    assert "keyed: litellm_params.aws_web_identity_token is not carried over" in err
    assert "odd: litellm_params.aws_region_name is not carried over" in err
    assert "nova: litellm_params" not in err
