"""The strict applier of OpenAPI overlays."""

from pathlib import Path

import pytest
from spec.overlay import OverlayError, apply, read

DOCUMENT = {
    "info": {"title": "a"},
    "paths": {"/x": {"get": {"tags": ["one"]}, "post": {"tags": ["two"], "mine": True}}},
    "servers": [{"url": "/1"}, {"url": "/2"}, {"url": "/3"}],
}


def changed(target: str, **action: object) -> dict:
    return apply(DOCUMENT, [{"target": target, **action}])


def test_an_update_merges_and_leaves_the_original_alone() -> None:
    after = changed("$.paths['/x'].get", update={"summary": "s", "tags": ["more"]})
    assert after["paths"]["/x"]["get"] == {"summary": "s", "tags": ["one", "more"]}
    assert after["paths"]["/x"]["post"] == DOCUMENT["paths"]["/x"]["post"]
    assert DOCUMENT["paths"]["/x"]["get"] == {"tags": ["one"]}


def test_an_update_of_a_list_appends_an_entry() -> None:
    assert changed("$.servers", update={"url": "/4"})["servers"][-1] == {"url": "/4"}


def test_a_filter_finds_by_content() -> None:
    after = changed("$.paths.*[?@.mine == true]", update={"found": 1})
    assert [name for name, item in after["paths"]["/x"].items() if "found" in item] == ["post"]


@pytest.mark.parametrize(
    ("target", "left"), [("$.servers[0]", ["/2", "/3"]), ("$.servers[*]", []), ("$.servers[0,1]", ["/3"])]
)
def test_removing_from_a_list(target: str, left: list[str]) -> None:
    assert [server["url"] for server in changed(target, remove=True)["servers"]] == left


def test_later_actions_see_what_earlier_ones_did() -> None:
    after = apply(DOCUMENT, [{"target": "$", "update": {"new": {}}}, {"target": "$.new", "update": {"x": 1}}])
    assert after["new"] == {"x": 1}


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ({"target": "$.paths['/y']", "update": {"x": 1}}, "nothing is there"),
        ({"target": "$.paths['/y']", "remove": True}, "nothing is there"),
        ({"target": "$.info", "update": {"title": "a"}}, "changes nothing"),
        ({"target": "$.info.title", "update": {"x": 1}}, "only objects and lists"),
        ({"target": "$.info", "update": "b"}, "only objects and lists"),
        ({"target": "$", "remove": True}, "cannot be removed"),
        ({"target": "$.[", "remove": True}, "target $.["),
    ],
)
def test_an_action_that_does_nothing_is_an_error_with_its_number(action: dict, said: str) -> None:
    with pytest.raises(OverlayError, match=r"action 1, ") as caught:
        apply(DOCUMENT, [{"target": "$", "update": {"x": 1}}, action])
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "not an overlay"),
        ("overlay: 2.0.0", "not an overlay"),
        ("{overlay: 1.0.0, info: {title: a, version: b}, actions: []}", "no actions"),
        ("{overlay: 1.0.0, info: {title: a}, actions: [{target: $, remove: true}]}", "info needs"),
        ("{overlay: 1.0.0, extra: 1, info: {title: a, version: b}, actions: []}", "unknown member 'extra'"),
        ("{overlay: 1.0.0, info: {title: a, version: b}, actions: [{remove: true}]}", "action 0: it needs a target"),
        ("{overlay: 1.0.0, info: {title: a, version: b}, actions: [{target: $}]}", "either update or remove"),
        (
            "{overlay: 1.0.0, info: {title: a, version: b}, actions: [{target: $, update: {}, remove: true}]}",
            "either update or remove",
        ),
        (
            "{overlay: 1.0.0, info: {title: a, version: b}, actions: [{target: $, updates: {}}]}",
            "unknown member 'updates'",
        ),
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "o.yaml"
    path.write_text(text)
    with pytest.raises(OverlayError) as caught:
        read(path)
    assert said in str(caught.value)


def test_what_yaml_shares_is_not_shared_any_more(tmp_path: Path) -> None:
    path = tmp_path / "o.yaml"
    head = "overlay: 1.0.0\ninfo: {title: a, version: b}\nactions:\n"
    path.write_text(head + "  - target: $\n    update: {a: &one {x: 1}, b: *one}\n  - {target: $.a, update: {y: 2}}\n")
    after = apply({}, read(path))
    assert after == {"a": {"x": 1, "y": 2}, "b": {"x": 1}}
