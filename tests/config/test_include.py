"""Files of registrations: which are read, in which forms, and what happens to those that are wrong."""

import time
from pathlib import Path

import pytest

from parley.config import Loaded, load, load_text
from parley.settings import EVERY, EXTENSIONS, Engine, Rejected, Target

# As the proposal of 2023 wrote them: the same model for two operations.
CHAT = """\
registration:
  endpoint: CreateChatCompletion
  model: gpt-3.5-turbo
local_paths:
  model: ggml-gpt4all-j.bin
  template: chat-gpt4all
  backend: gpt4all-j
  threads: 4
request_defaults:
  top_p: 0.7
  temperature: 0.2
  x-localai-extensions:
    top_k: 80
    roles: {system: system, assistant: assistant, user: user}
"""
COMPLETION = """\
registration:
  endpoint: CreateCompletion
  model: gpt-3.5-turbo
local_paths:
  model: other.bin
  template: completion-gpt4all
  backend: gpt4all-j
  threads: 2
request_defaults:
  top_p: 0.9
  x-localai-extensions:
    top_k: 40
"""
ENTRIES = "models:\n  - {model: listed, targets: [echo/echo]}\n"


def write(folder: Path, **files: str) -> Path:
    """Files by name, ``__`` for a slash and ``_`` for the dot before the suffix; gives the main one."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/").replace("_y", ".y"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "parley.yaml"


def names(loaded: Loaded) -> set[str]:
    return {model for _, model in loaded.settings.registrations} - {"echo"}


def test_the_samples_of_the_proposal_load_unchanged(tmp_path: Path) -> None:
    main = write(tmp_path, parley_yaml="include: models/*.yaml", models__chat_yaml=CHAT, models__text_yaml=COMPLETION)
    (tmp_path / "models" / "chat-gpt4all.tmpl").write_text("{{ messages }}")
    for weights in ("ggml-gpt4all-j.bin", "other.bin"):
        (tmp_path / "models" / weights).write_bytes(b"GGUF\3\0\0\0")
    (tmp_path / "models" / "completion-gpt4all").write_text("{{ prompt }}")
    loaded = load(main, {})
    assert (loaded.problems, loaded.rejected, loaded.absent) == ((), (), ())
    chat = loaded.settings.registrations["chat", "gpt-3.5-turbo"]
    text = loaded.settings.registrations["completions", "gpt-3.5-turbo"]
    assert chat.defaults == {
        "top_p": 0.7,
        "temperature": 0.2,
        EXTENSIONS: {"top_k": 80, "roles": {"system": "system", "assistant": "assistant", "user": "user"}},
    }
    assert text.defaults == {"top_p": 0.9, EXTENSIONS: {"top_k": 40}}
    folder = tmp_path / "models"
    assert loaded.settings.providers[chat.targets[0].provider].engine == Engine(
        model=str(folder / "ggml-gpt4all-j.bin"),
        template=str(folder / "chat-gpt4all.tmpl"),
        backend="gpt4all-j",
        threads=4,
    )
    assert loaded.settings.providers[text.targets[0].provider].engine == Engine(
        model=str(folder / "other.bin"), template=str(folder / "completion-gpt4all"), backend="gpt4all-j", threads=2
    )


@pytest.mark.parametrize("key", ["local_settings", "local_paths"])
def test_both_names_of_the_settings(tmp_path: Path, key: str) -> None:
    text = f"registration: {{model: m}}\n{key}: {{model: w.gguf}}\n"
    loaded = load(write(tmp_path, parley_yaml=text), {})
    assert loaded.problems == ()
    assert loaded.settings.registrations[EVERY, "m"].targets == (Target("local#*/m", "m"),)


def test_a_file_may_hold_several_documents(tmp_path: Path) -> None:
    text = f"---\n{CHAT}---\n# nothing\n---\n{ENTRIES}---\n{COMPLETION}"
    main = write(tmp_path, parley_yaml="include: [a.yaml]", a_yaml=text)
    loaded = load(main, {})
    assert (loaded.problems, loaded.rejected) == ((), ())
    assert set(loaded.settings.registrations) == {
        (EVERY, "echo"), (EVERY, "listed"), ("chat", "gpt-3.5-turbo"), ("completions", "gpt-3.5-turbo"),
    }  # fmt: skip


def test_a_registration_file_can_be_the_main_one(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, parley_yaml=f"{CHAT}---\n{COMPLETION}"), {})
    assert loaded.problems == ()
    assert len(loaded.settings.registrations) == 3
    wrong = load_text(CHAT.replace("top_p", "top_P: 1\n  temperature: x\n  top_p").replace("threads", "thread"), {})
    assert [(one.line, one.message) for one in wrong.problems] == [
        (8, 'unknown key "thread"'),
        (11, "temperature: expected a number"),
        (13, '"temperature" is given twice, on lines 11 and 13'),
    ]
    assert wrong.rejected == ()


def test_a_folder_can_be_served(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=CHAT, b_yml=COMPLETION, c_yaml="registration: 5", sub__d_yaml=ENTRIES)
    (tmp_path / ".hidden.yaml").write_text("nonsense: 1")
    (tmp_path / "readme.txt").write_text("nonsense: 1")
    loaded = load(tmp_path, {})
    assert loaded.problems == ()
    assert [one.file for one in loaded.rejected] == [str(tmp_path / "c.yaml")]
    assert names(loaded) == {"gpt-3.5-turbo"}
    empty = tmp_path / "empty"
    empty.mkdir()
    [problem] = load(empty, {}).problems
    assert "no .yaml or .yml file" in problem.message


def test_which_files_a_pattern_means(tmp_path: Path) -> None:
    def entry(name: str) -> str:
        return ENTRIES.replace("listed", name)

    write(
        tmp_path,
        m__a_yaml=entry("a"),
        m__b_yml=entry("b"),
        m__deep__c_yaml=entry("c"),
        n_yaml=entry("n"),
        empty__x_txt="",
    )
    (tmp_path / "m" / "notes.md").write_text("- no\n")
    write(tmp_path.parent, elsewhere__e_yaml=entry("e"))
    main = tmp_path / "parley.yaml"
    for patterns, expected in {
        "m/*.yaml": {"a"},
        "m/*": {"a", "b"},
        "m": {"a", "b"},
        "[m, m/a.yaml, 'm/../m/a.yaml']": {"a", "b"},
        "m/**/*.yaml": {"a", "c"},
        "'*.yaml'": {"n"},
        "[n.yaml, 'm/?.y*ml']": {"n", "a", "b"},
        "empty/*.yaml": set(),
        f"{tmp_path}/n.yaml": {"n"},
        "../elsewhere/*.yaml": {"e"},
        f"{tmp_path.parent}/elsewhere/?.yaml": {"e"},
    }.items():
        main.write_text(f"include: {patterns}\n")
        loaded = load(main, {})
        assert (loaded.problems, loaded.rejected) == ((), ()), patterns
        assert names(loaded) == expected, patterns


def test_the_marks_of_patterns_in_a_folders_own_name(tmp_path: Path) -> None:
    folder = tmp_path / "a[b]*"
    folder.mkdir()
    assert names(load(write(folder, parley_yaml="include: 'x*.yaml'", x1_yaml=ENTRIES), {})) == {"listed"}


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("none.yaml", 'there is no file "none.yaml"'), ("none/*.yaml", "there is no folder")],
)
def test_a_pattern_that_leads_nowhere_is_told(tmp_path: Path, pattern: str, words: str) -> None:
    main = write(tmp_path, parley_yaml=f"include: [a.yaml, {pattern}]", a_yaml=ENTRIES)
    loaded = load(main, {})
    [problem] = loaded.rejected
    assert words in problem.message
    assert (problem.file, problem.line, problem.column) == (str(main), 1, 19)
    assert names(loaded) == {"listed"}


WRONG = {
    "a key nobody knows": ("registration: {model: bad}\nlocl_settings: {}\n", 2, 1, 'unknown key "locl_settings"'),
    "a key of the main file": (ENTRIES + "providers: {}\n", 3, 1, '"providers" belongs to the main configuration'),
    "syntax": ("models: [\n", 2, 1, "not valid YAML"),
    "syntax of a later document": (f"{ENTRIES}---\na: [\n", 5, 1, "not valid YAML"),
    "an unknown endpoint": ("registration: {endpoint: CreateChat, model: bad}\n", 1, 26, "unknown endpoint"),
    "no target": ("registration: {model: bad}\n", 1, 1, "no target is given"),
    "an unknown provider": ("models: [{model: bad, targets: [nope/x]}]\n", 1, 33, 'unknown provider "nope"'),
    "a missing variable": ("models: [{model: m, targets: ['${NONE}']}]\n", 1, 32, "NONE is not set"),
    "a missing variable for its name": ("registration: {model: '${NONE}'}\n", 1, 24, "NONE is not set"),
    "an unknown extension": (
        CHAT.replace("top_k", "topk"), 13, 5, 'unknown extension field "topk"',
    ),
    "a default of another type": (CHAT.replace("0.2", "warm"), 11, 16, "temperature: expected a number"),
    "a duplicate in one file": (f"{COMPLETION}---\n{COMPLETION}", 16, 10, "registered twice, on lines 3 and 16"),
    "not a mapping": ("- a\n", 1, 1, "expected a mapping, got a list"),
    "both settings": (CHAT + "local_settings: {model: b}\n", 4, 1, "not both"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_left_out_and_the_rest_serves(tmp_path: Path, name: str) -> None:
    text, line, column, message = WRONG[name]
    main = write(tmp_path, parley_yaml="include: '?.yaml'", a_yaml=ENTRIES.replace("listed", "good"), b_yaml=text)
    loaded = load(main, {})
    assert loaded.problems == ()
    [problem] = loaded.rejected
    assert message in problem.message
    assert (problem.file, problem.line, problem.column) == (str(tmp_path / "b.yaml"), line, column)
    assert problem.source or name.startswith("syntax")
    assert names(loaded) == {"good"}
    assert loaded.settings.rejected == (Rejected(problem.message, problem.file, line, column),)
    main.write_text("include: '?.yaml'\nstrict: true\n")
    strict = load(main, {})
    assert strict.problems == (problem,)
    assert (strict.rejected, strict.settings.rejected) == ((), ())


def test_a_file_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    main = write(tmp_path, parley_yaml="include: [a.yaml, b.yaml]", a_yaml=ENTRIES)
    (tmp_path / "b.yaml").write_bytes(b"models: \xff")
    loaded = load(main, {})
    assert [(one.file, one.message) for one in loaded.rejected] == [(str(tmp_path / "b.yaml"), "not UTF-8 text")]
    assert names(loaded) == {"listed"}


def test_a_component_that_is_wrong_leaves_out_only_itself(tmp_path: Path) -> None:
    component = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: x}\nspec: {type: conversation.ech}\n"
    main = write(tmp_path, parley_yaml="include: a.yaml", a_yaml=f"{ENTRIES}---\n{component}")
    loaded = load(main, {})
    [problem] = loaded.rejected
    assert problem.message == "couldn't find conversation conversation.ech/v1"
    assert problem.hint == 'did you mean "conversation.echo"?'
    assert (problem.line, problem.column) == (7, 14)
    assert names(loaded) == {"listed"}


def test_a_pair_of_two_files_names_both_with_their_lines(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        parley_yaml="include: '?.yaml'",
        a_yaml=CHAT,
        b_yaml="# first line\n" + CHAT,
        c_yaml=COMPLETION,
    )
    loaded = load(main, {})
    [problem] = loaded.rejected
    assert problem.message == (
        f'"gpt-3.5-turbo" for chat is registered twice, in {tmp_path / "a.yaml"} on line 3'
        f" and in {tmp_path / 'b.yaml'} on line 4"
    )
    assert (problem.file, problem.line) == (str(tmp_path / "b.yaml"), 4)
    assert {key[0] for key in loaded.settings.registrations} == {EVERY, "chat", "completions"}


def test_the_main_file_wins_over_an_included_one(tmp_path: Path) -> None:
    main = write(tmp_path, parley_yaml=f"include: a.yaml\n{ENTRIES}", a_yaml=ENTRIES.replace("echo/echo", "echo/x"))
    loaded = load(main, {})
    assert loaded.problems == ()
    assert [one.file for one in loaded.rejected] == [str(tmp_path / "a.yaml")]
    assert loaded.settings.registrations[EVERY, "listed"].targets == (Target("echo", "echo"),)


def test_a_pair_is_free_again_where_the_file_that_had_it_is_wrong(tmp_path: Path) -> None:
    main = write(tmp_path, parley_yaml="include: '?.yaml'", a_yaml=CHAT + "nonsense: 1\n", b_yaml=CHAT)
    loaded = load(main, {})
    assert [one.file for one in loaded.rejected] == [str(tmp_path / "a.yaml")]
    assert ("chat", "gpt-3.5-turbo") in loaded.settings.registrations


def test_an_alias_of_what_was_left_out_is_no_mistake_of_the_main_file(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        parley_yaml="include: [a.yaml]\n"
        "models:\n  - {model: nick, alias: listed}\n  - {model: ok, targets: [echo/x]}\n",
        a_yaml=ENTRIES + "nonsense: 1\n",
    )
    loaded = load(main, {})
    assert loaded.problems == ()
    assert [(one.file, one.line) for one in loaded.rejected] == [(str(tmp_path / "a.yaml"), 3), (str(main), 3)]
    assert "was left out" in loaded.rejected[1].message
    assert names(loaded) == {"ok"}


def test_a_file_that_cannot_be_read_at_all_may_have_had_what_the_main_one_needs(tmp_path: Path) -> None:
    entries = "models:\n  - {model: m, endpoint: chat}\n  - {model: n, alias: o}\n  - {model: ok, targets: [echo/x]}\n"
    main = write(tmp_path, parley_yaml=f"include: [a.yaml]\n{entries}", a_yaml="models: [\n")
    loaded = load(main, {})
    assert loaded.problems == ()
    assert [(one.file, one.line) for one in loaded.rejected] == [
        (str(tmp_path / "a.yaml"), 2),
        (str(main), 3),
        (str(main), 4),
    ]
    assert names(loaded) == {"ok"}
    main.write_text(entries)
    assert [problem.line for problem in load(main, {}).problems] == [2, 3]


def test_defaults_are_handed_down_across_files(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        parley_yaml="include: sub/*.yaml\nmodels: [{model: m, settings: {model: w.gguf}, defaults: {seed: 1}}]",
        sub__a_yaml="registration: {endpoint: chat, model: m}\nlocal_settings: {template: t}\n",
    )
    settings = load(main, {}).settings
    assert settings.registrations["chat", "m"].defaults == {"seed": 1}
    engine = settings.providers["local#chat/m"].engine
    assert engine == Engine(model=str(tmp_path / "w.gguf"), template=str(tmp_path / "sub" / "t"))


def test_what_was_read_is_named(tmp_path: Path) -> None:
    named = "models: [{model: 'file:n.txt', targets: [echo/x]}]"
    main = write(tmp_path, parley_yaml="include: '?.yaml'", a_yaml=ENTRIES, b_yaml=named)
    (tmp_path / "n.txt").write_text("from-a-file\n")
    loaded = load(main, {})
    assert set(loaded.files) == {str(tmp_path / name) for name in ("a.yaml", "b.yaml", "n.txt")}
    assert names(loaded) == {"listed", "from-a-file"}


def test_yaml_words_are_names_here_too(tmp_path: Path) -> None:
    text = (
        "registration: {endpoint: chat, model: on}\nlocal_settings: {model: n}\nrequest_defaults: {n: 1, user: off}\n"
    )
    loaded = load_text(text, {}, folder=tmp_path)
    assert loaded.problems == ()
    assert loaded.settings.registrations["chat", "on"].defaults == {"n": 1, "user": "off"}


def test_two_hundred_files_load_fast(tmp_path: Path) -> None:
    files = {f"m__{index}_yaml": CHAT.replace("gpt-3.5-turbo", f"m{index}") for index in range(200)}
    main = write(tmp_path, parley_yaml="include: m/*.yaml", **files)
    times = []
    for _ in range(3):
        began = time.process_time()
        assert len(load(main, {}).settings.registrations) == 201
        times.append(time.process_time() - began)
    assert min(times) < 1.0
