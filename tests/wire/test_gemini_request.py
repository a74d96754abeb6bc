"""Requests of callers, in any spelling, to the canonical form."""

from typing import Any

import pytest

from parley.ir import (
    Media,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from parley.wire.signature import FILLER, foreign, sealed
from wire.gemini_parts import HI, SIGNATURE, WIRE, refused, request, sent

EVERYTHING_CAMEL: dict[str, Any] = {
    "systemInstruction": {"role": "user", "parts": [{"text": "be brief"}]},
    "contents": [
        {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}, {"text": "hi"}]},
        {
            "role": "model",
            "parts": [
                {"functionCall": {"name": "f_x", "args": {"some_key": {"inner_key": 1}}}, "thoughtSignature": SIGNATURE}
            ],
        },
        {"role": "user", "parts": [{"functionResponse": {"name": "f_x", "response": {"some_key": [1]}}}]},
    ],
    "tools": [
        {"functionDeclarations": [{"name": "f_x", "parametersJsonSchema": {"properties": {"some_key": {}}}}]},
        {"googleSearch": {}},
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f_x"]}},
    "generationConfig": {
        "maxOutputTokens": 5,
        "topK": 40.0,
        "responseMimeType": "application/json",
        "responseJsonSchema": {"properties": {"some_key": {}}},
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 100},
    },
    "safetySettings": [{"category": "C", "threshold": "T"}],
    "labels": {"some_key": "x"},
}
_OPAQUE = {"args", "response", "parametersJsonSchema", "responseJsonSchema", "labels"}


def snake(value: Any) -> Any:
    """The same in snake_case, but for what is the caller's own."""
    if isinstance(value, list):
        return [snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    spelled = {"".join("_" + letter.lower() if letter.isupper() else letter for letter in key): key for key in value}
    return {name: value[key] if key in _OPAQUE else snake(value[key]) for name, key in spelled.items()}


def test_both_spellings_of_every_key_mean_the_same() -> None:
    other = snake(EVERYTHING_CAMEL)
    assert "system_instruction" in other
    assert other["contents"][1]["parts"][0]["function_call"]["args"] == {"some_key": {"inner_key": 1}}
    assert request(**other) == request(**EVERYTHING_CAMEL)


def test_a_mixture_as_the_official_client_writes_it() -> None:
    mixed = {
        "contents": [{"role": "user", "parts": [{"inlineData": {"mime_type": "image/png", "data": "AA=="}}]}],
        "generationConfig": {"thinkingConfig": {"include_thoughts": True, "thinking_budget": 7}},
    }
    found = request(**mixed)
    assert found.messages[0].content == (Media(kind="image", data="AA==", media_type="image/png"),)
    assert found.reasoning == Reasoning("enabled", None, 7)


def test_one_member_in_both_spellings_is_refused() -> None:
    assert refused(generationConfig={"topK": 1, "top_k": 2}).param == "topK"


def test_everything() -> None:
    found = request(**EVERYTHING_CAMEL)
    assert found.messages[0].role == "system"
    assert found.messages[0].content == (Text("be brief"),)
    assert found.ahead == 1
    assert [message.role for message in found.messages[1:]] == ["user", "assistant", "user"]
    call = found.messages[2].content[0]
    assert call == ToolCall("call_1", "f_x", '{"some_key":{"inner_key":1}}', {"thoughtSignature": SIGNATURE})
    assert found.messages[3].content == (ToolResult("call_1", (Text('{"some_key":[1]}'),)),)
    assert found.tools == (
        Tool("f_x", None, {"properties": {"some_key": {}}}),
        Opaque("gemini", {"googleSearch": {}}),
    )
    assert found.tool_choice == ToolChoice("named", "f_x")
    assert (found.max_tokens, found.top_k) == (5, 40)
    assert found.output == OutputFormat("schema", {"properties": {"some_key": {}}}, name="answer")
    assert found.reasoning == Reasoning("enabled", None, 100)
    assert set(found.extra) == {"safetySettings", "labels"}


def test_what_is_read_goes_out_to_its_own_wire_as_it_came() -> None:
    expected = {**EVERYTHING_CAMEL, "systemInstruction": {"parts": [{"text": "be brief"}]}}
    expected["generationConfig"] = {**expected["generationConfig"], "topK": 40}
    assert sent(request(**EVERYTHING_CAMEL)) == expected
    assert sent(request(**snake(EVERYTHING_CAMEL))) == expected


def test_members_nobody_knows_are_kept() -> None:
    body = {
        "newThing": {"a_b": 1},
        "contents": [{"role": "user", "parts": [{"text": "hi", "newHint": 1}, {"newKind": {"x": 1}}], "newMember": 2}],
        "generationConfig": {"speechConfig": {"voice": "x"}, "responseModalities": ["AUDIO"]},
        "toolConfig": {"retrievalConfig": {"languageCode": "lv"}},
    }
    found = request(**body)
    assert sent(found) == body
    assert set(found.extra) == {
        "newThing",
        "generationConfig.speechConfig",
        "generationConfig.responseModalities",
        "toolConfig.retrievalConfig",
    }


@pytest.mark.parametrize(
    ("config", "field", "value"),
    [
        ({"temperature": 0}, "temperature", 0),
        ({"topP": 0.5}, "top_p", 0.5),
        ({"candidateCount": 2}, "n", 2),
        ({"stopSequences": []}, "stop", ()),
        ({"stopSequences": ["a", "b"]}, "stop", ("a", "b")),
        ({"seed": 0}, "seed", 0),
        ({"responseLogprobs": True}, "logprobs", True),
        ({"logprobs": 3}, "top_logprobs", 3),
        ({"presencePenalty": -1}, "presence_penalty", -1),
        ({"frequencyPenalty": 1.5}, "frequency_penalty", 1.5),
        ({"temperature": None}, "temperature", None),
        ({"responseMimeType": "application/json"}, "output", OutputFormat("json")),
        ({"responseMimeType": "text/plain"}, "output", OutputFormat("text")),
        ({"thinkingConfig": {"thinkingBudget": 0}}, "reasoning", Reasoning("disabled")),
        ({"thinkingConfig": {"thinkingBudget": -1}}, "reasoning", Reasoning("adaptive")),
        ({"thinkingConfig": {"thinkingLevel": "HIGH"}}, "reasoning", Reasoning(effort="high")),
        ({"thinkingConfig": {"includeThoughts": True}}, "reasoning", None),
    ],
)
def test_settings(config: dict[str, Any], field: str, value: Any) -> None:
    found = request(generationConfig=config)
    assert getattr(found, field) == value
    kept = {name: item for name, item in config.items() if item is not None}
    assert sent(found).get("generationConfig", {}) == kept


def test_its_own_schemas_become_json_schema() -> None:
    own = {
        "type": "OBJECT",
        "properties": {
            "type": {"type": "STRING", "enum": ["A"], "nullable": True},
            "many": {"type": "ARRAY", "items": {"anyOf": [{"type": "INTEGER"}, {"type": "NUMBER"}]}, "maxItems": "3"},
        },
        "propertyOrdering": ["type", "many"],
        "required": ["type"],
    }
    found = request(generationConfig={"responseMimeType": "application/json", "responseSchema": own})
    assert found.output is not None
    assert found.output.schema == {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "enum": ["A", None]},
            "many": {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "number"}]}, "maxItems": 3},
        },
        "required": ["type"],
    }
    assert sent(found)["generationConfig"]["responseSchema"] == own


@pytest.mark.parametrize(
    ("calling", "choice"),
    [
        ({"mode": "AUTO"}, ToolChoice("auto")),
        ({"mode": "NONE"}, ToolChoice("none")),
        ({"mode": "ANY"}, ToolChoice("required")),
        ({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, ToolChoice("required")),
        ({"mode": "VALIDATED"}, ToolChoice("auto")),
        ({"mode": "MODE_UNSPECIFIED"}, None),
        ({}, None),
    ],
)
def test_tool_choice(calling: dict[str, Any], choice: ToolChoice | None) -> None:
    found = request(toolConfig={"functionCallingConfig": calling}, tools=[{"functionDeclarations": [{"name": "f"}]}])
    assert found.tool_choice == choice
    assert sent(found)["toolConfig"] == {"functionCallingConfig": calling}
    several = "toolConfig.functionCallingConfig.allowedFunctionNames"
    assert (several in found.extra) == (len(calling.get("allowedFunctionNames", ())) > 1)


def content(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "parts": list(parts)}


def call(name: str, id: str | None = None) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": {}, **({"id": id} if id else {})}}


def result(name: str, id: str | None = None, **response: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": response, **({"id": id} if id else {})}}


def test_ids_are_invented_and_found_again_by_name() -> None:
    found = request(
        contents=[
            HI,
            content(call("f"), call("g"), call("f"), role="model"),
            content(result("g", output="1"), result("f", result="2"), result("f", error="3")),
            content(call("f"), role="model"),
            content(result("f", output={"a": 4})),
        ]
    )
    made = [block.id for message in found.messages for block in message.content if isinstance(block, ToolCall)]
    assert made == ["call_1", "call_2", "call_3", "call_4"]
    told = [block for message in found.messages for block in message.content if isinstance(block, ToolResult)]
    assert told == [
        ToolResult("call_2", (Text("1"),)),
        ToolResult("call_1", (Text("2"),)),
        ToolResult("call_3", (Text("3"),), is_error=True),
        ToolResult("call_4", (Text('{"a":4}'),)),
    ]


def test_the_filler_is_nobodys_signature() -> None:
    signed = {**call("f"), "thoughtSignature": FILLER}
    found = request(contents=[HI, content(signed, role="model")])
    assert found.messages[1].content == (ToolCall("call_1", "f", "{}"),)
    assert sent(found)["contents"][1]["parts"] == [signed]


def test_ids_that_are_given_are_kept() -> None:
    found = request(
        contents=[
            HI,
            content(call("f", "x"), call("f", "y"), role="model"),
            content(result("f", "y"), result("f", "x")),
        ]
    )
    assert [block.call_id for block in found.messages[2].content if isinstance(block, ToolResult)] == ["y", "x"]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ({"text": ""}, Text("")),
        ({"text": "x", "thought": True}, Thinking("x")),
        ({"text": "x", "thought": True, "thoughtSignature": SIGNATURE}, Thinking("x", sealed(SIGNATURE))),
        (
            {"inlineData": {"mimeType": "audio/wav", "data": "-_8="}},
            Media(kind="audio", data="+/8=", media_type="audio/wav"),
        ),
        (
            {"fileData": {"mimeType": "video/mp4", "fileUri": "https://h/v.mp4"}, "videoMetadata": {"fps": 1}},
            Media(kind="video", url="https://h/v.mp4", media_type="video/mp4", extra={"videoMetadata": {"fps": 1}}),
        ),
        (
            {
                "fileData": {
                    "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/a",
                    "mimeType": "application/pdf",
                }
            },
            Media(
                kind="document",
                file_id="https://generativelanguage.googleapis.com/v1beta/files/a",
                media_type="application/pdf",
            ),
        ),
        (
            {"inlineData": {"mimeType": "application/pdf", "data": "AA==", "displayName": "a.pdf"}},
            Media(kind="document", data="AA==", media_type="application/pdf", name="a.pdf"),
        ),
        ({"executableCode": {"code": "1"}}, Opaque("gemini", {"executableCode": {"code": "1"}})),
    ],
)
def test_parts(part: dict[str, Any], block: Any) -> None:
    found = request(contents=[content(part)])
    assert found.messages[0].content == (block,)
    assert sent(found)["contents"][0]["parts"] == [part]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ({"text": "x", "thought": True, "thoughtSignature": foreign("other")}, Thinking("x", "other")),
        ({"text": "", "thought": True, "thoughtSignature": foreign("redacted:abc")}, Thinking(redacted="abc")),
    ],
)
def test_what_others_sealed_is_theirs(part: dict[str, Any], block: Any) -> None:
    found = request(contents=[content({"text": "a"}, part)])
    assert found.messages[0].content == (Text("a"), block)
    encoded = WIRE.encode_request(found, {})
    assert encoded.body["contents"][0]["parts"] == [{"text": "a"}]
    assert encoded.dropped == ("contents[0].content[1]",)


def test_roles_and_forms_of_a_content() -> None:
    found = request(contents=[{"parts": {"text": "a"}}, {"role": "function", "parts": []}, {"role": "model"}])
    assert [(message.role, message.content) for message in found.messages] == [
        ("user", (Text("a"),)),
        ("user", ()),
        ("assistant", ()),
    ]
    assert request(systemInstruction="words").messages[0].content == (Text("words"),)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"contents": []}, "contents"),
        ({"contents": [1]}, "contents[0]"),
        ({"contents": [{"role": "system", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"parts": "x"}]}, "contents[0].parts"),
        ({"contents": [HI, {"parts": [{"text": 1}]}]}, "contents[1].parts[0].text"),
        ({"contents": [{"parts": [{"functionCall": {"args": {}}}]}]}, "contents[0].parts[0].functionCall.name"),
        ({"contents": [{"parts": [{"inlineData": {}}]}]}, "contents[0].parts[0].inlineData.data"),
        ({"systemInstruction": {"parts": [1]}}, "systemInstruction.parts[0]"),
        ({"generationConfig": {"temperature": "warm"}}, "generationConfig.temperature"),
        ({"generationConfig": {"topK": 1.5}}, "generationConfig.topK"),
        ({"generationConfig": {"stopSequences": ["a", 1]}}, "generationConfig.stopSequences[1]"),
        ({"tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, "toolConfig.functionCallingConfig.mode"),
    ],
)
def test_refusals_name_the_field(members: dict[str, Any], param: str) -> None:
    assert refused(**members).param == param


def test_deep_nesting_is_refused() -> None:
    deep: Any = "x"
    for _ in range(20_000):
        deep = [deep]
    assert "nested" in refused(newThing=deep).message


def test_the_path_says_whether_a_stream_is_wanted() -> None:
    assert request(stream=True).stream is True
    assert request().stream is False
    assert "stream" not in sent(request(stream=True))


def test_counting() -> None:
    assert WIRE.count is not None
    seen: list[Message] = []

    def measure(found: Any) -> int:
        seen.extend(found.messages)
        return 7

    inner = {"model": "models/other", "contents": [HI], "system_instruction": {"parts": [{"text": "s"}]}}
    assert WIRE.count({"contents": [HI]}, measure) == b'{"totalTokens":7}'
    assert WIRE.count({"generateContentRequest": inner}, measure) == b'{"totalTokens":7}'
    assert [message.role for message in seen] == ["user", "system", "user"]


def test_a_thought_streamed_in_pieces_gets_back_the_signature_that_others_gave_it() -> None:
    pieces = [{"text": "Let me", "thought": True}, {"text": " think", "thought": True}]
    seal = {"text": "", "thought": True, "thoughtSignature": foreign("ANT+/==")}
    call = {"functionCall": {"id": "t1", "name": "f", "args": {}}}
    parts: list[Any] = [{"text": "said"}, *pieces, seal, *pieces, call]
    found = request(contents=[{"role": "model", "parts": parts}]).messages[0].content
    assert found[:2] == (Text("said"), Thinking("Let me think", "ANT+/=="))
    assert [type(block) for block in found[2:]] == [Thinking, Thinking, ToolCall]


def test_gemini_own_signature_closes_no_thought_before_it() -> None:
    parts = [{"text": "a", "thought": True}, {"text": "", "thought": True, "thoughtSignature": SIGNATURE}]
    found = request(contents=[{"role": "model", "parts": parts}]).messages[0].content
    assert found == (Thinking("a"), Thinking("", sealed(SIGNATURE)))


def test_a_seal_that_comes_after_other_parts_closes_the_thought_before_them() -> None:
    parts = [
        {"text": "h", "thought": True},
        {"text": "m", "thought": True},
        {"text": "Hel"},
        {"text": "", "thought": True, "thoughtSignature": foreign("EqQ=")},
        {"text": "lo"},
    ]
    found = request(contents=[HI, {"role": "model", "parts": parts}])
    assert found.messages[1].content == (Thinking("hm", "EqQ="), Text("Hel"), Text("lo"))
