"""How much to think, in OpenAI's one word for it.

Reasoning without an effort of its own: disabled is "none", a budget below 4,096 tokens "low", below 16,384
"medium", else "high"; enabled without a budget is "medium"; adaptive without a budget is what happens unasked.
"""

from typing import Final

from parley.ir import Reasoning

_CHEAP: Final = 4096
_MODERATE: Final = 16384


def effort_of(reasoning: Reasoning) -> str | None:
    """The effort that says the same; None where there is nothing to say."""
    if reasoning.effort is not None:
        return reasoning.effort
    if reasoning.mode == "disabled":
        return "none"
    if reasoning.budget is not None:
        return "low" if reasoning.budget < _CHEAP else "medium" if reasoning.budget < _MODERATE else "high"
    return "medium" if reasoning.mode == "enabled" else None
