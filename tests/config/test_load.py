"""A whole configuration: file, environment and what was found, to one Settings."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from config.sample import ENV, FULL, good, only, problems
from parley import vendors
from parley.config import Discovered, environment, load, load_text
from parley.settings import EVERY, Limits, Provider, Retries, Settings, Target, Timeouts


def test_everything_that_can_be_said() -> None:
    settings = good(FULL, **ENV).settings
    assert settings.listen == ("127.0.0.1:4242", "[::1]:4243")
    assert settings.hosts == ("llm.example.org",)
    assert settings.log_requests is False
    assert settings.admin_key == ""
    assert settings.limits == Limits(10**6, 2**30, 32768, 5.0, 60.0, 10, 5)
    assert set(settings.providers) == {"openai", "claude", "here", "ollama", "echo"}
    assert set(settings.registrations) == {(EVERY, "echo"), ("chat", "fast"), (EVERY, "org/with/slashes")}


def test_providers() -> None:
    providers = good(FULL, **ENV).settings.providers
    openai = providers["openai"]
    assert (openai.type, openai.wire, openai.auth, openai.keys) == ("openai", "openai_chat", "bearer", ("sk-openai",))
    assert openai.endpoints == ("https://us.api.openai.com/v1", "https://eu.api.openai.com/v1")
    assert openai.balance == "least_busy"
    assert openai.timeouts == Timeouts(2.0, 0.5, 60.0, 10.0)
    assert openai.headers == (("OpenAI-Organization", "org-1"),)
    assert openai.max_concurrency == 200
    assert openai.quirks.rename == {"max_tokens": "max_completion_tokens"}
    claude = providers["claude"]
    assert (claude.name, claude.type, claude.wire, claude.auth) == ("claude", "anthropic", "anthropic", "x-api-key")
    assert claude.keys == ("one", "two")
    assert claude.paths["count_tokens"] == "/messages/count_tokens"
    here = providers["here"]
    assert (here.wire, here.transport, here.auth, here.keys) == ("anthropic", "aiohttp", "none", ())
    assert here.endpoints == ("http://127.0.0.1:9999/v1",)
    assert here.paths["models"] == "/list"
    assert providers["ollama"].endpoints == ("http://127.0.0.1:11434",)


def test_registrations() -> None:
    settings = good(FULL, **ENV).settings
    fast = settings.registrations["chat", "fast"]
    assert fast.targets == (Target("openai", "gpt-4o-mini"), Target("claude", "claude-haiku-4-5", 2))
    assert fast.strategy == "weighted"
    assert fast.defaults == {"temperature": 0.2, "stop": []}
    assert fast.overrides == {"max_tokens": 1000}
    assert fast.retries == Retries(5, frozenset({"408", "5xx"}))
    assert fast.unknown_fields == "strict"
    other = settings.find("chat", "org/with/slashes")
    assert other is not None
    assert other.targets == (Target("here", "org/model"),)
    assert settings.find("chat", "openai/any") is not None
    assert settings.find("chat", "nobody/any") is None


def test_nothing_at_all_answers_with_echo() -> None:
    for loaded in (
        load(None, {}),
        good(""),
        good("# only a comment\n"),
        good("{}"),
        good("providers: {}\nmodels: []\n"),
    ):
        assert loaded.problems == ()
        assert loaded.settings.listen == Settings().listen
        assert list(loaded.settings.providers) == ["echo"]
        registration = loaded.settings.find("chat", "echo")
        assert registration is not None
        assert registration.targets == (Target("echo", "echo"),)
        assert loaded.settings.providers["echo"].transport == "echo"


def test_a_registration_may_take_the_name_echo() -> None:
    settings = good("models: [{model: echo, targets: [openai/x]}]", OPENAI_API_KEY="k").settings
    found = settings.find("chat", "echo")
    assert found is not None
    assert found.targets == (Target("openai", "x"),)


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("OPENAI_API_KEY", "openai"), ("ANTHROPIC_API_KEY", "anthropic"), ("GEMINI_API_KEY", "gemini"),
        ("GOOGLE_API_KEY", "gemini"), ("MISTRAL_API_KEY", "mistral"), ("GROQ_API_KEY", "groq"),
        ("DEEPSEEK_API_KEY", "deepseek"), ("OPENROUTER_API_KEY", "openrouter"), ("XAI_API_KEY", "xai"),
        ("HF_TOKEN", "huggingface"), ("TOGETHER_API_KEY", "together"), ("CO_API_KEY", "cohere"),
    ],
)  # fmt: skip
def test_keys_in_the_environment_become_providers(variable: str, name: str) -> None:
    [provider] = environment({variable: " secret\n"})
    assert provider.name == name
    assert provider.keys == ("secret",)
    assert provider.endpoints == (next(iter(vendors.vendors()[name].wires.values())).base,)
    settings = load(None, {variable: "secret"}).settings
    assert settings.providers[name].keys == ("secret",)
    assert settings.find("chat", f"{name}/some/model") is not None


def test_empty_variables_are_no_providers() -> None:
    assert environment({"OPENAI_API_KEY": "", "GROQ_API_KEY": "  "}) == ()


def test_base_urls_in_the_environment() -> None:
    found = environment({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1/", "ANTHROPIC_API_KEY": "k",
                         "ANTHROPIC_BASE_URL": "http://127.0.0.1:2", "OLLAMA_BASE_URL": "http://far:3"})  # fmt: skip
    assert {provider.name: (provider.endpoints, provider.keys) for provider in found} == {
        "openai": (("http://127.0.0.1:1/v1",), ()),
        "anthropic": (("http://127.0.0.1:2/v1",), ("k",)),
        "ollama": (("http://far:3",), ()),
    }


def test_addresses_that_need_a_variable() -> None:
    key = {"CLOUDFLARE_API_TOKEN": "k"}
    assert environment(key) == ()
    [provider] = environment({**key, "CLOUDFLARE_ACCOUNT_ID": "abc"})
    assert provider.endpoints == ("https://api.cloudflare.com/client/v4/accounts/abc/ai/v1",)
    [azure] = environment({"AZURE_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com/"})
    assert azure.endpoints == ("https://r.openai.azure.com/openai",)
    problem = only("providers: {cloudflare: {api_key: k}}")
    assert "CLOUDFLARE_ACCOUNT_ID" in problem.message


def test_what_is_wrong_in_the_environment_is_said_without_the_value() -> None:
    for env in ({"OPENAI_API_KEY": "a\nsecretpart"}, {"OPENAI_BASE_URL": "http://user:secretpart@h/v1"}):
        loaded = load(None, env)
        [problem] = loaded.problems
        assert (problem.file, problem.line) == ("environment", 0)
        assert next(iter(env)) in problem.message
        assert "secretpart" not in repr(problem)
        assert "openai" not in loaded.settings.providers
    assert problems("providers: {openai: {base_url: http://h/v1}}", OPENAI_BASE_URL="nonsense") == ()


def test_the_file_wins_over_the_environment_and_that_over_what_was_found() -> None:
    row = vendors.vendors()["vllm"]
    wire = row.wires["openai"]
    found = [
        Discovered(vendors.provider_of(row, name, wire, endpoints=("http://found:1",)), ("m",))
        for name in ("vllm", "openai", "ollama")
    ]
    env = {"OPENAI_API_KEY": "k", "OLLAMA_BASE_URL": "http://env:1"}
    text = "providers: {ollama: {base_url: http://file:1}}"
    settings = load_text(text, env, discovered=[*found[:2], found[2].provider]).settings
    assert settings.providers["vllm"].endpoints == ("http://found:1/v1",)
    assert settings.providers["openai"].endpoints == ("https://api.openai.com/v1",)
    assert settings.providers["ollama"].endpoints == ("http://file:1",)
    assert settings.offered == ("vllm/m",)


def test_models_of_servers_that_were_found_are_offered() -> None:
    row = vendors.vendors()["vllm"]
    here = vendors.provider_of(row, "vllm", row.wires["openai"], endpoints=("http://found:1",))
    assert load(None, {}, discovered=[Discovered(here, ("b", "org/a", "b"))]).settings.offered == (
        "vllm/b",
        "vllm/org/a",
    )
    assert load(None, {}, discovered=[Discovered(here, ())]).settings.offered == ()
    assert load(None, {}, discovered=[here]).settings.offered == ()
    assert load(None, {}).settings.offered == ()


def keys(text: str, **env: str) -> tuple[str, ...]:
    return good(f"providers: {{p: {text}}}", **env).settings.providers["p"].keys


def test_a_key_of_the_environment_goes_to_the_vendors_own_address_only() -> None:
    env = {"GROQ_API_KEY": "k"}
    assert keys("{type: groq}", **env) == ("k",)
    assert keys("{type: groq, base_url: https://eu.api.groq.com/openai/v1}", **env) == ("k",)
    assert keys("{type: groq, base_url: https://evil.example/v1}", **env) == ()
    assert keys("{type: groq, api_key: ~}", **env) == ()
    assert keys("{type: groq, api_key: mine}", **env) == ("mine",)
    assert keys("{type: groq}", **env, GROQ_BASE_URL="http://proxy/v1") == ("k",)


def test_references_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("from-a-file\n")
    path = tmp_path / "parley.yaml"
    path.write_text(
        "providers:\n  a: {type: openai, base_url: '${U}/v1', api_key: file:key.txt, max_concurrency: ${N}}\n"
        "models:\n  - {model: m, targets: [a/x], defaults: {temperature: ${T}, user: '${N}'}}\n"
    )
    loaded = load(path, {"U": "http://h", "N": "7", "T": "0.5"})
    assert loaded.problems == ()
    provider = loaded.settings.providers["a"]
    assert provider.keys == ("from-a-file",)
    assert provider.endpoints == ("http://h/v1",)
    assert provider.max_concurrency == 7
    assert loaded.settings.registrations[EVERY, "m"].defaults == {"temperature": 0.5, "user": "7"}
    assert loaded.files == (str(tmp_path / "key.txt"),)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    binary = tmp_path / "b.yaml"
    binary.write_bytes(b"listen: x\n\xff")
    for path, line, words in (
        (tmp_path / "none.yaml", 0, "cannot read"),
        (tmp_path / "b.yaml" / "c", 0, "cannot read"),
        (binary, 2, "UTF-8"),
    ):
        loaded = load(path, {})
        [problem] = loaded.problems
        assert problem.file == str(path)
        assert problem.line == line
        assert words in problem.message
        assert list(loaded.settings.providers) == ["echo"]


def test_yaml_words_are_names() -> None:
    settings = good(
        "models:\n  - {model: on, targets: [openai/no]}\n  - {model: n, targets: [openai/off]}", OPENAI_API_KEY="k"
    ).settings
    assert {(EVERY, "on"), (EVERY, "n")} <= set(settings.registrations)


def test_anchors_share_settings_between_models() -> None:
    text = (
        "models:\n  - &a {model: a, targets: [echo/echo], retries: {attempts: 9}, defaults: {seed: 1}}\n"
        "  - {<<: *a, model: b, defaults: {seed: 2}}\n"
    )
    registrations = good(text).settings.registrations
    assert registrations[EVERY, "b"].retries.attempts == 9
    assert registrations[EVERY, "b"].defaults == {"seed": 2}
    assert registrations[EVERY, "a"].defaults == {"seed": 1}


def test_pairs_of_endpoint_and_model_are_keys() -> None:
    text = (
        "models:\n  - {model: m, targets: [echo/a]}\n  - {model: m, endpoint: CreateChatCompletion, targets: [echo/b]}"
    )
    settings = good(text).settings
    every, chat = settings.find("embeddings", "m"), settings.find("chat", "m")
    assert every is not None
    assert chat is not None
    assert (every.targets[0].model, chat.targets[0].model) == ("a", "b")


def test_two_hundred_models_load_fast() -> None:
    entry = """\
  - model: m{0}
    endpoint: chat
    targets: [openai/gpt-4o-mini, {{to: anthropic/claude, weight: 2}}]
    defaults: {{temperature: 0.2}}
    retries: {{attempts: 3, on: [408, 429, 5xx, connect]}}
"""
    text = "models:\n" + "".join(entry.format(index) for index in range(200))
    env = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
    times = []
    for _ in range(3):
        began = time.process_time()
        assert len(good(text, **env).settings.registrations) == 201
        times.append(time.process_time() - began)
    assert min(times) < 0.5


def test_importing_and_loading_bring_in_nothing_heavy() -> None:
    code = (
        "import sys, parley.config as c; late = {'yaml', 'jsonschema', 'tomllib', 'socket', 'asyncio'};"
        "print(sorted(late & set(sys.modules))); l = c.load_text('listen: [127.0.0.1:1]', {});"
        "print(l.problems, sorted({'jsonschema', 'socket', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "() []"]


def test_the_settings_of_a_wrong_file_are_what_could_be_made_out() -> None:
    loaded = load_text(
        "listen: 127.0.0.1:1\nprovders: {}\nproviders: {a: {type: openai, base_url: http://h, x: 1}}\n", {}
    )
    assert len(loaded.problems) == 2
    assert loaded.settings.listen == ("127.0.0.1:1",)
    assert isinstance(loaded.settings.providers["a"], Provider)
