"""What a key says of its own requests: the members that they have where they are silent."""

from typing import Final

from msgspec.structs import replace

from parley.config.members import merged
from parley.gateway.keyring import REMEMBERED, Entry
from parley.gateway.route import Served

# Operations whose members mean the same on all of them; what is fit for a chat is a mistake elsewhere.
TEXTS: Final = frozenset({"chat", "completions", "responses"})


def personal(served: Served, key: Entry, operation: str) -> Served:
    """The same for requests of that key: its defaults come before the registration's, after its overrides."""
    defaults = key.holder.defaults
    if not defaults or operation not in TEXTS:
        return served
    made = key.serves.get(served)
    if made is None:
        if len(key.serves) >= REMEMBERED:
            key.serves.clear()
        registration = served.registration
        made = served.setting(replace(registration, defaults=merged(registration.defaults, defaults)))
        key.serves[served] = made
    return made
