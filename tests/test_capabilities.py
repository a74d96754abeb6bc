"""What the vendor table says that models can and cannot, where it is shown and what comes of it.

docs/capabilities.md is written by these tests: GRID_WRITE=1 writes it anew.
"""

import os
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from parley import vendors
from parley.failure import ParleyError
from parley.relay import outgoing, passage
from parley.settings import UNFIT, Provider, Registration, Target
from parley.vendors import CAPABILITIES, Vendor, VendorWire
from parley.wire import load

ROWS = list(vendors.vendors().values())
EACH = [pytest.param(row, wire, id=f"{row.name}-{name}") for row in ROWS for name, wire in row.wires.items()]
TABLE = tomllib.loads((Path(vendors.__file__).parent / "vendors.toml").read_text("utf-8"))
PAGE = Path(__file__).resolve().parents[1] / "docs" / "capabilities.md"
HEAD = """# Capabilities

What a vendor's models take or give beyond text, by the vendor's public documentation: ✓ for some of its models, ✗ where
its API has no such thing, nothing where it is not known. Whether a certain model can is for its provider to say. These
facts hold at the vendor's own address, and for servers that people run themselves at any address. Whoever knows better
names the vendor's address as the `base_url` of a provider of `type: openai`, of which nothing is known.

- `parley models --json` tells them for every target.
- A request that has to be translated and needs what its target's vendor lacks (✗) is refused before anything is sent,
  `400 invalid_request` naming the field (`tools`, `messages[0].content[1]`, `response_format`, `n`); with several
  targets those that cannot are passed over. The settings `logprobs`, `top_logprobs` and `reasoning_effort` are left out
  instead, and `x-parley-dropped` names them. What is not known is tried.
- A request that passes as it came, in the provider's own dialect, is not read for this: the provider judges it.
- With [`choices: fan_out`](configuration.md#several-answers) `n` is made of several requests where it is ✗.

`files` are documents in messages; `images`, `audio` and `files` are what goes in, `n` is several answers to one
request.

"""


def cell(wire: VendorWire, name: str) -> str:
    if name in wire.can or name in wire.paths:
        return "✓"
    return "✗" if name in wire.cannot else ""


def page() -> str:
    lines = [f"| type | wire | {' | '.join(f'`{name}`' for name in CAPABILITIES)} |"]
    lines.append(f"| --- | --- |{' --- |' * len(CAPABILITIES)}")
    for row in sorted(ROWS, key=lambda found: found.name):
        for name, wire in row.wires.items():
            cells = " | ".join(cell(wire, one) for one in CAPABILITIES)
            lines.append(f"| `{row.name}` | `{name}` | {cells} |")
    return HEAD + "\n".join(lines) + "\n"


def test_the_page_says_what_the_table_says() -> None:
    if os.environ.get("GRID_WRITE") == "1":
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page(), "make tables writes it anew"


@pytest.mark.parametrize(("row", "wire"), EACH)
def test_capabilities_are_spelt_and_do_not_contradict(row: Vendor, wire: VendorWire) -> None:
    told = set(CAPABILITIES) - {"embeddings", "rerank"}
    assert set(wire.can) <= told
    assert set(wire.cannot) <= told
    assert not set(wire.can) & set(wire.cannot)
    assert len(set(wire.can)) == len(wire.can)
    if "n" in wire.can:
        spoken = load(wire.wire if wire.wire != "worker" else "openai_chat")
        assert spoken.several, "our own wire cannot ask for it"
    if "n" in wire.quirks.drop:
        assert "n" in wire.cannot


def test_most_rows_are_known() -> None:
    known = [row.name for row in ROWS if any(wire.can or wire.cannot for wire in row.wires.values())]
    assert len(known) >= 60


def test_a_wires_word_comes_before_its_rows() -> None:
    row = vendors.vendors()["tgi"].wires
    assert (row["openai"].cannot, row["native"].cannot) == (("n",), ())
    gemini = vendors.vendors()["gemini"].wires
    assert ("files" in gemini["gemini"].can, "files" in gemini["openai"].can) == (True, False)
    written = TABLE["vendors"]["gemini"]["can"]
    assert set(written) <= set(gemini["openai"].can)


def test_facts_of_a_vendor_are_not_those_of_another_server_of_its_wire() -> None:
    row = vendors.vendors()["groq"]
    wire = row.wires["openai"]
    home = vendors.provider_of(row, "g", wire)
    other = vendors.provider_of(row, "g", wire, endpoints=("http://127.0.0.1:9/v1",))
    assert vendors.capabilities(home)["n"] is False
    assert vendors.capabilities(home)["tools"] is True
    assert vendors.capabilities(other) == {}
    served = vendors.vendors()["vllm"]
    anywhere = vendors.provider_of(served, "v", served.wires["openai"], endpoints=("http://10.0.0.1:9/v1",))
    assert vendors.capabilities(anywhere)["n"] is True
    assert vendors.capabilities(anywhere)["rerank"] is True


def provider(*cannot: str, wire: str = "anthropic") -> Provider:
    return Provider(
        name="p", type="any", wire=wire, endpoints=("http://p.example",), paths={"chat": "/x"}, cannot=cannot
    )


def sent(made: Provider, inlet: str = "openai_chat", **members: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, **members}
    if inlet == "gemini":
        body = {"model": "m", "contents": [{"role": "user", "parts": [{"text": "hi"}]}], **members}
    registration = Registration(model="m", targets=(Target("p", "m"),))
    way = passage(load(inlet), registration, made, registration.targets[0])
    raw = msgspec.json.encode(body)
    return outgoing(way, raw, msgspec.json.decode(raw, type=dict[str, msgspec.Raw]))


def refusal(made: Provider, inlet: str = "openai_chat", **members: Any) -> tuple[str | None, str, str]:
    with pytest.raises(ParleyError) as caught:
        sent(made, inlet, **members)
    failure = caught.value.failure
    assert failure.kind == "invalid_request"
    return failure.param, failure.message, failure.detail


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
FILE = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
TEXT = {"type": "text", "text": "hi"}


@pytest.mark.parametrize(
    ("capability", "members", "param"),
    [
        ("tools", {"tools": [TOOL]}, "tools"),
        ("images", {"messages": [{"role": "user", "content": [TEXT, IMAGE]}]}, "messages[0].content[1]"),
        ("audio", {"messages": [{"role": "user", "content": [SOUND]}]}, "messages[0].content[0]"),
        ("files", {"messages": [{"role": "user", "content": [FILE]}]}, "messages[0].content[0]"),
        ("json_schema", {"response_format": SCHEMA}, "response_format"),
        ("n", {"n": 2}, "n"),
    ],
)
def test_what_is_lacking_is_refused_by_name(capability: str, members: dict[str, Any], param: str) -> None:
    found, message, detail = refusal(provider(capability), **members)
    assert (found, detail) == (param, UNFIT)
    assert message.startswith(f"{param}: this provider ")


def test_what_is_not_known_is_tried() -> None:
    made = sent(provider("audio", "files", "n"), tools=[TOOL], messages=[{"role": "user", "content": [TEXT, IMAGE]}])
    assert b"tool" in b"".join(made.body)
    assert b"AAAA" in b"".join(made.body)


def test_nothing_is_lacking_where_nothing_is_asked() -> None:
    made = sent(provider(*CAPABILITIES), tools=[TOOL], tool_choice="none", n=1, response_format={"type": "text"})
    assert made.dropped == ()


def test_pictures_in_results_of_tools_count_too() -> None:
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]}]},
    ]  # fmt: skip
    found, _, _ = refusal(provider("images", wire="openai_chat"), "anthropic", messages=messages)
    assert found == "messages[2].content[0].content[0]"


def test_a_field_is_called_as_the_caller_calls_it() -> None:
    parts = [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]
    found, message, _ = refusal(provider("images"), "gemini", contents=[{"role": "user", "parts": parts}])
    assert (found, message) == ("contents[0].parts[0]", "contents[0].parts[0]: this provider takes no images")
    found, _, _ = refusal(provider("n"), "gemini", generationConfig={"candidateCount": 3})
    assert found == "generationConfig.candidateCount"


def test_settings_are_left_out_and_listed() -> None:
    made = sent(provider("logprobs", "reasoning", wire="gemini"), logprobs=True, top_logprobs=2, reasoning_effort="low")
    assert set(made.dropped) == {"logprobs", "top_logprobs", "reasoning_effort"}
    body = msgspec.json.decode(b"".join(made.body))
    assert not {"responseLogprobs", "logprobs", "thinkingConfig"} & set(body.get("generationConfig", {}))
    kept = sent(provider(wire="gemini"), logprobs=True, top_logprobs=2, reasoning_effort="low")
    config = msgspec.json.decode(b"".join(kept.body))["generationConfig"]
    assert {"responseLogprobs", "thinkingConfig"} <= set(config)


def test_what_passes_as_it_came_is_not_looked_at() -> None:
    made = sent(provider(*CAPABILITIES, wire="openai_chat"), tools=[TOOL], n=3)
    body = msgspec.json.decode(b"".join(made.body))
    assert (body["tools"], body["n"]) == ([TOOL], 3)


def test_what_a_wire_has_no_place_for_is_marked_as_well() -> None:
    found, _, detail = refusal(provider(), messages=[{"role": "user", "content": [SOUND]}])
    assert (found, detail) == ("messages[0].content[0]", UNFIT)
    with pytest.raises(ParleyError) as caught:
        sent(provider(), temperature="hot")
    assert caught.value.failure.detail == ""
