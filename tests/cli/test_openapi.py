"""``parley openapi``: the served document on stdout."""

from msgspec import json

from parley.api.surface import document
from parley.cli.root import outcome


def test_it_prints_the_document_that_is_served(folder, capsys):
    assert outcome(["openapi"]) == 0
    out, err = capsys.readouterr()
    assert json.decode(out) == json.decode(document())
    assert out.startswith('{\n  "openapi": "3.1.0"')
    assert err == ""


def test_on_request_in_one_line(folder, capsys):
    assert outcome(["openapi", "--json"]) == 0
    out, _ = capsys.readouterr()
    assert out.rstrip("\n").encode() == document()
