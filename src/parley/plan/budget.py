"""How much of the gateway's work may be repetition, so that retries never become the outage."""


class Budget:
    """Retries in flight against requests in flight, over the whole gateway.

    Only a try at a provider that this request has already tried is a retry here: moving to another provider
    puts no further load on the sick one.
    """

    __slots__ = ("_floor", "_share", "active", "retries")

    def __init__(self, share: float, floor: int) -> None:
        self.active = 0
        self.retries = 0
        self._share = share
        self._floor = floor

    @property
    def allows(self) -> bool:
        """Whether one more retry stays within the share of active requests plus the floor."""
        return self.retries + 1 <= self._share * self.active + self._floor
