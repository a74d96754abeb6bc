"""What is in the package is what the installed SDK and the overlay give, to the byte. Slower than the other files."""

import os
import re
import subprocess
import sys
from pathlib import Path

import openai
import pytest
from msgspec import json
from openapi_spec_validator import OpenAPIV31SpecValidator
from spec import build
from spec.difference import report

from parley.api.check import BODIES, FORMS
from parley.api.surface import document, table

SDK = Path(openai.__file__).parent / "resources"
CALL = re.compile(
    r"(?<!await )self\._(get|post|delete|put|patch|get_api_list)\(\s*(?:path_template\(\s*)?\"(/[^\"]*)\"(.*?)\n {8}\)",
    re.DOTALL,
)

SOCKET = re.compile(r"b\"/\"\)\s*\+ (?:b|path_template\()\"(/[^\"]*)\"")


def called() -> set[tuple[str, str]]:
    """Method and path (with its query) of every call in the SDK's source, found by other means than the program's;
    a web socket begins with a GET."""
    found = set()
    for path in SDK.rglob("*.py"):
        for verb, target, rest in CALL.findall(path.read_text(encoding="utf-8")):
            given = re.search(r"\bmethod=\"(\w+)\"", rest)
            method = given[1] if given else verb.replace("get_api_list", "get")
            found.add((method.upper(), target))
        found |= {("GET", target) for target in SOCKET.findall(path.read_text(encoding="utf-8"))}
    return found


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Made in another folder: the one we happen to be in must not matter. And by a process of its own, as whoever
    makes them does: typing takes literals in another order for the same, and gives the first that anybody made."""
    code = "import sys, msgspec; from spec.build import files; sys.stdout.buffer.write(msgspec.json.encode(files()))"
    made = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env={**os.environ, "PYTHONPATH": str(build.ROOT)},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, str] = json.decode(made.stdout)
    return found


def test_regenerating_gives_the_same_bytes(generated: dict[str, str]) -> None:
    held = {name: (build.ROOT / name).read_text(encoding="utf-8") for name in generated}
    assert [name for name in generated if generated[name] != held[name]] == []


def test_no_model_is_left_over(generated: dict[str, str]) -> None:
    models = {str(path.relative_to(build.ROOT)) for path in (build.ROOT / build.API / "models").glob("*.py")}
    assert models == {name for name in generated if "/models/" in name}


def test_generated_modules_say_so(generated: dict[str, str]) -> None:
    modules = {name: text for name, text in generated.items() if name.endswith(".py")}
    assert len(modules) == 1 + len(BODIES | FORMS)
    assert [name for name, text in modules.items() if not text.startswith("# @generated")] == []


def test_the_table_has_every_operation_of_the_sdk() -> None:
    ours = {(row.method, row.path + (f"?{row.query}" if row.query else "")) for row in table()}
    sdk = called()
    assert len(sdk) > 300
    assert sdk - ours == set()
    assert ours - sdk == {("POST", "/rerank"), ("POST", "/messages"), ("POST", "/messages/count_tokens")}


def test_the_document_is_valid() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(json.decode(document())).iter_errors()] == []


def test_a_difference_is_told_in_words() -> None:
    held = (build.ROOT / build.DERIVED).read_bytes()
    same = json.decode(held)
    assert "Nothing that is described here has changed." in report(held, same)
    chat = same["components"]["schemas"]["ChatCompletionsCreateRequest"]
    chat["properties"]["brand_new"] = {"type": ["string", "null"]}
    chat["properties"]["n"] = {"type": "string"}
    del chat["properties"]["user"]
    del same["paths"]["/v1/uploads"]["post"]
    same["paths"]["/v1/uploads"]["put"] = {"operationId": "filesReplace"}
    same["info"]["version"] = "9.9.9"
    lines = report(held, same).splitlines()
    assert lines[0].endswith(" to 9.9.9")
    assert [line for line in lines if line.startswith("- ")] == [
        "- added `PUT /v1/uploads`: filesReplace",
        "- removed `POST /v1/uploads`: uploadsCreate",
        "- added `ChatCompletionsCreateRequest.brand_new`: string | null",
        "- removed `ChatCompletionsCreateRequest.user`: string",
        "- changed `ChatCompletionsCreateRequest.n`: integer | null -> string",
    ]
