"""What is of another type than Caila's is refused by its place; what nobody here knows is not looked at."""

import pytest
from msgspec import Raw

from parley.failure import ParleyError
from parley.wire.caila.typed import judge


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("messages", '"x"', "messages"),
        ("messages", "[5]", "messages[0]"),
        ("messages", '[{"role":"user","content":5}]', "messages[0].content"),
        ("messages", '[{"role":"user","content":"x"},{"role":"nobody","content":"x"}]', "messages[1].role"),
        ("messages", '[{"role":"user","content":[{"text":"x"}]}]', "messages[0].content[0]"),
        ("messages", '[{"role":"user","content":[{"type":"text","text":5}]}]', "messages[0].content[0].text"),
        (
            "messages",
            '[{"role":"user","content":[{"type":"image_url","image_url":"u"}]}]',
            "messages[0].content[0].image_url",
        ),
        ("messages", '[{"role":"assistant","tool_calls":{}}]', "messages[0].tool_calls"),
        (
            "messages",
            '[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{}}}]}]',
            "messages[0].tool_calls[0].function.arguments",
        ),
        ("tools", "{}", "tools"),
        ("tools", '[{"type":"function","function":{"description":"d"}}]', "tools[0].function"),
        ("tool_choice", "5", "tool_choice"),
        ("logprobs", "1", "logprobs"),
        ("top_logprobs", '"2"', "top_logprobs"),
        ("max_tokens", '"many"', "max_tokens"),
        ("temperature", "[]", "temperature"),
    ],
)
def test_the_place_of_what_is_of_another_type(name: str, text: str, place: str) -> None:
    with pytest.raises(ParleyError) as caught:
        judge({name: Raw(text.encode())})
    failure = caught.value.failure
    assert (failure.kind, failure.param) == ("invalid_request", place)
    assert failure.message.startswith(f"{place}: ")
    assert "`" not in failure.message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("messages", "[]"),
        ("messages", '[{"role":"assistant","content":null,"tool_calls":[{"function":{"arguments":"{}"}}],"x":[1]}]'),
        (
            "messages",
            '[{"content":[{"type":"tool_use","id":"a","name":"f","input":{}},{"type":"input_audio","input_audio":1}]}]',
        ),
        ("messages", '[{"role":"developer","content":"x","thinking":"t","name":null}]'),
        ("messages", '[{"role":"user","content":"\\ud800"}]'),
        ("tools", '[{"type":"web_search","filters":{}}, {"type":"function","function":{"name":"f","strict":true}}]'),
        ("tool_choice", '{"type":"function","function":{"name":"f"}}'),
        ("tool_choice", '"AUTO"'),
        ("max_tokens", "5.0"),
        ("temperature", "null"),
        ("something", "{}"),
    ],
)
def test_what_is_left_alone(name: str, text: str) -> None:
    judge({name: Raw(text.encode())})
