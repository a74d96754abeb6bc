"""The keyring: which key is found in which form, what a wrong one costs, and what a job does with it."""

from typing import Any

import msgspec
import pytest

from gateway.parts import CHAT, MESSAGES, Ear, Stage, inlet_at, only, registration
from parley.failure import ParleyError
from parley.gateway.ended import Ended
from parley.gateway.heads import passed_on
from parley.gateway.keyring import REMEMBERED, SHOWN, Keyring
from parley.keys import Holder, digest_of, key_text
from parley.ports import Headers, Request
from parley.settings import Settings

NOW = 1_000.0
ALICE = key_text("caller", b"a" * 32).encode()
BOB = key_text("caller", b"b" * 32).encode()
GONE = key_text("caller", b"g" * 32).encode()
LATE = key_text("caller", b"l" * 32).encode()


def holder(name: str, **more: Any) -> Holder:
    return Holder(id=f"id-{name}", name=name, **more)


class CountedDigest:
    """How often a key was digested; nothing else is dear."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def __call__(self, shown: bytes) -> bytes:
        self.seen.append(shown)
        return digest_of(shown)


class CountedTable(dict[bytes, Any]):
    """How often it was asked."""

    looks = 0

    def get(self, key: Any, default: Any = None) -> Any:
        self.looks += 1
        return super().get(key, default)


def filled(digest: Any = digest_of) -> Keyring:
    ring = Keyring(lambda: NOW, digest)
    holders = {ALICE: holder("alice"), BOB: holder("bob"), LATE: holder("late", expires=NOW)}
    ring.fill({digest_of(key): one for key, one in holders.items()}, exist=True)
    return ring


def found(ring: Keyring, headers: Headers, target: bytes = b"/v1/models") -> str | None:
    entry = ring.holder(headers, target)
    return None if entry is None else entry.holder.name


def shown(name: bytes, key: bytes) -> Headers:
    return [(b"host", b"h"), (name, key), (b"accept", b"*/*")]


FORMS = [
    *((name, ALICE, b"") for name in sorted(SHOWN)),
    (b"authorization", b"Bearer " + ALICE, b""),
    (b"authorization", b"bearer  " + ALICE, b""),
    (b"accept", b"*/*", b"?key=" + ALICE),
    (b"accept", b"*/*", b"?alt=sse&key=" + ALICE),
    (b"accept", b"*/*", b"?key=%70" + ALICE[1:]),
]


@pytest.mark.parametrize(("name", "value", "query"), FORMS)
def test_a_key_is_found_in_every_form_again_and_again(name: bytes, value: bytes, query: bytes) -> None:
    ring = filled()
    assert [found(ring, shown(name, value), b"/v1/models" + query) for _ in range(3)] == ["alice"] * 3


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_no_header_that_may_carry_a_key_is_passed_on(name: bytes) -> None:
    assert passed_on([(name, ALICE), (b"x-own", b"1")], frozenset()) == b"x-own: 1\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer none"), (b"x-api-key", ALICE)],
        [(b"x-api-key", ALICE), (b"authorization", b"Bearer " + BOB)],
        [(b"authorization", b"Bearer " + LATE), (b"authorization", ALICE)],
    ],
)
def test_the_first_that_holds_counts_every_time(headers: Headers) -> None:
    ring = filled()
    assert [found(ring, headers) for _ in range(3)] == ["alice"] * 3
    assert found(ring, [(b"authorization", b"Bearer " + BOB)]) == "bob"
    assert found(ring, headers) == "alice"


def test_a_header_that_carries_no_key_is_not_looked_at() -> None:
    digest = CountedDigest()
    ring = filled(digest)
    assert found(ring, [(b"x-other", ALICE), (b"cookie", ALICE)]) is None
    assert digest.seen == [b""]


WRONG = {
    "missing": ([], b""),
    "empty": ([(b"authorization", b"")], b""),
    "other": ([(b"x-api-key", b"sk-something")], b""),
    "malformed": ([(b"x-api-key", ALICE[:-1])], b""),
    "wrong checksum": ([(b"authorization", b"Bearer " + ALICE[:-1] + b"_")], b""),
    "longer": ([(b"authorization", b"Bearer " + ALICE + b"0")], b""),
    "revoked or unknown": ([(b"authorization", b"Bearer " + GONE)], b""),
    "expired": ([(b"authorization", b"Bearer " + LATE)], b""),
    "basic": ([(b"authorization", b"Basic " + ALICE)], b""),
    "of the query": ([], b"?key=" + GONE),
    "not ASCII": ([(b"authorization", b"Bearer \xff\xfe")], b""),
}


@pytest.mark.parametrize(("headers", "query"), WRONG.values(), ids=list(WRONG))
def test_every_wrong_form_is_the_same_work(headers: Headers, query: bytes) -> None:
    digest = CountedDigest()
    ring = filled(digest)
    table = ring._table = CountedTable(ring._table)
    for turn in (1, 2, 3):
        assert found(ring, headers, b"/v1/models" + query) is None
        assert (len(digest.seen), table.looks) == (turn, turn)


def test_a_known_key_is_digested_once() -> None:
    digest = CountedDigest()
    ring = filled(digest)
    for _ in range(5):
        assert found(ring, shown(b"authorization", b"Bearer " + ALICE)) == "alice"
    assert digest.seen == [ALICE]


def test_what_is_remembered_is_bounded_and_only_of_known_keys() -> None:
    ring = filled()
    for number in range(REMEMBERED + 10):
        found(ring, shown(b"x-api-key", b"%d" % number))
        found(ring, shown(b"authorization", b"Bearer" + b" " * number + ALICE))
    assert 0 < len(ring._shown) <= REMEMBERED
    assert all(entry.holder.name == "alice" for entry in ring._shown.values())


def test_a_key_that_was_taken_back_is_not_remembered() -> None:
    ring = filled()
    assert found(ring, shown(b"x-api-key", ALICE)) == "alice"
    ring.fill({digest_of(BOB): holder("bob")}, exist=True)
    assert found(ring, shown(b"x-api-key", ALICE)) is None
    assert found(ring, shown(b"x-api-key", BOB)) == "bob"


def test_an_expiry_is_noticed_by_itself() -> None:
    now = [NOW]
    ring = Keyring(lambda: now[0])
    ring.fill({digest_of(ALICE): holder("alice", expires=NOW + 1)}, exist=True)
    assert found(ring, shown(b"x-api-key", ALICE)) == "alice"
    now[0] += 1
    assert found(ring, shown(b"x-api-key", ALICE)) is None


def test_it_closes_with_the_first_key_and_stays_so() -> None:
    ring = Keyring(lambda: NOW)
    assert not ring.closed
    ring.fill({}, exist=False)
    assert not ring.closed
    ring.fill({digest_of(ALICE): holder("alice")}, exist=True)
    assert ring.closed
    ring.fill({}, exist=False)
    assert (ring.closed, ring.lost, found(ring, shown(b"x-api-key", ALICE))) == (True, True, "alice")
    ring.fill({}, exist=True)
    assert (ring.closed, ring.lost, found(ring, shown(b"x-api-key", ALICE))) == (True, False, None)


@pytest.mark.parametrize(
    ("settings", "closed"),
    [
        (Settings(), False),
        (Settings(admin_key="s3cret"), False),
        (Settings(auth_required=True), True),
        (Settings(auth_required=True, public=True), True),
        (Settings(listen=("127.0.0.1:1", "[::1]:1", "localhost:1")), False),
        (Settings(listen=("127.0.0.1:1", "0.0.0.0:1")), True),
        (Settings(listen=("[::]:1",)), True),
        (Settings(listen=("llm.example.org:1",)), True),
        (Settings(listen=("0.0.0.0:1",), public=True), False),
    ],
)
def test_what_the_configuration_asks_for(settings: Settings, closed: bool) -> None:
    ring = Keyring(lambda: NOW)
    ring.configure(settings)
    assert ring.closed is closed
    if settings.admin_key:
        entry = ring.holder(shown(b"x-api-key", b"s3cret"), b"")
        assert entry is not None
        assert (entry.holder.kind, entry.holder.id) == ("admin", "admin")
    assert found(ring, shown(b"x-api-key", b"")) is None


def test_a_changed_configuration_leaves_the_keys_of_the_store() -> None:
    ring = filled()
    ring.configure(Settings(admin_key="one"))
    ring.configure(Settings(admin_key="two"))
    assert [found(ring, shown(b"api-key", key)) for key in (b"one", b"two", ALICE)] == [None, "auth.admin_key", "alice"]
    assert ring.closed


def test_which_keys_were_used_is_told_once() -> None:
    ring = filled()
    ring.configure(Settings(admin_key="root"))
    for key in (ALICE, LATE, b"root", GONE):
        found(ring, shown(b"api-key", key))
    ring.fill({digest_of(ALICE): holder("alice"), digest_of(BOB): holder("bob")}, exist=True)
    assert ring.used() == ["id-alice"]
    assert ring.used() == []


def test_a_store_that_was_never_read_lets_in_only_the_configured_key() -> None:
    ring = Keyring(lambda: NOW)
    ring.configure(Settings(admin_key="root"))
    ring.missing()
    request = Request(shown(b"api-key", ALICE), b"", "r")
    with pytest.raises(ParleyError) as caught:
        ring.admit(inlet_at(CHAT), request)
    assert (caught.value.failure.kind, caught.value.failure.retry_after) == ("overloaded", 1.0)
    assert ring.admit(inlet_at(CHAT), Request(shown(b"api-key", b"root"), b"", "r")).holder.kind == "admin"
    ring.fill({digest_of(ALICE): holder("alice")}, exist=True)
    assert ring.admit(inlet_at(CHAT), request).holder.name == "alice"


# Jobs


def guarded(**more: Any) -> Stage:
    stage = Stage(registration("fast", "a/m-1"), registration("slow", "a/m-2"))
    stage.gateway.keyring.fill({digest_of(ALICE): holder("alice", **more)}, exist=True)
    return stage


def with_key(key: bytes = ALICE) -> Headers:
    return [(b"authorization", b"Bearer " + key)]


def test_a_job_with_a_key_runs_and_the_key_stays_here() -> None:
    stage = guarded(models=("fa*",))
    job, ear = stage.ask("fast", headers=with_key())
    stage.sent[0].whole()
    assert ear.status == 200
    assert job.owner == "id-alice"
    assert ALICE not in stage.sent[0].call.head
    assert ALICE.decode() not in str(stage.records)
    stage.quiet()


@pytest.mark.parametrize(("path", "kind"), [(CHAT, "invalid_request_error"), (MESSAGES, "authentication_error")])
def test_without_one_it_is_refused_in_the_callers_dialect(path: bytes, kind: str) -> None:
    heard = []
    for headers, _ in (*WRONG.values(), (with_key(GONE), b"")):
        stage = guarded()
        _, ear = stage.ask_raw(b"not even JSON", path, headers)
        assert ear.status == 401
        assert ear.error["type"] == kind
        assert ear.lines[b"www-authenticate"] == b"Bearer"
        assert stage.sent == []
        assert (only(stage)["kind"], only(stage)["status"]) == ("unauthorized", 401)
        assert stage.counts == {
            ("parley_requests_total", only(stage)["dialect"], "error", "unauthorized"): 1,
            ("parley_rejected_total", "auth"): 1,
        }
        heard.append(ear.text)
        stage.quiet()
    assert len(set(heard)) == 1
    assert b'"unauthorized"' in heard[0]


@pytest.mark.parametrize("model", ["slow", "nothing of that name", "a/m-1"])
def test_another_model_is_forbidden_whether_it_exists_or_not(model: str) -> None:
    stage = guarded(models=("fast",))
    _, ear = stage.ask(model, headers=with_key())
    assert (ear.status, ear.error["code"], ear.error["param"]) == (403, "forbidden", "model")
    assert stage.sent == []
    stage.quiet()


def test_what_there_is_besides_is_not_told() -> None:
    stage = guarded(models=("fast", "missing"))
    _, ear = stage.ask("missing", headers=with_key())
    assert (ear.status, ear.error["code"]) == (404, "model_not_found")
    assert "fast" in ear.error["message"]
    assert "slow" not in ear.error["message"]


class Books:
    """What an observer hears."""

    def __init__(self) -> None:
        self.all: list[Ended] = []

    def ended(self, job: Any, ended: Ended) -> None:
        self.all.append(ended)


@pytest.mark.parametrize(
    ("policy", "path", "source", "status"),
    [
        ({"dialects": ("openai",)}, CHAT, "", 200),
        ({"dialects": ("openai",)}, MESSAGES, "", 403),
        ({"sources": ("10.0.0.0/8",)}, CHAT, "10.0.0.1", 200),
        ({"sources": ("10.0.0.0/8",)}, CHAT, "192.0.2.1", 403),
        ({"sources": ("10.0.0.0/8",)}, CHAT, "", 403),
    ],
)
def test_a_key_for_some_dialects_or_sources(policy: Any, path: bytes, source: str, status: int) -> None:
    stage, ear, books = guarded(**policy), Ear(), Books()
    stage.gateway.observers = (books,)
    body = msgspec.json.encode({"model": "fast", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
    stage.gateway.begin(inlet_at(path), Request(with_key(), body, "req-1", path, source), ear)
    for sent in stage.sent:
        sent.whole()
    assert ear.status == status
    assert status == 200 or ear.error["code"] == "forbidden"
    # Whose key it was is known in either case.
    assert [ended.key is not None and ended.key.name for ended in books.all] == ["alice"]


def test_nobody_is_asked_while_there_is_no_key() -> None:
    stage = Stage()
    job, _ = stage.ask(headers=with_key(GONE))
    assert len(stage.sent) == 1
    assert (job.key, job.owner) == (None, "")
