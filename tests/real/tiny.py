"""What may be asked of the tiny model, in the two wires, and what it is known to answer."""

from typing import Any

HI = "Hello from the tiny test model."
COUNT = "one two three four five six seven eight nine ten eleven twelve"
THOUGHT = "I should greet.\n"
CALL_TEXT = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "integer"}},
    "required": ["answer"],
    "additionalProperties": False,
}
OVERFLOW = "x" * 9000


def _parameters(name: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": "string"}}, "required": [name]}


def openai_tool(name: str, parameter: str) -> dict[str, Any]:
    """A function in OpenAI's form."""
    return {"type": "function", "function": {"name": name, "description": "d", "parameters": _parameters(parameter)}}


def anthropic_tool(name: str, parameter: str) -> dict[str, Any]:
    """A tool in Anthropic's form."""
    return {"name": name, "description": "d", "input_schema": _parameters(parameter)}


OPENAI_ONE = [openai_tool("get_weather", "city")]
OPENAI_TWO = [*OPENAI_ONE, openai_tool("get_time", "zone")]
ANTHROPIC_ONE = [anthropic_tool("get_weather", "city")]
ANTHROPIC_TWO = [*ANTHROPIC_ONE, anthropic_tool("get_time", "zone")]

PARIS = ("get_weather", {"city": "Paris"})
OSLO = ("get_weather", {"city": "Oslo"})
UTC = ("get_time", {"zone": "UTC"})


def user(text: str) -> list[dict[str, Any]]:
    """A conversation of one user message."""
    return [{"role": "user", "content": text}]
