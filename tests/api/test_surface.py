"""What is answered to a path that nothing serves."""

import subprocess
import sys

import pytest

from parley.api.surface import Verdict, table, unserved
from parley.operations import OPERATIONS

BETA = "beta=true"


@pytest.mark.parametrize(
    ("method", "path", "status", "operation"),
    [
        ("GET", "/files", 200, "listFiles"),
        ("HEAD", "/files", 200, "listFiles"),
        ("POST", "/files", 200, "createFile"),
        ("GET", "/files/file-1/content", 200, "downloadFile"),
        ("POST", "/batches/batch_1/cancel", 200, "cancelBatch"),
        ("POST", "/uploads", 501, "createUpload"),
        ("GET", "/chat/completions", 501, "listChatCompletions"),
        ("GET", "/chat/completions/cc-1/messages", 501, "getChatCompletionMessages"),
        ("POST", "/chat/completions", 200, "createChatCompletion"),
        ("POST", "/responses/compact", 501, "Compactconversation"),
        ("GET", "/responses/compact", 200, "getResponse"),
        ("GET", "/models/org/name/version", 200, "retrieveModel"),
        ("DELETE", "/models/org/name/version", 501, "deleteModel"),
        ("DELETE", "/models/name", 501, "deleteModel"),
        ("POST", "/uploads/u/parts", 501, "addUploadPart"),
        ("POST", "/messages", 200, "createMessage"),
        ("POST", "/rerank", 200, "createRerank"),
    ],
)
def test_what_is_known(method: str, path: str, status: int, operation: str) -> None:
    assert unserved(method, path) == Verdict(status, operation)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/files", ("GET", "HEAD", "POST")),
        ("GET", "/embeddings", ("POST",)),
        ("OPTIONS", "/chat/completions", ("GET", "HEAD", "POST")),
        ("POST", "/models/a/b", ("DELETE", "GET", "HEAD")),
        ("PATCH", "/responses/compact", ("DELETE", "GET", "HEAD", "POST")),
        ("get", "/embeddings", ("POST",)),
    ],
)
def test_another_method_is_told_which_there_are(method: str, path: str, allowed: tuple[str, ...]) -> None:
    assert unserved(method, path) == Verdict(405, allowed=allowed)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "files",
        "//files",
        "/files/",
        "/files//content",
        "/files/a/b/c",
        "/nothing",
        "/chat",
        "/models/",
        "/%2e",
    ],
)
def test_nothing_is_there(path: str) -> None:
    assert unserved("GET", path) == Verdict(404)


def test_a_twin_is_refused_by_its_own_name() -> None:
    assert unserved("POST", "/responses", BETA) == Verdict(501, "betaResponsesCreate")
    assert unserved("POST", "/responses", f"x=1&{BETA}") == Verdict(501, "betaResponsesCreate")
    assert unserved("POST", "/responses", "beta=truely") == Verdict(200, "createResponse")
    assert unserved("POST", "/embeddings", BETA) == Verdict(200, "createEmbedding")


def test_every_row_is_found_again() -> None:
    lost = []
    for row in table():
        path = row.path.replace("{", "").replace("}", "")
        if unserved(row.method, path, row.query) != Verdict(200 if row.served else 501, row.id):
            lost.append(row)
    assert lost == []


def test_every_operation_of_the_gateway_is_served_under_its_id() -> None:
    served = {row.path: row.id for row in table() if row.served and row.method == "POST"}
    wrong = {name: operation for name, operation in OPERATIONS.items() if served.get(operation.path) != operation.id}
    assert wrong == {}


def test_ids_are_unique() -> None:
    ids = [row.id for row in table()]
    assert len(ids) == len(set(ids))


def test_a_deep_path_costs_little() -> None:
    assert unserved("GET", "/" + "a/" * 5000) == Verdict(404)
    assert unserved("GET", "/models/" + "a/" * 5000 + "b") == Verdict(200, "retrieveModel")


def test_nothing_is_read_before_it_is_asked_for() -> None:
    program = (
        "import builtins, sys\n"
        "seen = []\n"
        "sys.addaudithook(lambda name, args: seen.append(str(args[0])) if name == 'open' else None)\n"
        "import parley.api.surface, parley.api.check\n"
        "assert not [name for name in seen if name.endswith('.json')], seen\n"
        "assert not [name for name in sys.modules if name.startswith('parley.api.models')]\n"
        "assert parley.api.surface.unserved('POST', '/uploads').status == 501\n"
        "assert [name.rpartition('/')[2] for name in seen if name.endswith('.json')] == ['operations.json']\n"
        'parley.api.check.checked(\'rerank\', b\'{"model":"m","query":"q","documents":["d"]}\')\n'
        "print([name for name in sys.modules if name.startswith('parley.api.models.')])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=90)
    assert done.stdout.strip() == "['parley.api.models.rerank']"
