"""The door: which targets, hosts, origins, lengths and heads may come in at all."""

import pytest

from parley.serve import edge
from parley.serve.edge import Door, Refusal
from parley.settings import Settings

LOOPBACK = Settings()
PUBLIC = Settings(public=True)
NAMED = Settings(public=True, hosts=("Api.Example.com",))


def head(settings: Settings, *, twice: bool = False, version: str = "1.1", **noted: bytes) -> Refusal | None:
    return Door(settings).head(version, {name.encode(): value for name, value in noted.items()}, twice=twice)


@pytest.mark.parametrize(
    "host",
    [
        b"localhost", b"LOCALHOST:4242", b"a.localhost", b"127.0.0.1", b"127.0.0.1:1", b"[::1]:4242", b"10.1.2.3:80",
        b"[fe80::1]",
    ],
)  # fmt: skip
@pytest.mark.parametrize("settings", [LOOPBACK, PUBLIC, NAMED])
def test_loopback_names_and_plain_addresses_are_always_ours(settings: Settings, host: bytes) -> None:
    assert head(settings, host=host) is None


@pytest.mark.parametrize(
    ("settings", "host", "status"),
    [
        # Otherwise a name that an attacker points at this machine would reach it from a browser.
        (LOOPBACK, b"evil.example", 421),
        (LOOPBACK, b"localhost.evil.example", 421),
        (LOOPBACK, b"notlocalhost", 421),
        (LOOPBACK, b"127.0.0.1.evil.example", 421),
        (PUBLIC, b"any.example:443", None),
        (NAMED, b"api.example.com", None),
        (NAMED, b"API.example.COM:8443", None),
        (NAMED, b"other.example.com", 421),
        (NAMED, b"api.example.com.evil.example", 421),
        (NAMED, b"sub.api.example.com", 421),
    ],
)
def test_names_that_are_served(settings: Settings, host: bytes, status: int | None) -> None:
    found = head(settings, host=host)
    assert (found and found.status) == status


@pytest.mark.parametrize(
    "host",
    [
        b"", b" ", b"a b", b"a/b", b"a@b", b"a:b", b"a:123456", b"a:", b"[::1", b"::1", b"a,b", b"-a", b".a", b"a\x00",
        b"\xe9", b"a" * 300, b"http://a",
    ],
)  # fmt: skip
@pytest.mark.parametrize("settings", [LOOPBACK, PUBLIC])
def test_a_host_that_is_none_is_refused(settings: Settings, host: bytes) -> None:
    found = head(settings, host=host)
    assert found is not None
    assert (found.status, found.reason) == (400, "bad_host")


def test_exactly_one_host() -> None:
    for settings in (LOOPBACK, PUBLIC):
        for found in (head(settings), head(settings, host=b"localhost", twice=True), head(settings, twice=True)):
            assert found is not None
            assert found.status == 400
        assert head(settings, version="1.0") is None
        assert head(settings, version="1.0", host=b"localhost") is None
        assert head(settings, version="1.0", twice=True) is not None


@pytest.mark.parametrize(
    ("origin", "host", "passes"),
    [
        (b"http://127.0.0.1:4242", b"127.0.0.1:4242", True),
        (b"https://LOCALHOST:4242", b"localhost:4242", True),
        (b"http://[::1]:4242", b"[::1]:4242", True),
        (b"http://localhost:4242", b"127.0.0.1:4242", False),
        (b"http://127.0.0.1:4243", b"127.0.0.1:4242", False),
        (b"http://127.0.0.1", b"127.0.0.1:4242", False),
        (b"https://evil.example", b"127.0.0.1:4242", False),
        (b"null", b"127.0.0.1:4242", False),
        (b"", b"127.0.0.1:4242", False),
        (b"http://127.0.0.1:4242/", b"127.0.0.1:4242", False),
        (b"http://127.0.0.1:4242@evil.example", b"127.0.0.1:4242", False),
    ],
)
def test_only_pages_of_our_own_address_may_ask(origin: bytes, host: bytes, passes: bool) -> None:
    found = head(LOOPBACK, host=host, origin=origin)
    assert (found is None) == passes
    assert found is None or (found.status, found.reason) == (403, "origin")


def test_a_remembered_host_is_still_looked_at_for_its_origin() -> None:
    door = Door(PUBLIC)
    for number in range(600):
        assert door.head("1.1", {b"host": b"h%d.example" % number}, twice=False) is None
    known = {b"host": b"h1.example", b"origin": b"https://evil.example"}
    found = door.head("1.1", known, twice=False)
    assert found is not None
    assert found.reason == "origin"


@pytest.mark.parametrize(
    "target",
    [
        b"/", b"/v1/chat/completions", b"/v1/models/a%2Fb", b"/v1/models/a:b@1+2~3", b"/a?x=1&y=%2F..//",
        b"/a.b/..c/...", b"/v1/models/%E2%82%AC", b"/a?", b"/a?q=';",
    ],
)  # fmt: skip
def test_targets_that_mean_one_thing(target: bytes) -> None:
    assert edge.path_refusal(target) is None


@pytest.mark.parametrize(
    "target",
    [
        b"", b"*", b"a", b"http://host/a", b"//a", b"/a//b", b"/./a", b"/a/.", b"/a/..", b"/a/../b", b"/a/%2e%2e/b",
        b"/a/%2E/b", b"/a%00b", b"/a%0d%0ab", b"/a%7f", b"/a%5cb", b"/a\\b", b"/a;b=1", b"/a%3bb", b"/a%252fb", b"/a%",
        b"/a%2", b"/a%zz", b"/a b", b"/a\x00", b"/a\xe9", b"/a#b", b"/a?b c", b"/a?\x00", b"/a?<", b'/a?"',
        b"/a<b", b"/a|b", b"/{a}",
    ],
)  # fmt: skip
def test_targets_that_mean_two(target: bytes) -> None:
    found = edge.path_refusal(target)
    assert found is not None
    assert (found.status, found.reason) == (400, "bad_path")


def test_the_size_of_a_head_is_what_was_written() -> None:
    headers = [(b"host", b"a"), (b"x-long", b"y" * 100)]
    written = b"/path?x=1" + b"".join(b"%b: %b\r\n" % pair for pair in headers)
    assert edge.head_size(b"/path?x=1", headers) == len(written)


@pytest.mark.parametrize("name", sorted(edge.NOTED))
def test_what_is_looked_at_must_not_come_twice(name: bytes) -> None:
    noted, twice = edge.noted_of([(name, b"1"), (b"x-other", b"2"), (b"x-other", b"3")])
    assert (noted, twice) == ({name: b"1"}, False)
    assert edge.noted_of([(name, b"1"), (name, b"1")])[1]


@pytest.mark.parametrize(("length", "refused"), [(None, False), (b"0", False), (b"100", False), (b"101", True)])
def test_a_body_that_announces_itself_as_too_large(length: bytes | None, refused: bool) -> None:
    found = edge.framing_refusal({} if length is None else {b"content-length": length}, "1.1", 100)
    assert (found is not None) == refused
    assert found is None or (found.status, found.failure().kind, found.message) == (
        413,
        "body_too_large",
        "the request body is larger than 100 bytes",
    )


@pytest.mark.parametrize(
    ("refusal", "status", "kind"),
    [
        (edge.BAD_HTTP, 400, "invalid_request"),
        (edge.HEADERS, 431, "invalid_request"),
        (edge.HEADER_TIME, 408, "invalid_request"),
        (edge.BODY_TIME, 408, "invalid_request"),
        (edge.DRAINING, 503, "overloaded"),
        (edge.CONNECTIONS, 503, "overloaded"),
        (edge.INTERNAL, 500, "internal"),
        (edge.too_large(5), 413, "body_too_large"),
    ],
)
def test_a_refusal_is_a_failure_that_any_dialect_can_shape(refusal: Refusal, status: int, kind: str) -> None:
    failure = refusal.failure()
    assert (failure.http_status, failure.kind, failure.detail) == (status, kind, refusal.reason)


@pytest.mark.parametrize(
    ("coding", "version", "refused"),
    [
        (b"chunked", "1.1", False),
        (b"Chunked", "1.1", False),
        (b"chunked", "1.0", True),
        (b"gzip, chunked", "1.1", True),
        (b"identity", "1.1", True),
    ],
)
def test_transfer_codings(coding: bytes, version: str, refused: bool) -> None:
    found = edge.framing_refusal({b"transfer-encoding": coding}, version, 100)
    assert found == (edge.BAD_HTTP if refused else None)


def test_a_head_without_its_offer_of_another_protocol() -> None:
    offer = [(b"upgrade", b"h2c"), (b"http2-settings", b"AAM"), (b"connection", b"Upgrade, HTTP2-Settings")]
    assert edge.without_upgrade([(b"host", b"a"), *offer]) == [(b"host", b"a")]
    closing = [(b"host", b"a"), (b"connection", b"Upgrade, close"), (b"upgrade", b"h2c")]
    assert edge.without_upgrade(closing) == [(b"host", b"a"), (b"connection", b"close")]
