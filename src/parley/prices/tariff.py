"""The prices of one model."""

from msgspec import Struct

from parley.ir import Usage
from parley.prices.costs import cost_of, estimate_of


class Tariff(Struct, frozen=True, kw_only=True):
    """Picodollars per token, unless said otherwise. None for ``input`` and ``output``: not known; for a part of them:
    as the whole.

    ``cache_write_1h`` is what is written to be kept for an hour, a part of ``cache_write``. ``image`` is per picture
    made, ``request`` per request, ``search`` per search by the provider, ``hour`` per hour of sound, ``character``
    per character of text; None: not charged apart. ``above`` are the tariffs that hold for every token once the input
    is longer than so many, shortest first; ``tiers`` those of other grades of service, by the provider's own word.
    ``source`` says whose prices they are.
    """

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_cached: int | None = None
    audio_output: int | None = None
    image_input: int | None = None
    image_cached: int | None = None
    image_output: int | None = None
    video_input: int | None = None
    image: int | None = None
    request: int | None = None
    search: int | None = None
    hour: int | None = None
    character: int | None = None
    above: tuple[tuple[int, "Tariff"], ...] = ()
    tiers: tuple[tuple[str, "Tariff"], ...] = ()
    source: str = ""

    def cost(self, usage: Usage) -> int | None:
        """What that usage costs, in picodollars; None where something was used that has no price here."""
        return cost_of(self, usage)

    def estimate(self, input_tokens: int, output_tokens: int) -> int:
        """What so many plain tokens cost, in picodollars."""
        return estimate_of(self, input_tokens, output_tokens)

    @property
    def flat(self) -> tuple[int, int, int] | None:
        """What an estimate is made of, for input, output and request; None where that depends on how long they are."""
        return None if self.above else (self.input or 0, self.output or 0, self.request or 0)
