"""Counters by name and labels: values only, rendered elsewhere. Names: fault contract rule 6.

Labels are bounded by the configuration and the tables of kinds, never by what a caller sends.
"""

from parley.failure import Failure
from parley.plan import Lane

# Configurations, and files included by them, that were not taken. Has no labels and is always shown.
REJECTED = "parley_config_rejected_total"
LABELS: dict[str, tuple[str, ...]] = {
    "parley_requests_total": ("dialect", "outcome", "kind"),
    "parley_upstream_errors_total": ("provider", "kind", "phase"),
    "parley_retries_total": ("provider", "reason"),
    "parley_fallbacks_total": ("from", "to"),
    "parley_shed_total": ("reason",),
    "parley_rejected_total": ("reason",),
    "parley_client_aborts_total": ("phase",),
}


class Metrics:
    """Counts of what happened since start, and how many streams are open."""

    __slots__ = ("counts", "streams")

    def __init__(self) -> None:
        self.counts: dict[tuple[str, ...], int] = {}
        self.streams = 0

    def count(self, *key: str) -> None:
        """Add one to the counter ``key[0]`` with the label values that follow."""
        self.counts[key] = self.counts.get(key, 0) + 1

    def count_retry(self, before: Lane, now: Lane, because: Failure) -> None:
        """Another try: at the same target a retry, at another a fallback."""
        if before.target == now.target:
            self.count("parley_retries_total", now.provider.label, because.log_kind)
        else:
            self.count("parley_fallbacks_total", before.target.name, now.target.name)
