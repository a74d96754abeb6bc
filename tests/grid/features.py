"""The features of the grid: what is wanted of each, what a provider answers then, and what must have come of it."""

from dataclasses import replace

from grid.parts import SIGNATURE, Plan, Seen, Tokens

PARIS = ("call_par1", "get_weather", '{"city": "Paris"}')
UTC = ("call_utc2", "get_time", '{"zone": "UTC"}')
RESULTS = ("18 degrees", "noon")
AFTERWARDS = "After the tools I know: 18 degrees."
ANSWER = '{"answer": 42}'
THOUGHT = "I ought to think first."
STATUSES = (400, 401, 404, 429, 500, 529)

PLANS: dict[str, Plan] = {
    "plain": Plan(),
    "stream": Plan(),
    "system": Plan(),
    "tools": Plan(calls=(PARIS,), stop="tool_use"),
    "parallel-tools": Plan(calls=(PARIS, UTC), stop="tool_use"),
    "tool-round-trip": Plan(calls=(PARIS, UTC), stop="tool_use"),
    "image": Plan(),
    "structured-output": Plan(text=ANSWER),
    "thinking": Plan(thinking=THOUGHT, signature=SIGNATURE),
    "signed-thinking": Plan(thinking=THOUGHT, signature=SIGNATURE, calls=(PARIS,), stop="tool_use"),
    "stop": Plan(),
    "length": Plan(stop="length"),
    "usage": Plan(thinking=THOUGHT, signature=SIGNATURE, tokens=Tokens(31, 17, 8, 5)),
    "cut-stream": Plan(),
}
ERRORS = tuple(f"error-{status}" for status in STATUSES)
FAILING = (*ERRORS, "cut-stream")
SCENARIOS = tuple(name for name in PLANS if name != "cut-stream")
FEATURES = (*SCENARIOS, *FAILING)


def words(fake: str) -> str:
    """What a provider says, unlike every other."""
    return f"These are the words of {fake}, 100 % its own: größer, 東京."


def after(plan: Plan, seen: Seen, fake: str) -> Plan:
    """The answer of a provider; once tools have answered, it has something to say."""
    if seen.results:
        return Plan(text=AFTERWARDS)
    if plan.calls or plan.text:
        return plan
    return replace(plan, text=words(fake))


def slug(feature: str) -> str:
    """A feature as people read it."""
    return feature.replace("-", " ")


# Providers whose thinking is signed.
SIGNED = ("anthropic", "gemini", "bedrock")
