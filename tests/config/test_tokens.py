"""Providers whose calls bear a token in place of a key, as the file and the environment name them."""

import asyncio

from parley.config import load_text
from parley.io.oauth import TokenUpstream
from parley.io.upstreams import upstreams

PLACE = {"GOOGLE_CLOUD_LOCATION": "europe-north1", "GOOGLE_CLOUD_PROJECT": "mine"}
TEXT = "providers: {vertex: }"


def test_the_place_is_of_the_environment() -> None:
    loaded = load_text(TEXT, PLACE)
    assert loaded.problems == ()
    provider = loaded.settings.providers["vertex"]
    assert provider.endpoints == (
        "https://europe-north1-aiplatform.googleapis.com/v1beta1/projects/mine/locations/europe-north1/publishers/google",
    )
    assert (provider.wire, provider.transport, provider.auth) == ("gemini", "oauth", "none")
    [problem] = load_text(TEXT, {}).problems
    assert "GOOGLE_CLOUD_LOCATION" in problem.message


def test_a_key_is_sent_as_one() -> None:
    provider = load_text("providers: {vertex: {api_key: k}}", PLACE).settings.providers["vertex"]
    assert (provider.keys, provider.auth) == (("k",), "x-goog-api-key")


async def test_the_transport_is_made_where_it_is_named() -> None:
    loop = asyncio.get_running_loop()
    made = upstreams(load_text(TEXT, PLACE).settings, loop)
    assert isinstance(made["oauth"], TokenUpstream)
    assert "oauth" not in upstreams(load_text("providers: {echo: }", {}).settings, loop)
    made["native"].close()


def test_both_wires_of_the_vendor_with_keys() -> None:
    key = {"GEMINI_API_KEY": "k"}
    own = load_text("providers: {gemini: }", key).settings.providers["gemini"]
    assert (own.wire, own.auth, own.endpoints) == (
        "gemini",
        "x-goog-api-key",
        ("https://generativelanguage.googleapis.com/v1beta",),
    )
    other = load_text("providers: {gemini: {wire: openai}}", key).settings.providers["gemini"]
    assert (other.wire, other.auth) == ("openai_chat", "bearer")
    mine = load_text("providers: {gemini: {base_url: 'http://127.0.0.1:9', api_key: k}}", {}).settings.providers[
        "gemini"
    ]
    assert mine.endpoints == ("http://127.0.0.1:9/v1beta",)
