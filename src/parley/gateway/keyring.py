"""Who may come in: every key that is known, in memory, so that no request waits for the store.

Whatever is shown in vain meets the same work and the same answer: one digest, one look into one table. Where the
table comes from: parley.serve.keywatch. Sources: product contract section 5.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import unquote_to_bytes

from parley.failure import Failure, ParleyError
from parley.keys import Holder, digest_of
from parley.ports import Headers, Request
from parley.settings import Settings
from parley.wire.inlets import Inlet

if TYPE_CHECKING:
    from parley.gateway.route import Served
    from parley.gateway.toll import Toll

# Headers that carry a key, names in lower case.
SHOWN: Final = frozenset(
    {b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"mlp-api-key", b"dapr-api-token"}
)
UNAUTHORIZED: Final = Failure("unauthorized", "a valid key is required")
UNKNOWN: Final = Failure(
    "overloaded", "the keys could not be read yet: the store is not available", detail="keys", retry_after=1.0
)
ADMIN_ID: Final = "admin"
DAPR: Final = "dapr"
# Of whoever shows the token of Dapr's own server.
TOKEN_ID: Final = "dapr-api-token"  # noqa: S105 - a name
# Ways in which known keys were written (Bearer KEY, KEY), and names of models that a key asked for.
REMEMBERED: Final = 4096
# Longer ways are not.
LONGEST: Final = 4096
_BEARER: Final = b"bearer "
_QUERY: Final = b"key="


class Entry:
    """A known key. ``used``: since the last time somebody asked; ``peer``: it is another node of the network."""

    __slots__ = ("_asked", "expires", "free", "holder", "peer", "serves", "tolls", "used")

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        self.expires = holder.expires or 0.0
        # Nothing about a request has to be looked at.
        self.free = not (holder.dialects or holder.sources)
        self.used = self.peer = False
        self._asked: set[str] = set()
        # Registrations with its own defaults (parley.gateway.personal).
        self.serves: dict[Served, Served] = {}
        # What its requests have to pass, by operation and model: the gate's.
        self.tolls: dict[tuple[str, str], Toll] = {}

    def asks(self, model: str) -> bool:
        """Whether its holder may ask for that model; what was allowed once is remembered."""
        if model in self._asked:
            return True
        if not self.holder.asks(model):
            return False
        if len(self._asked) >= REMEMBERED:
            self._asked.clear()
        self._asked.add(model)
        return True


class Other(Protocol):
    """Knows callers whose keys are in no table."""

    def holder(self, headers: Headers, shown: list[bytes]) -> Holder | None:
        """Who it is; ``shown`` are the keys that were, without "Bearer". Raises ``overloaded`` while it cannot tell."""


class Keyring:
    """``closed``: nobody comes in without a key. ``wall`` gives seconds since 1970; ``digest`` what a key is
    looked up by."""

    def __init__(self, wall: Callable[[], float], digest: Callable[[bytes], bytes] = digest_of) -> None:
        self.closed = False
        # The dialect that nobody speaks without a key even where others need none.
        self.guarded = ""
        # The store that holds keys could not be read since the start: who may come in is not known.
        self.unread = False
        # The store forgot the keys that it had.
        self.lost = False
        self._wall = wall
        self._digest = digest
        self._table: dict[bytes, Entry] = {}
        self._stored: Mapping[bytes, Holder] = {}
        self._exist = False
        self._required = False
        self._admin = self._token = ""
        self._shown: dict[bytes, Entry] = {}
        self._others: tuple[Other, ...] = ()

    def ask_also(self, others: tuple[Other, ...]) -> None:
        """Who else knows callers; asked once nothing that was shown is in the table."""
        self._others = others
        self._renew()

    def forget(self) -> None:
        """Everybody has to be looked up again."""
        self._shown = {}

    def configure(self, settings: Settings) -> None:
        """What the configuration says: whether a key is required in any case, and its own key."""
        self._required = settings.keys_required
        self._admin = settings.admin_key
        self._token = settings.dapr_token
        self.guarded = DAPR if self._token else ""
        self._renew()

    def fill(self, holders: Mapping[bytes, Holder], *, exist: bool) -> None:
        """What the store holds. Rows of keys never go: a store in which none ``exist`` any more has been lost, and then
        those that were known stay good."""
        self.unread = False
        self.lost = self._exist and not exist
        if not self.lost:
            self._exist = exist
            self._stored = holders
        self._renew()

    @property
    def limited(self) -> bool:
        """Whether any key has limits of its own."""
        return any(holder.limits is not None for holder in self._stored.values())

    def untoll(self) -> None:
        """What was known of limits holds no more."""
        for entry in self._table.values():
            entry.tolls.clear()

    def missing(self) -> None:
        """The store cannot be read, and never could be: until it can, only the configuration's own key is known."""
        self.unread = True
        self._renew()

    def named(self, name: str) -> Entry | None:
        """The key of that name, if there is one that holds."""
        found = (entry for entry in self._table.values() if entry.holder.name == name)
        return next((entry for entry in found if self._lives(entry)), None)

    def lists(self, id: str) -> bool:
        """Whether keys of that id, where there are any, are in the table: those of callers that only others know are
        not."""
        return not self._others or any(entry.holder.id == id for entry in self._table.values())

    def known(self, id: str) -> Entry | None:
        """The key with that id, as long as it holds."""
        found = (entry for entry in self._table.values() if entry.holder.id == id)
        return next((entry for entry in found if self._lives(entry)), None)

    def used(self) -> list[str]:
        """Ids of the stored keys that were used since the last call."""
        found = {entry.holder.id for entry in self._table.values() if entry.used}
        for entry in self._table.values():
            entry.used = False
        return sorted(found - {ADMIN_ID, TOKEN_ID})

    def holder(self, headers: Headers, target: bytes) -> Entry | None:
        """Whose key a request shows; ``target`` is its path with its query. None where it shows none that holds."""
        for name, value in headers:
            if name in SHOWN:
                entry = self._shown.get(value)
                if entry is None:
                    break
                if self._lives(entry):
                    return entry
        return self._search(headers, target)

    def _search(self, headers: Headers, target: bytes) -> Entry | None:
        """The first that holds of all that is shown; nothing at all is looked up like anything else."""
        shown = [value for name, value in headers if name in SHOWN]
        if b"?" in target:
            pairs = target.partition(b"?")[2].split(b"&")
            shown += [unquote_to_bytes(pair[len(_QUERY) :]) for pair in pairs if pair.startswith(_QUERY)]
        for value in shown or (b"",):
            entry = self._look(value)
            if entry is not None and self._lives(entry):
                return entry
        return self._known_elsewhere(headers, shown) if self._others else None

    def _known_elsewhere(self, headers: Headers, shown: list[bytes]) -> Entry | None:
        keys = [_key_of(value) for value in shown]
        for other in self._others:
            holder = other.holder(headers, keys)
            if holder is None:
                continue
            entry = Entry(holder)
            # What was verified once is not verified again while it holds.
            if len(shown) == 1 and holder.expires is not None and len(shown[0]) <= LONGEST:
                self._remember(shown[0], entry)
            return entry if self._lives(entry) else None
        return None

    def admit(self, inlet: Inlet, request: Request) -> Entry:
        """Who sends a request for an inlet. Raises ``unauthorized`` or ``forbidden``."""
        return self.enter(request.headers, request.target, inlet.dialect, request.source)

    def enter(self, headers: Headers, target: bytes, dialect: str, source: str) -> Entry:
        """The same for any request."""
        entry = self.holder(headers, target)
        if entry is None:
            raise ParleyError(UNKNOWN if self.unread else UNAUTHORIZED)
        if not entry.free:
            _limited(entry.holder, dialect, source)
        return entry

    def _look(self, shown: bytes) -> Entry | None:
        entry = self._table.get(self._digest(_key_of(shown)))
        if entry is not None:
            self._remember(shown, entry)
        return entry

    def _remember(self, shown: bytes, entry: Entry) -> None:
        if len(self._shown) >= REMEMBERED:
            self._shown.clear()
        self._shown[shown] = entry

    def _lives(self, entry: Entry) -> bool:
        if entry.expires and entry.expires <= self._wall():
            return False
        entry.used = True
        return True

    def _renew(self) -> None:
        """Everything remembered of the table before is void."""
        used = set(self.used())
        self._shown = {}
        self._table = {digest: Entry(holder) for digest, holder in self._stored.items()}
        for entry in self._table.values():
            entry.used = entry.holder.id in used
        if self._admin:
            holder = Holder(id=ADMIN_ID, name="auth.admin_key", kind="admin")
            self._table[self._digest(self._admin.encode())] = Entry(holder)
        if self._token:
            holder = Holder(id=TOKEN_ID, name="DAPR_API_TOKEN", dialects=(DAPR,))
            self._table.setdefault(self._digest(self._token.encode()), Entry(holder))
        self.closed = self._required or self._exist or self.unread or bool(self._others)


def _key_of(shown: bytes) -> bytes:
    return shown[len(_BEARER) :].strip() if shown[: len(_BEARER)].lower() == _BEARER else shown


def forbidden_model(model: str) -> ParleyError:
    """The key is good, but not for this."""
    return ParleyError(Failure("forbidden", f"this key may not ask for the model {model[:200]!r}", param="model"))


def _limited(holder: Holder, dialect: str, source: str) -> None:
    if not holder.speaks(dialect):
        raise ParleyError(Failure("forbidden", f"this key may not be used with {dialect} requests"))
    if not holder.comes_from(source):
        raise ParleyError(Failure("forbidden", "this key may not be used from this address"))
