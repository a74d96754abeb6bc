"""The published JSON Schema and the reference page: both know every key."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from config.sample import ENV, FULL
from parley import vendors
from parley.config import OPERATION_IDS, operation_of, schema
from parley.config.build import Builder
from parley.config.document import Document
from parley.config.edge import PENDING
from parley.config.variables import Scope

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text("utf-8")


def plain(text: str) -> Any:
    return Builder(Document(text, "c"), Scope(ENV, Path())).build()


def test_the_schema_is_one_and_takes_the_full_sample() -> None:
    rules = schema()
    Draft202012Validator.check_schema(rules)
    json.dumps(rules)
    Draft202012Validator(rules).validate(plain(FULL))


@pytest.mark.parametrize(
    "text", ["listn: x", "models: [{}]", "limits: {body: many}", "providers: {a: {balance: x}}", "[]"]
)
def test_the_schema_refuses(text: str) -> None:
    assert list(Draft202012Validator(schema()).iter_errors(plain(text)))


def entries() -> list[tuple[str, str, Any]]:
    return [
        (name, key, rules) for name, shape in schema()["$defs"].items() for key, rules in shape["properties"].items()
    ]


def test_every_key_of_the_file_is_described() -> None:
    structs = schema()["$defs"]
    assert all(shape.get("description") for shape in structs.values())
    unsaid = [
        (name, key) for name, key, rules in entries()
        if "description" not in rules and "$ref" not in rules and name not in ("LimitsEntry", "AddressesEntry")
    ]  # fmt: skip
    assert unsaid == []


def test_every_key_is_on_the_reference_page() -> None:
    assert [(name, key) for name, key, _ in entries() if f"`{key}`" not in PAGE] == []


def test_what_is_not_available_is_on_the_reference_page() -> None:
    _, _, pending = PAGE.partition("## Not available yet")
    assert [name for name in PENDING if f"`{name}`" not in pending] == []
    for row in vendors.vendors().values():
        for wire in row.pending:
            assert f"`{wire}`" in pending, (row.name, wire)


def test_every_vendor_is_on_the_reference_page() -> None:
    for row in vendors.vendors().values():
        assert f"`{row.name}`" in PAGE
        for variable in row.keys if row.wires and not row.open else ():
            assert f"`{variable}`" in PAGE, row.name


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("chat", "chat"), ("createChatCompletion", "chat"), ("CreateChatCompletion", "chat"), ("*", "*"),
        ("CreateImageEdit", "image_edit"), ("createchatcompletion", None), ("Chat", None), ("", None), ("models", None),
    ],
)  # fmt: skip
def test_names_of_operations(name: str, operation: str | None) -> None:
    assert operation_of(name) == operation


def test_every_operation_has_an_id() -> None:
    assert len(set(OPERATION_IDS.values())) == len(OPERATION_IDS) == 12
    for operation, known in OPERATION_IDS.items():
        assert operation_of(known) == operation_of(known[0].upper() + known[1:]) == operation
