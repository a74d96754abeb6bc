"""Responses and the chains they form: what is asked of an open Link. Everything is found by its owner only.

A *thread* is a response and all that follow from it; it is removed as a whole, once its newest response is old.
"""

from types import SimpleNamespace
from typing import Any, Final

import msgspec

from parley.failure import Failure, ParleyError, invalid
from parley.ports import Kept, Recalled
from parley.store import conversations
from parley.store.conversations import MAX_HISTORY_BYTES, too_long
from parley.store.items import (
    REFERENCE,
    Cut,
    Item,
    changed,
    identified,
    joined,
    kind_of,
    member,
    not_found,
    output_of,
    own_id,
    scrubbed,
    texts,
    truth,
)
from parley.store.port import Link

MAX_CHAIN: Final = 1000
# Threads, and conversations, that are removed in one transaction.
SWEPT: Final = 500
UNDER_WAY: Final = ("queued", "in_progress")
FOREIGN: Final = "another_owners"
_SETTLED: Final = ("completed", "incomplete", "")
_COLUMNS: Final = (
    "owner", "id", "thread", "previous", "conversation", "heard", "model", "provider", "native", "created", "stored",
    "background", "status", "alive", "input", "body",
)  # fmt: skip
_NEW: Final = (
    f"INSERT INTO responses ({', '.join(_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in _COLUMNS)})"  # noqa: S608
    " ON CONFLICT (owner, id) DO NOTHING"
)
STOPPED: Final = {"code": "server_error", "message": "the gateway was stopped while this response was made"}


class Found(msgspec.Struct, frozen=True):
    """A stored response."""

    id: str
    previous: str | None
    conversation: str | None
    heard: int
    provider: str
    native: bool
    background: bool
    status: str
    input: bytes
    body: bytes

    def said(self) -> list[Item]:
        """Its input and output."""
        return [*self.asked(), *identified(output_of(self.body), f"{self.id}:output")]

    def asked(self) -> list[Item]:
        """Its own input."""
        return identified(texts(self.input), f"{self.id}:input")


def names(kept: Kept) -> tuple[str, ...]:
    """What a response is about: itself and what it goes on from."""
    return tuple(name for name in (kept.id, kept.previous, kept.conversation) if name)


def keep(link: Link, kept: Kept, now: float) -> None:
    """Remember a response; one of the same id is replaced. A finished one goes on in its conversation. Done once,
    however often it is called with the same ``now``."""
    body = scrubbed(kept.response)
    heard = conversations.last_position(link, kept.owner, kept.conversation) if kept.conversation else 0
    given = _concrete(link, kept)
    row: dict[str, Any] = {
        "owner": kept.owner,
        "id": kept.id,
        "thread": _thread(link, kept),
        "previous": kept.previous,
        "conversation": kept.conversation,
        "heard": heard,
        "model": kept.model,
        "provider": kept.provider,
        "native": kept.native,
        "created": kept.created,
        "stored": now,
        "background": truth(body, "background"),
        "status": member(body, "status"),
        "alive": now,
        "input": given,
        "body": body,
    }
    # Nearly always it is new, and then little has to be asked.
    if not link.run(_NEW, **row):
        known = link.one("SELECT stored, body FROM responses WHERE owner = :owner AND id = :id", **_key(kept))
        if known is not None and known.stored == now and bytes(known.body) == body:
            return
        link.run("DELETE FROM responses WHERE owner = :owner AND id = :id", **_key(kept))
        link.run("DELETE FROM response_items WHERE owner = :owner AND response = :id", **_key(kept))
        link.run(_NEW, **row)
    _settled(link, kept.owner, _found(kept.id, SimpleNamespace(**row)), now)


def _key(kept: Kept) -> dict[str, str]:
    return {"owner": kept.owner, "id": kept.id}


def _concrete(link: Link, kept: Kept) -> bytes:
    """The input without references; they stay where only the provider knows what they name."""
    try:
        return resolve(link, kept.input, kept.owner)
    except ParleyError:
        return kept.input


def _thread(link: Link, kept: Kept) -> str:
    if kept.previous is None:
        return kept.id
    row = link.one("SELECT thread FROM responses WHERE owner = :owner AND id = :id", owner=kept.owner, id=kept.previous)
    return kept.id if row is None else str(row[0])


def settle(link: Link, owner: str, id: str, now: float) -> None:
    """Make a response's items findable; once it is finished they go on in its conversation."""
    link.run("DELETE FROM response_items WHERE owner = :owner AND response = :id", owner=owner, id=id)
    _settled(link, owner, fetch(link, owner, id), now)


def _settled(link: Link, owner: str, found: Found, now: float) -> None:
    output = [*identified(output_of(found.body), f"{found.id}:output")]
    _index(link, owner, found.id, found.asked(), output=False)
    _index(link, owner, found.id, output, output=True)
    if found.conversation and found.status in _SETTLED:
        conversations.carry_on(link, owner, found.conversation, [body for _, body in found.said()], now)


def _index(link: Link, owner: str, id: str, items: list[Item], *, output: bool) -> None:
    rows = [
        {"owner": owner, "id": name, "response": id, "output": output, "place": place}
        for place, (name, body) in enumerate(items)
        if kind_of(body) != REFERENCE
    ]
    link.many(
        "INSERT INTO response_items (owner, id, response, output, place) VALUES (:owner, :id, :response, :output,"
        " :place) ON CONFLICT (owner, id) DO UPDATE SET response = excluded.response, output = excluded.output,"
        " place = excluded.place",
        rows,
    )


def look(link: Link, owner: str, id: str) -> Found | None:
    """A response as it is stored."""
    row = link.one(
        "SELECT previous, conversation, heard, provider, native, background, status, input, body"
        " FROM responses WHERE owner = :owner AND id = :id",
        owner=owner,
        id=id,
    )
    return None if row is None else _found(id, row)


def _found(id: str, row: Any) -> Found:
    return Found(
        id=id,
        previous=row.previous,
        conversation=row.conversation,
        heard=row.heard,
        provider=row.provider,
        native=bool(row.native),
        background=bool(row.background),
        status=row.status,
        input=bytes(row.input),
        body=bytes(row.body),
    )


def fetch(link: Link, owner: str, id: str) -> Found:
    """The same; raises a 404 where there is none."""
    found = look(link, owner, id)
    if found is None:
        raise not_found("Response", id)
    return found


def remove(link: Link, owner: str, id: str) -> None:
    """Delete a response. Raises a 404."""
    if not link.run("DELETE FROM responses WHERE owner = :owner AND id = :id", owner=owner, id=id):
        raise not_found("Response", id)


def recall(link: Link, response_id: str | None, conversation: str | None, owner: str) -> Recalled:
    """What came before a request. Raises a 400, for an unknown conversation a 404."""
    if response_id is not None and conversation is not None:
        raise invalid("previous_response_id and conversation cannot be used together", "previous_response_id")
    if conversation is not None:
        _known(link, owner, conversation)
        return Recalled(joined(body for _, body in conversations.said(link, owner, conversation)))
    if response_id is None:
        return Recalled()
    found = look(link, owner, response_id)
    if found is None:
        raise no_previous(response_id, detail=_elsewhere(link, response_id))
    if found.status in UNDER_WAY:
        message = f"Previous response with id '{response_id[:200]}' is still {found.status}."
        raise invalid(message, "previous_response_id")
    items = chain(link, owner, response_id)
    return Recalled(joined(body for _, body in items), found.provider, found.native)


def _elsewhere(link: Link, id: str) -> str:
    """Tells a response of another owner from one that nobody made here: no provider may be asked for it."""
    row = link.one("SELECT 1 FROM responses WHERE id = :id", id=id)
    return "" if row is None else FOREIGN


def _known(link: Link, owner: str, conversation: str) -> None:
    try:
        conversations.fetch(link, owner, conversation)
    except ParleyError as error:
        raise ParleyError(msgspec.structs.replace(error.failure, param="conversation")) from None


def chain(link: Link, owner: str, id: str | None) -> list[Item]:
    """Everything said up to and with a response, oldest first. Raises a 400: too long, or a part is missing."""
    turns: list[list[Item]] = []
    size, at = 0, id
    while at is not None:
        found = look(link, owner, at)
        if found is None:
            raise no_previous(at)
        turns.append(found.said())
        size += sum(len(body) for _, body in turns[-1])
        if found.conversation:
            turns.append(conversations.said(link, owner, found.conversation, found.heard))
            size += sum(len(body) for _, body in turns[-1])
        if size > MAX_HISTORY_BYTES or len(turns) > MAX_CHAIN:
            raise too_long("previous_response_id")
        at = None if found.conversation else found.previous
    return [item for turn in reversed(turns) for item in turn]


def input_items(link: Link, owner: str, id: str, cut: Cut) -> dict[str, Any]:
    """A page of all that a response was made from: what came before and its own input."""
    found = fetch(link, owner, id)
    if found.conversation:
        before = conversations.said(link, owner, found.conversation, found.heard)
    else:
        before = chain(link, owner, found.previous)
    return cut.of([*before, *found.asked()])


def resolve(link: Link, items: bytes, owner: str) -> bytes:
    """The items with references replaced by what they name. Raises a 404 naming the reference."""
    return joined(resolved(link, texts(items), owner, "input"))


def resolved(link: Link, items: list[bytes], owner: str, where: str) -> list[bytes]:
    """The same for texts of items; ``where`` is the field they came in."""
    return [
        _named(link, owner, own_id(body), f"{where}[{place}].id") if kind_of(body) == REFERENCE else body
        for place, body in enumerate(items)
    ]


def _named(link: Link, owner: str, id: str, param: str) -> bytes:
    row = link.one(
        "SELECT response, output, place FROM response_items WHERE owner = :owner AND id = :id", owner=owner, id=id
    )
    if row is not None:
        found = fetch(link, owner, row[0])
        items = output_of(found.body) if row.output else texts(found.input)
        return items[int(row.place)]
    row = link.one(
        "SELECT body FROM conversation_items WHERE owner = :owner AND id = :id ORDER BY position DESC",
        owner=owner,
        id=id,
    )
    if row is None:
        failure = Failure("invalid_request", f"Item with id '{id[:200]}' not found.", status=404)
        raise ParleyError(msgspec.structs.replace(failure, param=param))
    return bytes(row[0])


def no_previous(id: str, detail: str = "") -> ParleyError:
    """The previous response is not here; clients look at the code."""
    return ParleyError(
        Failure(
            "invalid_request",
            f"Previous response with id '{id[:200]}' not found.",
            param="previous_response_id",
            detail=detail,
            upstream_code="previous_response_not_found",
        )
    )


def cancel(link: Link, owner: str, id: str, now: float) -> bytes:
    """Stop a background response; one that is over stays what it is. Raises a 400 for one that was not."""
    found = fetch(link, owner, id)
    if not found.background:
        raise invalid("Cannot cancel a synchronous response.", "response_id")
    if found.status not in UNDER_WAY:
        return found.body
    body = changed(found.body, status="cancelled")
    _write(link, owner, id, "cancelled", body, now)
    return body


def progress(link: Link, owner: str, id: str, body: bytes, now: float) -> bool:
    """Write down how far a background response is; False where it was cancelled or deleted."""
    body, status = scrubbed(body), member(body, "status")
    if not _write(link, owner, id, status, body, now):
        return False
    if status not in UNDER_WAY:
        settle(link, owner, id, now)
    return True


def _write(link: Link, owner: str, id: str, status: str, body: bytes, now: float) -> bool:
    changes = link.run(
        "UPDATE responses SET status = :status, body = :body, alive = :now, stored = :now"
        " WHERE owner = :owner AND id = :id AND status IN ('queued', 'in_progress')",
        owner=owner,
        id=id,
        status=status,
        body=body,
        now=now,
    )
    return changes > 0


def beat(link: Link, keys: list[tuple[str, str]], now: float) -> list[tuple[str, str]]:
    """Say that these are still being made; those that need not be any more."""
    statement = (
        "UPDATE responses SET alive = :now WHERE owner = :owner AND id = :id AND status IN ('queued', 'in_progress')"
    )
    return [key for key in keys if not link.run(statement, owner=key[0], id=key[1], now=now)]


def under_way(link: Link) -> list[tuple[str, str, float]]:
    """Owner, id and last sign of life of every response that is being made, here or elsewhere."""
    rows = link.rows("SELECT owner, id, alive FROM responses WHERE status IN ('queued', 'in_progress')")
    return [(row.owner, row.id, float(row.alive)) for row in rows]


def bury(link: Link, owner: str, id: str, alive: float, now: float) -> bool:
    """It has failed, unless its maker has said something since ``alive``."""
    found = look(link, owner, id)
    if found is None:
        return False
    changes = link.run(
        "UPDATE responses SET status = 'failed', body = :body, stored = :now"
        " WHERE owner = :owner AND id = :id AND alive = :alive AND status IN ('queued', 'in_progress')",
        owner=owner,
        id=id,
        alive=alive,
        body=changed(found.body, status="failed", error=STOPPED),
        now=now,
    )
    return changes > 0


def sweep(link: Link, before: float) -> bool:
    """Remove threads and conversations that nobody has used since; False where some are left for the next time."""
    gone = link.run(
        "DELETE FROM responses WHERE (owner, thread) IN (SELECT owner, thread FROM responses"
        " GROUP BY owner, thread HAVING max(stored) < :before LIMIT :most)",
        before=before,
        most=SWEPT,
    )
    gone += link.run(
        "DELETE FROM conversations WHERE (owner, id) IN"
        " (SELECT owner, id FROM conversations WHERE touched < :before LIMIT :most)",
        before=before,
        most=SWEPT,
    )
    return gone < SWEPT
