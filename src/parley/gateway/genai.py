"""Names of the OpenTelemetry conventions for generative AI, in one place: they are still being developed.

Source: the semantic conventions for generative AI, metrics and spans, as of 2026.
"""

from typing import Final

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
RESPONSE_MODEL: Final = "gen_ai.response.model"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - a name
ERROR: Final = "error.type"

TOKENS: Final = "gen_ai.client.token.usage"
CLIENT_DURATION: Final = "gen_ai.client.operation.duration"
SERVER_DURATION: Final = "gen_ai.server.request.duration"
FIRST_TOKEN: Final = "gen_ai.server.time_to_first_token"  # noqa: S105 - a name
PER_TOKEN: Final = "gen_ai.server.time_per_output_token"  # noqa: S105 - a name

# Upper bounds of the buckets, as the conventions advise: tokens and seconds.
TOKEN_BOUNDS: Final = tuple(4.0**power for power in range(14))
SECOND_BOUNDS: Final = tuple(round(0.01 * 2**power, 2) for power in range(14))
FIRST_BOUNDS: Final = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
PACE_BOUNDS: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)

# Our operations where the conventions have a word of their own; the others keep ours.
_OPERATIONS: Final = {"completions": "text_completion", "responses": "chat"}


def operation(name: str) -> str:
    """The conventions' word for one of our operations."""
    return _OPERATIONS.get(name, name)


def prometheus(name: str, unit: str = "") -> str:
    """How Prometheus spells a metric or an attribute of these conventions."""
    spelled = name.replace(".", "_")
    return f"{spelled}_{unit}" if unit else spelled
