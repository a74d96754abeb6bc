"""Header lines in both directions: what passes, what never does, and that no value makes a new header."""

import pytest

from parley.gateway import heads
from parley.settings import Provider, Target

FREE = frozenset[bytes]()


def provider(**settings: object) -> Provider:
    known = {"name": "p", "type": "any", "wire": "w", "endpoints": ("https://h/v1",), "paths": {"chat": "/chat"}}
    return Provider(**{**known, **settings})  # type: ignore[arg-type]


def lines(block: bytes) -> dict[bytes, bytes]:
    """The lines of a block, which must be whole and each name there once."""
    assert block == b"" or block.endswith(b"\r\n")
    pairs = [tuple(line.split(b": ", 1)) for line in block.split(b"\r\n")[:-1]]
    assert all(len(pair) == 2 for pair in pairs)
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


# --- upward ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"mlp-api-key", b"dapr-api-token", b"cookie",
        b"proxy-authorization",
    ],
)  # fmt: skip
def test_a_callers_credential_never_goes_up(name: bytes) -> None:
    assert heads.passed_on([(name, b"secret"), (b"x-kept", b"1")], FREE) == b"x-kept: 1\r\n"
    assert heads.traced([(name, b"secret")]) == b""


@pytest.mark.parametrize(
    "name",
    [
        b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"proxy-connection",
        b"content-length", b"content-encoding", b"host", b"accept", b"accept-encoding", b"content-type", b"expect",
        b"origin", b"referer", b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip",
        b"x-request-id", b"x-stainless-lang", b"x-parley-target", b"sec-fetch-mode", b"cf-connecting-ip", b"range",
    ],
)  # fmt: skip
def test_what_belongs_to_this_hop_or_to_us_stays_here(name: bytes) -> None:
    assert heads.passed_on([(name, b"x"), (b"x-kept", b"1")], FREE) == b"x-kept: 1\r\n"


def test_every_other_header_goes_up_as_it_came() -> None:
    given = [
        (b"anthropic-version", b"2023-06-01"),
        (b"anthropic-beta", b"one,two"),
        (b"openai-organization", b"org-1"),
        (b"x-whatever", b"  spaced: and \xe9 odd "),
        (b"user-agent", b"me/1"),
        (b"traceparent", b"00-1-2-03"),
    ]
    assert heads.passed_on(given, FREE) == b"".join(b"%b: %b\r\n" % pair for pair in given)


def test_the_operators_header_wins() -> None:
    lane = heads.lane_head(provider(headers=(("OpenAI-Organization", "ours"),)), Target("p", "m"), 0, -1, "chat")
    assert lines(lane.lines) == {b"openai-organization": b"ours"}
    given = [(b"openai-organization", b"theirs"), (b"openai-project", b"theirs")]
    assert heads.passed_on(given, lane.named) == b"openai-project: theirs\r\n"
    assert heads.added([("openai-organization", "needed"), ("anthropic-version", "1")], lane.named) == (
        b"anthropic-version: 1\r\n"
    )


@pytest.mark.parametrize(
    ("settings", "key", "expected"),
    [
        ({"keys": ("k0", "k1")}, 1, {b"authorization": b"Bearer k1"}),
        ({"keys": ("k0",), "auth": "x-api-key"}, 0, {b"x-api-key": b"k0"}),
        ({"keys": ("k0",), "auth": "API-Key"}, 0, {b"api-key": b"k0"}),
        ({"keys": ("k0",), "auth": "none"}, 0, {}),
        ({}, -1, {}),
    ],
)
def test_a_providers_key(settings: dict[str, object], key: int, expected: dict[bytes, bytes]) -> None:
    lane = heads.lane_head(provider(**settings), Target("p", "m"), 0, key, "chat")
    assert lines(lane.lines) == expected
    assert lane.named == expected.keys()


def test_a_key_in_any_header_replaces_the_callers() -> None:
    lane = heads.lane_head(provider(keys=("k",), auth="x-own-key"), Target("p", "m"), 0, 0, "chat")
    assert heads.passed_on([(b"x-own-key", b"theirs")], lane.named) == b""


@pytest.mark.parametrize(
    ("endpoint", "origin", "path"),
    [
        ("https://h/v1", "https://h", b"/v1/chat"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", b"/chat"),
        ("http://[::1]:8080/a/b", "http://[::1]:8080", b"/a/b/chat"),
    ],
)
def test_where_a_request_goes(endpoint: str, origin: str, path: bytes) -> None:
    lane = heads.lane_head(provider(endpoints=("http://other", endpoint)), Target("p", "m"), 1, -1, "chat")
    assert (lane.origin, lane.path) == (origin, path)


@pytest.mark.parametrize(
    "model", ["a/../../b", "a b", "a\r\nx-evil: 1", "a?b=c", "a#b", "%2e%2e/", "\u00e9", "a\x00", "a HTTP/1.1\r\n\r\n"]
)
def test_a_model_in_a_path_is_one_safe_segment(model: str) -> None:
    lane = heads.lane_head(provider(paths={"chat": "/m/{model}/chat"}), Target("p", model), 0, -1, "chat")
    assert lane.path.startswith(b"/v1/m/")
    assert lane.path.endswith(b"/chat")
    segment = lane.path.removeprefix(b"/v1/m/").removesuffix(b"/chat")
    assert not set(segment) & set(b"/?# \r\n\x00")
    assert segment.isascii()


def test_a_translated_request_keeps_only_its_trace() -> None:
    given = [(b"traceparent", b"00-1"), (b"anthropic-beta", b"x"), (b"tracestate", b"a=b"), (b"baggage", b"c=d")]
    assert lines(heads.traced(given)) == {b"traceparent": b"00-1", b"tracestate": b"a=b", b"baggage": b"c=d"}


def test_what_is_sent_and_what_is_wanted() -> None:
    assert lines(heads.asking(events=True) + b"req_1\r\n") == {
        b"content-type": b"application/json",
        b"accept": b"text/event-stream",
        b"x-request-id": b"req_1",
    }
    assert lines(heads.asking(events=False) + b"req_1\r\n")[b"accept"] == b"application/json"


# --- downward ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        b"connection", b"keep-alive", b"transfer-encoding", b"content-length", b"content-encoding", b"content-type",
        b"trailer", b"upgrade", b"proxy-authenticate", b"date", b"server", b"set-cookie", b"alt-svc", b"x-request-id",
        b"x-should-retry", b"via", b"strict-transport-security", b"access-control-allow-origin",
    ],
)  # fmt: skip
def test_what_is_ours_to_say_does_not_come_from_the_provider(name: bytes) -> None:
    assert heads.downward([(name, b"x"), (b"openai-model", b"m")]) == b"openai-model: m\r\n"


def test_what_belongs_to_the_provider_comes_down() -> None:
    given = [(b"openai-processing-ms", b"12"), (b"x-ratelimit-remaining-tokens", b"9"), (b"x-odd", b"a: b")]
    assert heads.downward(given) == b"".join(b"%b: %b\r\n" % pair for pair in given)


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ([(b"content-type", b"Text/Event-Stream; charset=utf-8")], b"text/event-stream; charset=utf-8"),
        ([(b"x", b"y")], b"application/json"),
        ([], b"application/json"),
    ],
)
def test_the_type_of_an_answer(headers: list[tuple[bytes, bytes]], kind: bytes) -> None:
    assert heads.content_type(headers) == kind


NASTY = ["m\r\nx-evil: 1", "m\nx-evil: 1", "m\x00", "m\x7f", "m\u2028", "\u00e9", "m\x85"]


@pytest.mark.parametrize("name", NASTY)
def test_a_name_never_makes_a_new_header(name: str) -> None:
    told = heads.answering(f"p/{name}") + b"1\r\n" + heads.dropped((name, "seed"))
    assert set(lines(told)) == {b"x-parley-target", b"x-parley-attempts", b"x-parley-dropped"}
    assert all(0x20 <= byte < 0x7F for byte in told.replace(b"\r\n", b""))


def test_what_an_answer_says_of_itself() -> None:
    told = heads.identified("req_1") + heads.answering("p/team/m:1") + b"2\r\n" + heads.dropped(("seed", "a[0].b"))
    assert lines(told) == {
        b"x-request-id": b"req_1",
        b"request-id": b"req_1",
        b"x-parley-target": b"p/team/m:1",
        b"x-parley-attempts": b"2",
        b"x-parley-dropped": b"seed, a[0].b",
    }


def test_a_long_name_is_cut() -> None:
    assert len(heads.dropped(("x" * 10_000,))) < 600


def test_an_error_shows_no_credential_of_the_provider() -> None:
    own = (("x-token", "Bearer t-12345678"), ("x-version", "2024-10-21"), ("x-key", "short"))
    known = Provider(
        name="a",
        type="any",
        wire="openai_chat",
        endpoints=("http://a",),
        keys=("sk-12345678", "none"),
        paths={},
        headers=own,
    )
    said = b"sk-12345678 t-12345678 2024-10-21 short none"
    assert heads.covered(said, known) == b"*** *** 2024-10-21 short none"
    assert heads.covered(b"nothing", known) == b"nothing"
