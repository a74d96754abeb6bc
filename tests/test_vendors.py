"""Every row of the vendor table, walked: a new row needs no test of its own."""

import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from parley import vendors
from parley.operations import OPERATIONS
from parley.settings import Provider
from parley.vendors import Vendor, VendorWire
from parley.wire import SPOKEN, WIRES

ROWS = list(vendors.vendors().values())
EACH = [pytest.param(row, name, wire, id=f"{row.name}-{name}") for row in ROWS for name, wire in row.wires.items()]
PATHS = {*OPERATIONS, "models", "count_tokens", "embedding"}
OPTIONS = {
    "openai_chat": {
        "reasoning_field": {"reasoning_content", "reasoning", None},
        "returns": {"reasoning", "calls"},
        "stream_usage": {True, False},
        "top_k": {True, False},
        "reasoning_effort": {True, False},
        "services": {True},
        "passes": {"mlp-billing-key z-requestid"},
    },
    "anthropic": {
        "version": {"2023-06-01", "2026-10-21"},
        "system_role": {True, False},
        "max_tokens": None,
        "own_thinking": {True, False},
        "signed_thinking": {True, False},
    },
    "bedrock": {"max_tokens": None},
    "ollama": {"truncate": {True, False}},
    **{name: {} for name in ("hf_tasks", "kserve_predict", "oip_generate", "oip_infer", "tei", "tgi", "worker")},
    "gemini": {"thinking": {"budget", "level"}, "schemas": {"json", "openapi"}, "urls": {True, False}},
    "cohere": {"input_type": {"search_document", "search_query", "classification", "clustering"}},
    "mistral": {"thinking": {True, False}, "bridge": {None}},
}
TABLE = tomllib.loads((Path(vendors.__file__).parent / "vendors.toml").read_text("utf-8"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(row: Vendor) -> None:
    assert row.title
    assert re.fullmatch(r"[a-z0-9.]+", row.name)
    assert row.wires or row.pending
    assert not set(row.wires) & set(row.pending)
    assert row.default in row.wires or row.default in row.pending or not row.wires
    for variable in (*row.keys, *row.bases):
        assert re.fullmatch(r"[A-Z][A-Z0-9_]+", variable)
    assert row.keys
    assert row.bases
    if row.port is not None:
        http = [wire for wire in row.wires.values() if wire.transport != "grpc-infer"]
        assert all(urlsplit(wire.base).port == row.port for wire in http)
        assert row.open
    assert row.port is not None or not row.discovered


@pytest.mark.parametrize(("row", "name", "wire"), EACH)
def test_wire(row: Vendor, name: str, wire: VendorWire) -> None:
    assert set(SPOKEN[wire.wire].values()) <= set(WIRES)
    base = re.sub(r"\{[A-Z_]+\}", "x", wire.base)
    parts = urlsplit(base)
    assert parts.scheme == ("https" if row.port is None else "http")
    assert parts.hostname
    assert (parts.query, parts.fragment, parts.username) == ("", "", None)
    assert not base.endswith("/")
    assert wire.auth in ("bearer", "none") or re.fullmatch(r"[a-z][a-z-]+", wire.auth)
    assert set(wire.paths) & set(OPERATIONS)
    operations = {name.removesuffix("_stream") for name in wire.paths}
    assert operations <= PATHS
    assert operations - {"models"} <= set(SPOKEN[wire.wire])
    for path in wire.paths.values():
        assert re.fullmatch(r"(/[A-Za-z0-9_.{}:-]+)+(\?[a-z-]+=[A-Za-z0-9-]+)?", path)
        assert set(re.findall(r"\{(.*?)\}", path)) <= {"model", "path", "account", "service"}
    assert wire.complete(wire.base) == wire.base


@pytest.mark.parametrize(("row", "name", "wire"), EACH)
def test_quirks(row: Vendor, name: str, wire: VendorWire) -> None:
    for quirks in (wire.quirks, wire.home):
        known = OPTIONS[wire.wire]
        for option, value in quirks.options.items():
            assert option in known
            choices = known[option]
            assert (value in choices) if choices is not None else (type(value) is int and value > 0)
        for before, after in quirks.rename.items():
            assert before != after
            assert before not in quirks.drop
        members = {*quirks.rename, *quirks.rename.values(), *quirks.drop, *quirks.default}
        assert not members & {"model", "messages", "stream"}
        assert len(set(quirks.drop)) == len(quirks.drop)


@pytest.mark.parametrize(("row", "name", "wire"), EACH)
def test_provider_of(row: Vendor, name: str, wire: VendorWire) -> None:
    provider = vendors.provider_of(row, "mine", wire, endpoints=("http://127.0.0.1:9",), keys=("k",))
    assert isinstance(provider, Provider)
    assert (provider.name, provider.type, provider.wire) == ("mine", row.name, wire.wire)
    assert provider.keys == ("k",)
    assert provider.auth == wire.auth
    assert provider.endpoints == ("http://127.0.0.1:9" + wire.suffix,)
    assert vendors.provider_of(row, "mine", wire).auth == "none"


def test_names_are_unique_and_lead_to_their_row() -> None:
    spellings = [spelling for row in ROWS for spelling in (row.name, *row.aliases)]
    assert len(set(spellings)) == len(spellings)
    for row in ROWS:
        for spelling in (row.name, *row.aliases):
            assert vendors.find(spelling) is row
            assert vendors.find(spelling.upper()) is row
    assert vendors.find("nobody") is None


def test_key_and_base_variables_are_unique() -> None:
    variables = [variable for row in ROWS for variable in (*row.keys, *row.bases)]
    assert len(set(variables)) == len(variables)


def test_no_member_of_a_row_is_misspelt() -> None:
    row_members = {"title", "aliases", "keys", "bases", "port", "open", "discovered", "pending", "default", "wires"}
    row_members |= {"can", "cannot", "listed"}
    quirks = {"rename", "drop", "defaults", "options"}
    wire_members = {"wire", "base", "suffix", "paths", "offers", "extensions", "auth", "home", "transport"} | quirks
    wire_members |= {"can", "cannot"}
    for name, row in TABLE["vendors"].items():
        assert set(row) <= row_members, name
        for spelling, wire in row.get("wires", {}).items():
            assert set(wire) <= wire_members, (name, spelling)
            assert set(wire.get("home", {})) <= quirks


def test_what_a_row_offers_is_spelt_as_an_operation_and_once() -> None:
    for name, row in TABLE["vendors"].items():
        for spelling, wire in row.get("wires", {}).items():
            offers = wire.get("offers", [])
            assert set(offers) <= set(OPERATIONS), (name, spelling)
            assert len(set(offers)) == len(offers)
            assert set(offers).isdisjoint(wire.get("paths", {}))


@pytest.mark.parametrize(
    ("vendor", "wire", "offered"),
    [
        ("openai", "openai", set(OPERATIONS) - {"rerank"}),
        ("anthropic", "anthropic", {"chat"}),
        ("anthropic", "openai", {"chat"}),
        ("mistral", "openai", {"chat", "embeddings"}),
        ("deepseek", "openai", {"chat"}),
        ("llama.cpp", "openai", {"chat", "completions", "responses", "embeddings", "rerank"}),
        ("ollama", "openai", {"chat", "completions", "responses", "embeddings", "transcription"}),
        ("tgi", "openai", {"chat", "completions"}),
        ("transformers", "openai", {"chat", "responses"}),
        ("kserve", "openai", {"chat", "completions", "embeddings", "rerank"}),
        ("openvino", "openai", set(OPERATIONS) - {"image_variation", "moderation"}),
        ("tei", "openai", {"embeddings"}),
        ("jina", "openai", {"embeddings", "rerank"}),
        ("cohere", "openai", {"chat", "embeddings"}),
        ("mistral", "mistral", {"chat", "embeddings"}),
        ("cohere", "rerank", {"rerank"}),
        ("volcengine", "openai", {"chat", "embeddings", "image_generation"}),
        ("siliconflow", "openai", {"chat", "embeddings", "rerank"}),
        ("ionos", "openai", {"chat", "embeddings", "image_generation"}),
        ("codestral", "mistral", {"chat"}),
        ("infinity", "openai", {"embeddings", "rerank"}),
        ("speaches", "openai", {"speech", "transcription", "translation"}),
    ],
)
def test_what_a_vendor_offers(vendor: str, wire: str, offered: set[str]) -> None:
    paths = vendors.vendors()[vendor].wires[wire].paths
    assert set(paths) & set(OPERATIONS) == offered
    for name in offered - {"chat"}:
        assert paths[name] == OPERATIONS[name].path


def test_an_ollama_is_spoken_to_in_its_own_words() -> None:
    row = vendors.vendors()["ollama"]
    assert (row.default, list(row.wires), row.pending) == ("ollama", ["ollama", "openai", "anthropic"], ())
    paths = row.wires["ollama"].paths
    assert set(paths) & set(OPERATIONS) == {"chat", "completions", "embeddings", "transcription"}
    assert (paths["chat"], paths["completions"], paths["embeddings"]) == ("/api/chat", "/api/generate", "/api/embed")
    for given in ("http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"):
        assert row.wires["ollama"].complete(given) == "http://h:1"
        assert row.wires["openai"].complete(given) == "http://h:1/v1"


def test_the_table_is_large() -> None:
    assert len(ROWS) >= 60
    spoken = {wire.wire for row in ROWS for wire in row.wires.values()}
    assert {"openai_chat", "anthropic", "gemini", "ollama", "mistral", "cohere", "bedrock"} <= spoken


def test_no_two_vendors_are_at_one_address() -> None:
    homes = [(row.name, urlsplit(wire.base).hostname) for row in ROWS for wire in row.wires.values() if not row.port]
    hosts = {host for _, host in homes}
    assert len({name for name, _ in homes}) >= 45
    assert sorted(host or "" for host in hosts if len({name for name, at in homes if at == host}) > 1) == []


def test_types_of_the_product_contract_are_known() -> None:
    types = (
        "openai anthropic gemini vertex azure bedrock mistral cohere groq deepseek openrouter xai huggingface "
        "tgi tei kserve openvino ollama llama.cpp vllm sglang lmstudio caila local"
    )
    for name in types.split():
        assert vendors.find(name) is not None, name


def test_quirks_of_home_do_not_follow_to_a_compatible_server() -> None:
    row = vendors.vendors()["openai"]
    wire = row.wires["openai"]
    at_home = vendors.provider_of(row, "a", wire, endpoints=("https://eu.api.openai.com/v1",))
    elsewhere = vendors.provider_of(row, "b", wire, endpoints=("http://127.0.0.1:8080/v1",))
    lookalike = vendors.provider_of(row, "c", wire, endpoints=("https://notapi.openai.com.example/v1",))
    assert at_home.quirks.rename == {"max_tokens": "max_completion_tokens"}
    assert elsewhere.quirks.rename == lookalike.quirks.rename == {}
    assert at_home.quirks.options["reasoning_field"] is None


@pytest.mark.parametrize(
    ("vendor", "wire", "given", "url"),
    [
        ("anthropic", "anthropic", "https://proxy.example/anthropic", "https://proxy.example/anthropic/v1"),
        ("anthropic", "anthropic", "https://proxy.example/v1/", "https://proxy.example/v1"),
        ("kserve", "openai", "http://host", "http://host/openai/v1"),
        ("dockermodelrunner", "openai", "http://host:12434", "http://host:12434/engines/v1"),
        ("volcengine", "openai", "https://ark.example/api/v3", "https://ark.example/api/v3"),
        ("cohere", "cohere", "https://proxy.example", "https://proxy.example/v2"),
        ("mistral", "mistral", "http://host/v1", "http://host/v1"),
        ("openvino", "openai", "http://host/v3", "http://host/v3"),
        ("openai", "openai", "http://host:1", "http://host:1"),
        ("azure", "deployments", "https://r.openai.azure.com/", "https://r.openai.azure.com/openai"),
        ("zai", "openai", "https://api.z.ai/api/paas/v4", "https://api.z.ai/api/paas/v4"),
    ],
)
def test_base_urls_are_completed(vendor: str, wire: str, given: str, url: str) -> None:
    row = vendors.vendors()[vendor]
    assert vendors.provider_of(row, "p", row.wires[wire], endpoints=(given,)).endpoints == (url,)


def test_azure_deployments_carry_the_model_in_the_path() -> None:
    wire = vendors.vendors()["azure"].wires["deployments"]
    assert wire.paths["chat"] == "/deployments/{model}/chat/completions?api-version=2024-10-21"
    assert wire.paths["transcription"] == "/deployments/{model}/audio/transcriptions?api-version=2024-10-21"
    assert wire.auth == "api-key"
