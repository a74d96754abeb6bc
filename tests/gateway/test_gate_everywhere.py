"""No way around the gate: every path of every dialect that leads to a provider passes it."""

import msgspec
import pytest

from gateway.gated import Gated, all_of
from gateway.parts import INLETS, Ear, inlet_at, provider, registration
from parley.operations import OPERATIONS
from parley.ports import Request
from parley.wire.inlets import PLACED, placed_row

FORM = b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nany\r\n--b--\r\n'
KINDS = {b"[": [], b'"': "x", b"{": {}}
DAPR = (b"/v1.0-alpha1/conversation/any/converse", b"/v1.0-alpha2/conversation/any/converse")
# Models of nodes are known to a whole gateway only: tests/serve/test_no_way_around.py asks for them too.
NODES = b"/api/v0/"
PLACES = [
    *(path for path in sorted(INLETS._rows) if not path.startswith(NODES)),
    *(b"/v1beta/models/any:" + name for name in sorted(PLACED)),
    *(path for path in DAPR if placed_row(path, b"") is not None),
]


def request(path: bytes) -> Request:
    """One that gets as far as the gate."""
    inlet = inlet_at(path)
    if inlet.form:
        return Request([(b"content-type", b"multipart/form-data; boundary=b")], FORM, "req-1", path)
    body = {} if inlet.placed else {"model": "any"}
    if inlet.dialect == "caila":
        # Its adapters look for what is asked beside the model.
        body |= {"prompt": "x", "input": "x"}
    if inlet.demanded:
        body[inlet.demanded] = next(value for first, value in KINDS.items() if first[0] in inlet.first)
    return Request([], msgspec.json.encode(body), "req-1", path)


def stage(**quota: object) -> Gated:
    every = {name: f"/{name}" for name in OPERATIONS} | {"count_tokens": "/count"}
    return Gated(
        registration("any", "all/m-1"), quotas=all_of(**quota), providers=(provider("a"), provider("all", paths=every))
    )


@pytest.mark.parametrize("path", PLACES, ids=bytes.decode)
def test_a_used_up_limit_holds_on_every_path(path: bytes) -> None:
    held = stage(requests=((1, 60.0),))
    held.ask("any")
    sent = len(held.sent)
    ear = Ear()
    held.gateway.begin(inlet_at(path), request(path), ear)
    assert ear.status == 429
    assert ear.lines[b"x-ratelimit-remaining-requests"] == b"0"
    assert b"retry-after" in ear.lines
    assert len(held.sent) == sent


def test_every_dialect_and_every_operation_was_asked() -> None:
    inlets = [inlet_at(path) for path in PLACES]
    assert {inlet.dialect for inlet in inlets} >= {"openai", "anthropic", "gemini", "ollama", "dapr", "caila"}
    assert {inlet.operation for inlet in inlets} >= set(OPERATIONS)
