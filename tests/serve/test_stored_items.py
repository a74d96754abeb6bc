"""Items of conversations: what each type needs, how a list completes them, items named by their ids, unserved twins."""

from typing import Any

import jsonschema
import msgspec
import pytest

from parley.api.surface import document
from parley.serve.asked import MAY_BE_NULL, NEEDED, REFERENCE
from serve.test_stateful import Desk, desk  # noqa: F401  (the fixture)

DOCUMENT: Any = msgspec.json.decode(document())
SCHEMAS = DOCUMENT["components"]["schemas"]
ITEMS = "/v1/conversations/{conversation_id}/items"
# A value that fits the member of that name, where a text does not.
FITTING: dict[str, Any] = {
    "tools": [],
    "queries": [],
    "summary": [],
    "pending_safety_checks": [],
    "outputs": [],
    "approve": True,
    "status": "completed",
    "role": "developer",
}
OF_TYPE: dict[tuple[str, str], Any] = {
    ("computer_call_output", "output"): {"type": "computer_screenshot"},
    ("web_search_call", "action"): {"type": "search", "query": "x"},
    ("local_shell_call", "action"): {"type": "exec", "command": ["ls"], "env": {}},
    ("shell_call", "action"): {"commands": ["ls"]},
    ("shell_call_output", "output"): [],
    ("apply_patch_call", "operation"): {"type": "delete_file", "path": "a"},
    ("message", "role"): "user",
}


def alternatives(schema: Any) -> list[dict[str, Any]]:
    if "$ref" in schema:
        return alternatives(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    inner = [one for word in ("anyOf", "oneOf") for one in schema.get(word, ())]
    return [found for one in inner for found in alternatives(one)] if inner else [schema]


def kind(schema: dict[str, Any]) -> str | None:
    found = schema["properties"].get("type", {})
    return found.get("const") or next(iter(found.get("enum", ())), None)


def asked_of(member: Any) -> bool:
    """Whether the document lets it be null."""
    return any(one.get("type") == "null" or "null" in one.get("type", ()) for one in alternatives(member))


def item(name: str, **more: Any) -> dict[str, Any]:
    """One with nothing but what it needs."""
    members = {need: OF_TYPE.get((name, need), FITTING.get(need, "x")) for need in NEEDED[name]}
    return {"type": name, **members, **more}


def test_what_is_needed_is_what_the_document_requires() -> None:
    [content] = DOCUMENT["paths"][ITEMS]["post"]["requestBody"]["content"].values()
    [body] = alternatives(content["schema"])
    known: dict[str, set[str]] = {}
    nullable = set()
    for schema in alternatives(body["properties"]["items"]["items"]):
        name = kind(schema) or REFERENCE
        required = set(schema.get("required", ())) - {"id", "type"}
        known[name] = known.get(name, required) & required
        nullable |= {(name, need) for need in required if asked_of(schema["properties"][need])}
    known["function_call_output"].add("call_id")
    known[REFERENCE] = {"id"}
    # Compaction is not done here, so nothing can ask for it.
    assert known.pop("compaction_trigger") == set()
    assert {name: set(needs) for name, needs in NEEDED.items()} == known
    assert nullable == MAY_BE_NULL


@pytest.mark.parametrize("name", sorted(set(NEEDED) - {REFERENCE}))
async def test_an_item_of_each_type_is_shown_as_the_document_says(desk: Desk, name: str) -> None:  # noqa: F811
    status, made = await desk.ask("POST", "/v1/conversations", {"items": [item(name)]})
    assert status == 200
    status, page = await desk.ask("GET", f"/v1/conversations/{made['id']}/items")
    assert (status, page["data"][0]["type"], len(page["data"])) == (200, name, 1)
    schema = DOCUMENT["paths"][ITEMS]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(page, {**schema, "components": DOCUMENT["components"]})


@pytest.mark.parametrize(("name", "need"), [(name, need) for name in NEEDED for need in NEEDED[name]])
async def test_what_an_item_lacks_is_told(desk: Desk, name: str, need: str) -> None:  # noqa: F811
    lacking = {member: value for member, value in item(name).items() if member != need}
    assert await desk.refused("POST", "/v1/conversations", {"items": [lacking]}) == (400, f"items[0].{need}")


async def test_an_item_may_be_named_by_its_id(desk: Desk) -> None:  # noqa: F811
    first = {"items": [{"id": "msg_a", "role": "user", "content": "kept"}]}
    _, one = await desk.ask("POST", "/v1/conversations", first)
    named = {"items": [{"type": REFERENCE, "id": "msg_a"}]}
    _, two = await desk.ask("POST", "/v1/conversations", named)
    _, page = await desk.ask("GET", f"/v1/conversations/{two['id']}/items")
    assert [(found["id"], found["content"][0]["text"]) for found in page["data"]] == [("msg_a", "kept")]
    path = f"/v1/conversations/{one['id']}/items"
    assert await desk.refused("POST", path, named) == (400, "items[0].id")
    unknown = {"items": [item("reasoning"), {"type": REFERENCE, "id": "msg_none"}]}
    assert await desk.refused("POST", path, unknown) == (404, "items[1].id")
    assert await desk.refused("POST", "/v1/conversations", unknown) == (404, "items[1].id")
    _, page = await desk.ask("GET", path)
    assert [found["id"] for found in page["data"]] == ["msg_a"]
