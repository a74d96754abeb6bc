"""The extension object: what is accepted, how it merges, and where it goes."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import Raw

from parley import vendors
from parley.extensions import ALIAS, FIELDS, WHOLE, Taken, gathered, present, problem_of, spread, taken
from parley.failure import ParleyError
from parley.settings import EXTENSIONS

GOOD: dict[str, Any] = {
    "integer": 1,
    "number": 0.5,
    "boolean": True,
    "string": "text",
    "strings": ["a", "b"],
    "roles": {"user": "User:"},
    "choice": "mean",
}
BAD: dict[str, list[Any]] = {
    "integer": ["1", 1.5, True, [], {}, 2**70],
    "number": ["1", True, [], {}],
    "boolean": [0, 1, "true", []],
    "string": [1, True, [], {}, "x" * 70_000],
    "strings": ["a", {}, 1, [1], [""], [None], ["x" * 1001], ["x"] * 33],
    "roles": ["a", [], 1, {"robot": "x"}, {"user": 1}, {"user": "x" * 1001}],
    "choice": ["median", 1, [], True],
}
# Contract 1.4, the extension row of 2.3, and what the product adds.
CONTRACT = set(
    """
    seed debug top_k batch f16 ignore_eos n_keep mirostat mirostat_eta mirostat_tau cutstrings trimstrings
    roles model mode step min_p typical_p tfz repeat_penalty repeat_last_n negative_prompt
    negative_prompt_scale rope_freq_base rope_freq_scale clip_skip tokenizer translate pooling
    pooling_half_life_tokens grammar stopwords
    """.split()  # noqa: SIM905
)


def refused(body: dict[str, Any], **options: Any) -> tuple[str | None, str]:
    with pytest.raises(ParleyError) as caught:
        taken(body, {}, {}, **options)
    assert caught.value.failure.kind == "invalid_request"
    return caught.value.failure.param, caught.value.failure.message


def test_the_fields_are_the_contracts() -> None:
    assert set(FIELDS) == CONTRACT


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_a_field_takes_its_kind_and_nothing_else(name: str) -> None:
    field = FIELDS[name]
    assert problem_of(name, GOOD[field.kind]) is None
    assert (problem_of(name, None) is None) == field.nullable == (name != "model")
    for value in BAD[field.kind]:
        problem = problem_of(name, value)
        assert problem is not None
        assert problem.startswith(f"'{name}")


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [("top_k", -1, -2), ("min_p", 1, 1.01), ("mirostat", 2, 3), ("batch", 1, 0), ("step", 1, 0), ("tfz", 0, -0.1)],
)
def test_bounds_are_inclusive(name: str, inside: float, outside: float) -> None:
    assert problem_of(name, inside) is None
    assert problem_of(name, outside) is not None


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("cutstring", [], "'cutstring' is not an extension field; did you mean \"cutstrings\"?"),
        ("zzz", 1, "'zzz' is not an extension field"),
        ("mirostat", 9, "'mirostat' must be an integer from 0 to 2"),
        ("top_k", "x", "'top_k' must be an integer of -1 or more"),
        ("stopwords", ["a", ""], "'stopwords[1]' must be a string of 1 to 1000 characters"),
        ("roles", {"usr": "x"}, "'roles.usr' is not a role; roles are system, user, assistant"),
        ("pooling", "max", "'pooling' must be one of backend, mean, last, decayed_mean"),
        ("debug", 1, "'debug' must be true or false"),
    ],
)
def test_a_problem_says_what_was_expected(name: str, value: Any, said: str) -> None:
    assert problem_of(name, value) == said


@pytest.mark.parametrize("alias", [EXTENSIONS, ALIAS])
def test_either_name_is_taken_out_of_the_request(alias: str) -> None:
    body = {"model": "m", alias: {"top_k": 3}, "other": 1}
    assert present(body)
    got = taken(body, {}, {})
    assert got == {"top_k": 3}
    assert got.written == {"top_k": f"{alias}.top_k"}
    assert body == {"model": "m", "other": 1}
    assert not present(body)


@pytest.mark.parametrize("alias", [EXTENSIONS, ALIAS])
@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"topk": 3}, ".topk"),
        ({"top_k": "3"}, ".top_k"),
        ({"cutstrings": ["a", 1]}, ".cutstrings[1]"),
        ({"roles": {"user": 1}}, ".roles.user"),
        ([], ""),
        ("x", ""),
        (7, ""),
    ],
)
def test_a_mistake_is_named_as_the_caller_wrote_it(alias: str, value: Any, place: str) -> None:
    param, message = refused({alias: value})
    assert param == alias + place
    assert alias + place in message
    raw = {alias: Raw(msgspec.json.encode(value))}
    assert refused(raw)[0] == alias + place


def test_a_mistake_at_top_level_is_named_too() -> None:
    assert refused({"top_k": "3", EXTENSIONS: {}})[0] == "top_k"


@pytest.mark.parametrize(
    "body",
    [
        {EXTENSIONS: {"top_k": 1}, ALIAS: {"top_k": 2}},
        {EXTENSIONS: {"top_k": 1}, "top_k": 2},
        {EXTENSIONS: {"top_k": None}, "top_k": 2},
        {EXTENSIONS: {"seed": 1}, "seed": 2},
        {EXTENSIONS: {"roles": {"user": "a"}}, ALIAS: {"roles": {"user": "b"}}},
        {EXTENSIONS: Raw(b'{"top_k":1}'), "top_k": Raw(b"2")},
    ],
)
def test_two_values_for_one_field_are_refused(body: dict[str, Any]) -> None:
    param, message = refused(body)
    assert param is not None
    assert param.startswith("x-")
    assert "both given, with different values" in message


def test_the_same_value_twice_is_no_conflict() -> None:
    body = {EXTENSIONS: {"top_k": 1, "roles": {"user": "a"}}, ALIAS: {"roles": {"system": "b"}}, "top_k": 1}
    assert taken(body, {}, {}) == {"top_k": 1, "roles": {"user": "a", "system": "b"}}
    assert body == {}


def test_a_member_given_twice_in_the_object_is_refused() -> None:
    with pytest.raises(ParleyError) as caught:
        taken({EXTENSIONS: Raw(b'{"top_k":1,"top_k":2}')}, {}, {})
    assert caught.value.failure.kind == "invalid_json"


def test_precedence() -> None:
    names = ["top_k", "min_p", "mirostat", "n_keep"]
    defaults = dict.fromkeys(names, 0)
    body = {EXTENSIONS: {"top_k": 1, "min_p": 1}, "mirostat": 2, "min_p": 1}
    got = taken(body, defaults, {"top_k": 9})
    assert got == {"top_k": 9, "min_p": 1, "mirostat": 2, "n_keep": 0}
    assert got.written == {"min_p": f"{EXTENSIONS}.min_p", "mirostat": "mirostat"}


def test_zero_false_and_empty_win_and_null_drops() -> None:
    defaults: dict[str, Any] = {
        "top_k": 5,
        "ignore_eos": True,
        "cutstrings": ["a"],
        "grammar": "g",
        "roles": {"user": "U", "system": "S"},
    }
    sent = {
        "top_k": 0,
        "ignore_eos": False,
        "cutstrings": [],
        "grammar": None,
        "roles": {"user": None, "assistant": "A"},
    }
    got = taken({EXTENSIONS: sent}, defaults, {})
    assert got == {"top_k": 0, "ignore_eos": False, "cutstrings": [], "roles": {"system": "S", "assistant": "A"}}
    assert "roles" not in taken({EXTENSIONS: {"roles": None}}, defaults, {})
    assert taken({EXTENSIONS: None}, defaults, {}) == defaults
    assert defaults["roles"] == {"user": "U", "system": "S"}


def test_a_field_that_the_dialect_has_stays_in_its_place() -> None:
    body: dict[str, Any] = {"seed": 5}
    assert taken(body, {"seed": 1}, {}) == {}
    assert body == {"seed": 5}
    body = {EXTENSIONS: {"seed": 7}}
    assert taken(body, {"seed": 1}, {}) == {}
    assert body == {"seed": 7}
    body = {}
    taken(body, {"seed": 1}, {})
    assert body == {"seed": 1}
    body = {"seed": 5}
    taken(body, {}, {"seed": 2})
    assert body == {"seed": 2}


def test_the_spelling_of_what_stays_is_kept() -> None:
    body = {"seed": Raw(b"1e2"), EXTENSIONS: Raw(b'{"top_k": 40.0}')}
    got = taken(body, {}, {})
    assert bytes(memoryview(body["seed"])) == b"1e2"
    assert got == {"top_k": 40}
    assert type(got["top_k"]) is int


def test_another_dialect_may_have_a_field_of_its_own() -> None:
    body = {"top_k": 3, EXTENSIONS: {"seed": 1}}
    assert taken(body, {}, {}, own={"top_k"}) == {"seed": 1}
    assert body == {"top_k": 3}


def test_a_model_within_the_provider_is_not_the_model_asked_for() -> None:
    body = {"model": "pictures", EXTENSIONS: {"model": "weights"}}
    assert taken(body, {}, {}, operation="image_generation", own={"model", "seed"}) == {"model": "weights"}
    assert body == {"model": "pictures"}


def test_fields_belong_to_operations() -> None:
    assert refused({EXTENSIONS: {"roles": {}}}, operation="completions")[0] == f"{EXTENSIONS}.roles"
    assert refused({EXTENSIONS: {"step": 3}}, operation="chat")[0] == f"{EXTENSIONS}.step"
    assert taken({EXTENSIONS: {"step": 3}}, {}, {}, operation="image_generation") == {"step": 3}


def test_defaults_of_other_operations_are_left_out() -> None:
    assert taken({}, {"top_k": 1, "step": 2}, {"roles": {"user": "x"}}, operation="image_edit") == {"step": 2}
    body = {"step": "anything", EXTENSIONS: {"top_k": 1}}
    assert taken(body, {}, {}, operation="chat") == {"top_k": 1}
    assert body == {"step": "anything"}


def test_a_registrations_parameters_are_told_apart() -> None:
    parameters = {
        "temperature": 0.2,
        "seed": 4,
        "top_k": 1,
        "min_p": 0.5,
        ALIAS: {"top_k": 2, "roles": {"user": "a"}},
        EXTENSIONS: {"roles": {"system": "b"}},
    }
    held, rest = gathered(parameters)
    assert held == {"top_k": 2, "min_p": 0.5, "roles": {"user": "a", "system": "b"}}
    assert rest == {"temperature": 0.2, "seed": 4}
    assert gathered({}) == ({}, {})


def test_what_a_provider_offers_goes_to_its_own_members() -> None:
    got = taken({EXTENSIONS: {"top_k": 1, "repeat_penalty": 1.1, "cutstrings": ["x"]}, "tfz": 0.5}, {"n_keep": 3}, {})
    body: dict[str, Any] = {"model": "m", "options": {"a": 1}}
    options = body["options"]
    dropped = spread(got, body, {"top_k": "options.top_k", "repeat_penalty": "repetition_penalty"})
    assert body == {"model": "m", "options": {"a": 1, "top_k": 1}, "repetition_penalty": 1.1}
    assert options == {"a": 1}
    # The operator's default (n_keep) is not the caller's field.
    assert sorted(dropped) == ["tfz", f"{EXTENSIONS}.cutstrings"]


def test_what_is_there_with_another_meaning_stays() -> None:
    body: dict[str, Any] = {"repetition_penalty": 1.5, "options": "text", "top_k": 9}
    dropped = spread(
        {"repeat_penalty": 1.1, "min_p": 0.1, "top_k": 1},
        body,
        {
            "repeat_penalty": "repetition_penalty",
            "min_p": "options.min_p",
            "top_k": "top_k",
        },
    )
    assert body == {"repetition_penalty": 1.5, "options": "text", "top_k": 1}
    assert sorted(dropped) == [f"{EXTENSIONS}.min_p", f"{EXTENSIONS}.repeat_penalty"]


@pytest.mark.parametrize(
    ("stop", "sent"),
    [(None, ["x", "y"]), ("s", ["s", "x", "y"]), (["x", "s"], ["x", "s", "y"]), (Raw(b'["s"]'), ["s", "x", "y"])],
)
def test_stop_words_join_the_requests_own(stop: Any, sent: list[str]) -> None:
    body = {} if stop is None else {"stop": stop}
    assert spread({"stopwords": ["x", "y"]}, body, {"stopwords": "stop"}) == ()
    assert body == {"stop": sent}


def test_stop_words_do_not_hide_a_mistake() -> None:
    body: dict[str, Any] = {"stop": [1]}
    assert spread({"stopwords": ["x"]}, body, {"stopwords": "stop"}) == (f"{EXTENSIONS}.stopwords",)
    assert body == {"stop": [1]}


def test_values_without_some_stay_the_callers() -> None:
    got = taken({EXTENSIONS: {"top_k": 1, "seed": 2}}, {}, {}, operation="chat", own=())
    rest = got.without(["seed"])
    assert (rest, rest.operation) == ({"top_k": 1}, "chat")
    assert spread(rest, {}, {}) == (f"{EXTENSIONS}.top_k",)


def test_a_provider_on_this_machine_gets_the_whole_object() -> None:
    body: dict[str, Any] = {"model": "m"}
    assert spread(Taken({"cutstrings": ["x"]}, {}), body, WHOLE) == ()
    assert body == {"model": "m", EXTENSIONS: {"cutstrings": ["x"]}}
    assert spread({}, body := {}, WHOLE) == ()
    assert body == {}


def test_what_stood_at_top_level_may_go_back_there() -> None:
    got = taken({"top_k": 1, EXTENSIONS: {"min_p": 0.5}}, {}, {})
    body: dict[str, Any] = {}
    assert spread(got, body, {}, forward=True) == (f"{EXTENSIONS}.min_p",)
    assert body == {"top_k": 1}


@pytest.mark.parametrize("operation", ["image_generation", "responses", "embeddings"])
def test_members_of_chat_do_not_reach_other_operations(operation: str) -> None:
    got = taken({EXTENSIONS: {"seed": 1}}, {}, {}, operation=operation, own=())
    body: dict[str, Any] = {}
    assert spread(got, body, {"seed": "seed"}) == (f"{EXTENSIONS}.seed",)
    assert body == {}
    if operation == "responses":
        assert spread(got, body, {"seed": "seed"}, carried="chat") == ()
        assert body == {"seed": 1}


@pytest.mark.parametrize("row", vendors.vendors().values(), ids=lambda row: row.name)
def test_rows_offer_fields_that_exist(row: vendors.Vendor) -> None:
    for wire in row.wires.values():
        assert set(wire.extensions) <= set(FIELDS)
        assert all(member and "" not in member.split(".") for member in wire.extensions.values())
        assert len(set(wire.extensions.values())) == len(wire.extensions)
        assert wire.quirks.options.get("top_k") is not True or wire.extensions.get("top_k") == "top_k"


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("llama.cpp", {"repeat_penalty": 1.1, "mirostat": 2, "grammar": "g", "top_k": 4, "stop": ["w"]}),
        ("vllm", {"repetition_penalty": 1.1, "structured_outputs": {"grammar": "g"}, "top_k": 4, "stop": ["w"]}),
        ("sglang", {"repetition_penalty": 1.1, "ebnf": "g", "top_k": 4, "stop": ["w"]}),
        ("openai", {"stop": ["w"]}),
    ],
)
def test_a_row_sends_what_its_server_knows(name: str, sent: dict[str, Any]) -> None:
    row = vendors.find(name)
    assert row is not None
    wire = row.wires["openai"]
    provider = vendors.provider_of(row, "p", wire)
    asked = {"repeat_penalty": 1.1, "mirostat": 2, "grammar": "g", "top_k": 4, "stopwords": ["w"]}
    body: dict[str, Any] = {}
    dropped = spread(asked, body, provider.extensions)
    assert body == sent
    assert len(dropped) + len(sent) == len(asked)


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(some.dictionaries(some.sampled_from(sorted(FIELDS)) | some.text(max_size=6), JSON, max_size=5))
def test_any_object_is_taken_or_refused_by_name(value: dict[str, Any]) -> None:
    good = {name: kept for name, kept in value.items() if problem_of(name, kept) is None}
    got = taken({EXTENSIONS: good}, {}, {}, own=())
    assert set(got) == {name for name in good if good[name] is not None}
    for name in value.keys() - good.keys():
        assert str(refused({EXTENSIONS: {name: value[name]}}, own=())[0]).startswith(f"{EXTENSIONS}.{name}")
