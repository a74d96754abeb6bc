"""``--live``: what is asked of a provider, and what its answer means."""

import pytest

from cli.scripted import answer
from parley.cli.exits import Code
from parley.cli.probe import probe, words, worst
from parley.settings import Provider


def provider(url: str, **more) -> Provider:
    fields = {"name": "main", "type": "any", "wire": "openai_chat", "paths": {"models": "/models"}, **more}
    return Provider(endpoints=(url + "/v1",), **fields)


def test_what_is_asked(gateway):
    there = gateway(answer(b'{"data": []}'))
    [found] = probe([provider(there.url, keys=("k1", "k2"), headers=(("X-Org", "one"),))])
    assert there.head.startswith("get /v1/models http/1.1")
    assert "authorization: bearer k1" in there.head
    assert "x-org: one" in there.head
    assert (found.status, found.code) == (200, Code.OK)
    assert words(found).startswith("reachable (200")


@pytest.mark.parametrize(("auth", "line"), [("x-api-key", "x-api-key: k1"), ("none", None)])
def test_the_key_goes_where_the_provider_wants_it(gateway, auth, line):
    there = gateway(answer(b"{}"))
    probe([provider(there.url, keys=("k1",), auth=auth)])
    assert ("k1" in there.head) is (line is not None)
    assert (line or "") in there.head


def test_the_headers_a_wire_wants_are_there_and_the_operators_win(gateway):
    first, second = gateway(answer(b"{}")), gateway(answer(b"{}"))
    own = (("Anthropic-Version", "mine"),)
    probe([provider(first.url, wire="anthropic"), provider(second.url, wire="anthropic", headers=own)])
    assert "anthropic-version: 2" in first.head
    assert second.head.count("anthropic-version") == second.head.count("anthropic-version: mine") == 1


def test_without_a_models_path_the_base_is_asked(gateway):
    there = gateway(answer(b"", "404 Not Found"))
    [found] = probe([provider(there.url, paths={"chat": "/chat"})])
    assert there.head.startswith("get /v1 http/1.1")
    assert found.code is Code.OK


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        ("404 Not Found", Code.OK, "reachable"),
        ("401 Unauthorized", Code.AUTHENTICATION, "refuses the key"),
        ("403 Forbidden", Code.AUTHENTICATION, "refuses the key"),
        ("503 Service Unavailable", Code.UPSTREAM, "error (503)"),
    ],
)
def test_what_an_answer_means(gateway, status, code, said):
    [found] = probe([provider(gateway(answer(b"{}", status)).url)])
    assert found.code is code
    assert said in words(found)


def test_a_server_that_is_not_there(gateway):
    gone = gateway()
    gone.close()
    here = gateway(answer(b"{}", "401 Unauthorized"))
    found = probe([provider(here.url), provider(gone.url)])
    assert [one.code for one in found] == [Code.AUTHENTICATION, Code.UNREACHABLE]
    assert found[1].failure == "upstream_unreachable"
    assert worst(found) is Code.UNREACHABLE
    assert worst(found[:1]) is Code.AUTHENTICATION
    assert worst([]) is Code.OK


def test_a_server_that_closes_without_a_word(gateway):
    [found] = probe([provider(gateway(b"").url)])
    assert found.code is Code.UNREACHABLE
    assert found.status is None
