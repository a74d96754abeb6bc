"""What pairs {endpoint, model} become: defaults handed down, aliases, extension objects, engines of this machine."""

from pathlib import Path

import pytest

from config.sample import good, only, problems
from parley.config import Loaded, load_text
from parley.config.backends import OFFERED
from parley.operations import OPERATIONS
from parley.settings import EVERY, EXTENSIONS, Engine, Registration, Retries, Target

PROVIDERS = """\
providers:
  all:
    type: openai
    base_url: http://h/v1
    paths: {completions: /completions, responses: /responses, embeddings: /embeddings, rerank: /rerank,
            image_generation: /i, image_edit: /e, image_variation: /v, speech: /s, transcription: /t,
            translation: /l, moderation: /m}
models:
"""


def registrations(entries: str) -> dict[tuple[str, str], Registration]:
    return dict(good(PROVIDERS + entries).settings.registrations)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_can_be_registered(name: str) -> None:
    for spelling in (name, OPERATIONS[name].id, OPERATIONS[name].id[0].upper() + OPERATIONS[name].id[1:]):
        found = registrations(f"  - {{model: m, endpoint: {spelling}, targets: [all/x]}}")
        assert found[name, "m"].targets == (Target("all", "x"),)
        assert found[name, "m"].endpoint == name


def test_an_operation_that_no_provider_offers_is_told() -> None:
    text = "providers: {anthropic: {api_key: k}}\nmodels:\n  - {model: m, endpoint: rerank, targets: [anthropic/x]}"
    problem = only(text)
    assert problem.message == 'provider "anthropic" does not offer rerank'
    assert "it offers chat;" in problem.hint
    assert "paths: {rerank: /rerank}" in problem.hint
    assert problems(text.replace("rerank", "responses")) == ()


def test_the_entry_for_every_endpoint_gives_defaults_to_the_others() -> None:
    found = registrations("""\
  - model: m
    endpoint: "*"
    targets: [all/big]
    strategy: weighted
    retries: {attempts: 7}
    unknown_fields: drop
    choices: fan_out
    defaults:
      temperature: 0.5
      top_p: 0.9
      seed: 1
      x-localai-extensions: {top_k: 40, min_p: 0.1, roles: {system: S, user: U}}
    overrides: {max_tokens: 10, user: a}
  - model: m
    endpoint: chat
    defaults: {temperature: 0, seed: ~, x-parley-extensions: {top_k: 1, min_p: ~, roles: {user: V, system: ~}}}
    overrides: {user: b}
  - model: m
    endpoint: embeddings
    targets: [all/small]
    strategy: fastest
    retries: {attempts: 1}
    unknown_fields: strict
    choices: refuse
    defaults: {x-parley-extensions: ~}
""")
    assert set(found) == {(EVERY, "echo"), (EVERY, "m"), ("chat", "m"), ("embeddings", "m")}
    every, chat, embeddings = found[EVERY, "m"], found["chat", "m"], found["embeddings", "m"]
    assert every.defaults[EXTENSIONS] == {"top_k": 40, "min_p": 0.1, "roles": {"system": "S", "user": "U"}}
    assert chat.defaults == {"temperature": 0, "top_p": 0.9, EXTENSIONS: {"top_k": 1, "roles": {"user": "V"}}}
    assert chat.overrides == {"max_tokens": 10, "user": "b"}
    assert (chat.targets, chat.strategy) == ((Target("all", "big"),), "weighted")
    assert (chat.retries, chat.unknown_fields) == (Retries(7), "drop")
    assert (every.choices, chat.choices, embeddings.choices) == ("fan_out", "fan_out", "refuse")
    assert embeddings.targets == (Target("all", "small"),)
    assert embeddings.defaults == {"temperature": 0.5, "top_p": 0.9, "seed": 1}
    assert (embeddings.strategy, embeddings.retries, embeddings.unknown_fields) == ("fastest", Retries(1), "strict")


def test_the_order_of_entries_does_not_matter() -> None:
    entries = [
        "  - {model: m, defaults: {temperature: 1, seed: 2}}\n",
        "  - {model: m, endpoint: chat, targets: [all/x], defaults: {seed: 3}}\n",
    ]
    one, other = registrations("".join(entries)), registrations("".join(reversed(entries)))
    assert one == other
    assert set(one) == {(EVERY, "echo"), ("chat", "m")}
    assert one["chat", "m"].defaults == {"temperature": 1, "seed": 3}


def test_null_removes_and_zero_does_not() -> None:
    found = registrations("  - {model: m, targets: [all/x], defaults: {a: ~, b: 0, c: false, d: [], e: ''}}")
    assert found[EVERY, "m"].defaults == {"b": 0, "c": False, "d": [], "e": ""}
    found = registrations("  - {model: m, targets: [all/x], overrides: {stop: ~}}")
    assert found[EVERY, "m"].overrides == {"stop": None}


def test_both_names_of_the_extension_object_may_say_the_same() -> None:
    both = "{x-parley-extensions: {top_k: 1}, x-localai-extensions: {top_k: 1}}"
    found = registrations(f"  - {{model: m, targets: [all/x], defaults: {both}}}")
    assert found[EVERY, "m"].defaults == {EXTENSIONS: {"top_k": 1}}


def test_an_alias_answers_as_another_registration() -> None:
    found = registrations("""\
  - {model: old, alias: new}
  - {model: one, endpoint: chat, alias: new}
  - {model: wide, endpoint: chat, alias: open}
  - {model: parrot, alias: echo}
  - {model: new, endpoint: chat, targets: [all/x], defaults: {seed: 1}}
  - {model: new, endpoint: embeddings, targets: [all/y]}
  - {model: open, targets: [all/z]}
  - {model: old, endpoint: embeddings, targets: [all/own]}
""")
    assert found["chat", "old"].targets == (Target("all", "x"),)
    assert found["chat", "old"].model == "old"
    assert found["chat", "old"].defaults == {"seed": 1}
    assert found["embeddings", "old"].targets == (Target("all", "own"),)
    assert ("embeddings", "one") not in found
    assert found["chat", "one"].targets == (Target("all", "x"),)
    assert found["chat", "wide"].targets == (Target("all", "z"),)
    assert found["chat", "wide"].endpoint == "chat"
    assert (EVERY, "wide") not in found
    assert found[EVERY, "parrot"].targets == (Target("echo", "echo"),)


def test_an_alias_for_an_endpoint_that_is_not_there() -> None:
    text = PROVIDERS + "  - {model: a, endpoint: rerank, alias: b}\n  - {model: b, endpoint: chat, targets: [all/x]}"
    assert only(text).message == '"b" is not registered for rerank'


def local(text: str, folder: Path) -> Loaded:
    loaded = load_text(text, {}, folder=folder)
    assert loaded.problems == ()
    return loaded


EVERYTHING = """\
models:
  - model: m
    endpoint: chat
    settings:
      model: w.gguf
      backend: llama.cpp
      template: t
      mmproj: sub/../p.gguf
      lora: [a.gguf, {path: b.gguf, scale: 0.5}]
      threads: 4
      context_size: 2048
      gpu_layers: all
      batch: 64
      parallel: 2
      mmap: false
      mmlock: true
      preload: true
      keep_alive: 5m
      start_time: 30s
      memory: 2GiB
"""


def test_weights_are_served_by_an_engine_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "t.jinja").write_text("{{ messages }}")
    loaded = local(EVERYTHING, tmp_path)
    registration = loaded.settings.registrations["chat", "m"]
    [target] = registration.targets
    assert (target.provider, target.model, target.name) == ("local#chat/m", "m", "local/m")
    provider = loaded.settings.providers["local#chat/m"]
    assert (provider.type, provider.transport, provider.wire, provider.auth) == (
        "local",
        "local",
        "openai_chat",
        "none",
    )
    assert provider.endpoints[0].startswith("local://")
    assert provider.extensions == OFFERED
    assert set(provider.paths) == {"chat", "completions", "models"}
    assert provider.engine == Engine(
        model=str(tmp_path / "w.gguf"),
        backend="llama.cpp",
        template=str(tmp_path / "t.jinja"),
        mmproj=str(tmp_path / "p.gguf"),
        lora=((str(tmp_path / "a.gguf"), 1.0), (str(tmp_path / "b.gguf"), 0.5)),
        threads=4,
        context_size=2048,
        gpu_layers=999,
        batch=64,
        parallel=2,
        mmap=False,
        mlock=True,
        preload=True,
        idle=300.0,
        start_time=30.0,
        memory=2 * 2**30,
    )
    assert registration.settings["threads"] == 4


def test_each_pair_has_its_own_engine_unless_it_is_the_same(tmp_path: Path) -> None:
    settings = local(
        """\
models:
  - {model: m, settings: {model: w.gguf, threads: 2, memory: 1GiB}}
  - {model: m, endpoint: chat, defaults: {seed: 1}}
  - {model: m, endpoint: completions, settings: {threads: 8, memory: ~}}
  - {model: m, endpoint: embeddings}
  - {model: n, endpoint: chat, local_settings: {model: w.gguf}}
  - {model: n2, alias: n}
""",
        tmp_path,
    ).settings
    answered = {key: one.targets[0].provider for key, one in settings.registrations.items()}
    assert answered == {
        (EVERY, "echo"): "echo",
        (EVERY, "m"): "local#*/m",
        ("chat", "m"): "local#*/m",
        ("completions", "m"): "local#completions/m",
        ("embeddings", "m"): "local#embeddings/m",
        ("chat", "n"): "local#chat/n",
        ("chat", "n2"): "local#chat/n",
    }
    weights = str(tmp_path / "w.gguf")
    engines = {name: one.engine for name, one in settings.providers.items() if name != "echo"}
    assert engines["local#*/m"] == Engine(model=weights, threads=2, memory=2**30)
    assert engines["local#completions/m"] == Engine(model=weights, threads=8)
    assert engines["local#embeddings/m"] == Engine(model=weights, threads=2, memory=2**30, embeddings=True)
    assert "chat" not in settings.providers["local#embeddings/m"].paths
    assert len({one.endpoints for one in settings.providers.values()}) == len(settings.providers)


def test_own_targets_win_over_weights_that_are_handed_down(tmp_path: Path) -> None:
    text = "models: [{model: m, settings: {model: w.gguf}}, {model: m, endpoint: embeddings, targets: [echo/x]}]"
    found = local(text, tmp_path).settings.registrations
    assert found["embeddings", "m"].targets == (Target("echo", "x"),)


def test_settings_that_are_handed_down_without_weights(tmp_path: Path) -> None:
    text = (
        "models: [{model: m, settings: {threads: 3}}, {model: m, endpoint: chat, settings: {model: a.gguf}},"
        " {model: m, endpoint: embeddings, targets: [echo/x]}]"
    )
    settings = local(text, tmp_path).settings
    assert (EVERY, "m") not in settings.registrations
    assert settings.providers["local#chat/m"].engine == Engine(model=str(tmp_path / "a.gguf"), threads=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("threads: 0", "must be at least 1"),
        ("context_size: -1", "must be at least 1"),
        ("gpu_layers: some", "expected a number of layers from 0, or all"),
        ("gpu_layers: -1", "expected a number of layers from 0, or all"),
        ("backend: nonsense", "there is no backend 'nonsense'"),
        ("idle: 0", "must be above 0"),
        ("memory: much", "expected a size"),
        ("mlock: true, mmlock: true", "mmlock is another name for mlock"),
        ("template: https://h/t", "nothing is downloaded"),
        ("lora: ['']", "the path of a file is expected"),
        ("lora: {pth: a}", 'unknown key "pth"'),
        ("context: 5", 'unknown key "context"'),
    ],
)
def test_settings_that_are_wrong(settings: str, message: str) -> None:
    found = problems(f"models: [{{model: m, settings: {{model: w.gguf, {settings}}}}}]")
    assert message in found[0].message


def test_weights_that_are_no_path_of_this_machine() -> None:
    assert "nothing is downloaded" in only("models: [{model: m, settings: {model: 'hf://a/b'}}]").message
    assert "path of a file" in only("models: [{model: m, settings: {model: ''}}]").message


def test_an_operation_that_the_engine_does_not_serve() -> None:
    problem = only("models: [{model: m, endpoint: speech, settings: {model: w.gguf}}]")
    assert problem.message == "the local engine does not serve speech"
    assert problem.column == 31


def test_files_that_are_not_there_are_told_and_served(tmp_path: Path) -> None:
    (tmp_path / "old.bin").write_bytes(b"tjgg\1\0\0\0")
    text = "models:\n  - {model: a, settings: {model: w.gguf, template: t}}\n  - {model: b, settings: {model: old.bin}}"
    loaded = local(text, tmp_path)
    assert {key for key in loaded.settings.registrations if key[1] != "echo"} == {(EVERY, "a"), (EVERY, "b")}
    told = [(one.line, one.column, one.message) for one in loaded.absent]
    line = text.splitlines()[1]
    assert told[0] == (2, line.index("w.gguf") + 1, f"{tmp_path / 'w.gguf'}: there is no such file")
    assert told[1] == (
        2,
        line.index("t}") + 1,
        f"{tmp_path / 't'}: there is no such file, nor with .tmpl or .jinja behind its name",
    )
    assert "convert it to GGUF" in told[2][2]
    assert loaded.settings.rejected == ()
