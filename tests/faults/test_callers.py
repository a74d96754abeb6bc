"""Callers that lie, mistake or attack (fault contract section 4, C6-C17), on bare sockets."""

import json
import re
import time
from collections.abc import Iterator

import pytest

from faults import vectors
from faults.raw import Answer, Raw, request
from faults.rig import (
    PAIRS,
    PATHS,
    TRANSLATED,
    Case,
    Told,
    body,
    cases,
    check_clean,
    code_of,
    configuration,
    marks,
    tell,
    unlogged,
)
from faults.speech import words
from fixtures.faults import Faults
from fixtures.parley import Gateway, Start

DIALECTS = ("openai", "anthropic")


@pytest.fixture(scope="module")
def gateway(parley_for_module: Start, faults: Faults) -> Iterator[Gateway]:
    wanted = configuration(faults, cases(["ok"]))
    wanted["limits"] = {"body_time": "1s"}
    running = parley_for_module(wanted)
    yield running
    unlogged(running)


@pytest.fixture
def untouched(faults: Faults) -> Iterator[None]:
    """Nothing may go upstream during this test."""
    before = faults.total()
    yield
    assert faults.total() == before


async def refusal(gateway: Gateway, data: bytes, patience: float = 20) -> Answer:
    """The one answer to ``data`` and whatever is smuggled behind it; then the connection is closed."""
    async with Raw(gateway.port) as raw:
        await raw.send(data + request("/livez", method="GET"))
        answer = await raw.response(patience)
        rest = await raw.rest(patience)
        assert rest == b"", f"more than one answer: {rest[:200]!r}"
        return answer


async def alive(gateway: Gateway) -> None:
    check_clean(await tell(gateway, "openai", "fine-openai/m"), words(8))


# sizes

LIMIT = 10 * 1024 * 1024


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_length_over_the_limit_is_refused_unread(gateway: Gateway, dialect: str) -> None:
    async with Raw(gateway.port) as raw:
        await raw.send(request(PATHS[dialect], b"x" * (LIMIT + 1))[: -LIMIT - 1])
        answer = await raw.response()
        assert (answer.status, code_of(dialect, answer.json)) == (413, "body_too_large")
        await raw.rest()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_chunks_over_the_limit_are_refused_at_the_limit(gateway: Gateway, dialect: str) -> None:
    async with Raw(gateway.port) as raw:
        head = f"POST {PATHS[dialect]} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        await raw.send(head.encode())
        part = b"10000\r\n" + b" " * 65536 + b"\r\n"
        for _ in range(LIMIT // 65536 + 1):
            await raw.send(part)
        answer = await raw.response()
        assert (answer.status, code_of(dialect, answer.json)) == (413, "body_too_large")
        await raw.rest()


async def test_a_body_just_below_the_limit_passes(gateway: Gateway, faults: Faults) -> None:
    text = "x" * (LIMIT - 300)
    told = await tell(gateway, "openai", "fine-openai/m", text=text)
    check_clean(told, words(8))
    assert len(faults.requests("ok~fine-openai")[-1]["body"]) > len(text)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("fields", [b"X-Big: " + b"b" * 200_000 + b"\r\n", b"X-Many: 1\r\n" * 5000])
async def test_too_many_headers_get_431(gateway: Gateway, fields: bytes) -> None:
    answer = await refusal(gateway, vectors.sized(vectors.SIZE, fields))
    assert answer.status == 431
    assert gateway.metric("parley_rejected_total", 'reason="headers"') > 0


# framing


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("vector", vectors.FRAMING | vectors.FIELDS | vectors.LINES)
async def test_what_is_not_http_gets_400_and_the_end(gateway: Gateway, vector: str) -> None:
    data = (vectors.FRAMING | vectors.FIELDS | vectors.LINES)[vector]
    answer = await refusal(gateway, data)
    assert answer.status == 400
    assert answer.get("connection") == "close"


async def test_refused_framing_is_counted(gateway: Gateway) -> None:
    before = gateway.metric("parley_rejected_total", 'reason="bad_http"')
    await refusal(gateway, vectors.FRAMING["length and chunks"])
    assert gateway.metric("parley_rejected_total", 'reason="bad_http"') == before + 1
    await alive(gateway)


@pytest.mark.usefixtures("untouched")
async def test_a_length_larger_than_the_body_waits_and_ends(gateway: Gateway) -> None:
    data = request(PATHS["openai"], body("openai", "fine-openai/m"))
    longer = re.sub(rb"Content-Length: (\d+)", lambda found: b"Content-Length: %d" % (int(found[1]) + 50), data)
    async with Raw(gateway.port) as raw:
        await raw.send(longer)
        answer = await raw.response()
        assert answer.status in (400, 408)
        assert await raw.rest() == b""


@pytest.mark.usefixtures("untouched")
async def test_a_length_smaller_than_the_body_leaks_nothing(gateway: Gateway) -> None:
    data = request(PATHS["openai"], body("openai", "fine-openai/m"))
    shorter = re.sub(rb"Content-Length: (\d+)", lambda found: b"Content-Length: %d" % (int(found[1]) - 30), data)
    async with Raw(gateway.port) as raw:
        await raw.send(shorter + b"\r\n\r\n")
        assert (await raw.response()).status == 400
        rest = await raw.rest()
    assert set(re.findall(rb"HTTP/1.1 (\d+)", rest)) <= {b"400"}


async def test_the_plain_forms_of_the_vectors_are_fine(gateway: Gateway) -> None:
    for data in (vectors.sized(vectors.SIZE), vectors.chunked(vectors.TE), vectors.at(b"/v1/chat/completions?a=b")):
        async with Raw(gateway.port) as raw:
            await raw.send(data)
            assert (await raw.response()).status == 200


async def test_chunks_cut_anywhere_are_one_body(gateway: Gateway, faults: Faults) -> None:
    parts = b"".join(b"1;ext=1\r\n%c\r\n" % byte for byte in vectors.BODY) + b"0\r\nX-Trailer: t\r\n\r\n"
    async with Raw(gateway.port) as raw:
        await raw.send(vectors.chunked(vectors.TE, body=parts))
        assert (await raw.response()).status == 200
    assert json.loads(faults.requests("ok~fine-openai")[-1]["body"])["messages"][0]["content"] == "say it"


# places


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("vector", vectors.HOSTS)
async def test_hosts_that_are_none(gateway: Gateway, vector: str) -> None:
    assert (await refusal(gateway, vectors.HOSTS[vector])).status == 400
    assert gateway.metric("parley_rejected_total", 'reason="bad_host"') > 0


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:4242"])
async def test_a_name_that_is_not_ours(gateway: Gateway, host: str) -> None:
    async with Raw(gateway.port) as raw:
        await raw.send(request(PATHS["openai"], vectors.BODY, host=host))
        assert (await raw.response()).status in (421, 403)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:4242", "[::1]:80", "LOCALHOST:1"])
async def test_names_that_are_ours(gateway: Gateway, host: str) -> None:
    async with Raw(gateway.port) as raw:
        await raw.send(request(PATHS["openai"], vectors.BODY, host=host))
        assert (await raw.response()).status == 200


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("vector", vectors.PATHS)
async def test_paths_are_not_made_to_fit(gateway: Gateway, vector: str) -> None:
    async with Raw(gateway.port) as raw:
        await raw.send(vectors.PATHS[vector])
        assert (await raw.response()).status == 400
    assert gateway.metric("parley_rejected_total", 'reason="bad_path"') > 0


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost.evil.example", "null"])
@pytest.mark.parametrize("path", [*PATHS.values(), "/v1/models"])
async def test_pages_of_other_origins_are_refused(gateway: Gateway, path: str, origin: str) -> None:
    method = "GET" if path.endswith("models") else "POST"
    data = b"" if method == "GET" else vectors.BODY
    async with Raw(gateway.port) as raw:
        await raw.send(request(path, data, method, (("Origin", origin),)))
        answer = await raw.response()
    assert answer.status == 403
    assert not [name for name, _ in answer.headers if name.startswith("access-control-")]


async def test_no_cors_by_default(gateway: Gateway) -> None:
    told = await tell(gateway, "openai", "fine-openai/m")
    assert not [name for name, _ in told.answer.headers if name.startswith("access-control-")]


# JSON

TARGETS = ("fine-openai/m", "fine-anthropic/m", "echo")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("vector", vectors.JSON)
async def test_json_that_is_none(gateway: Gateway, vector: str) -> None:
    said = [vectors.JSON[vector].replace(b"@", target.encode()) for target in TARGETS]
    async with Raw(gateway.port) as raw:
        for data in said:
            first, second = [await refused_json(raw, dialect, data) for dialect in DIALECTS]
            assert first == second, "not the same answer in every dialect"
        # The same connection, after these refusals, is as good as new.
        await raw.send(request(PATHS["openai"], vectors.BODY.replace(b"fine-openai/m", b"echo")))
        assert (await raw.response()).status == 200


async def refused_json(raw: Raw, dialect: str, data: bytes) -> str:
    """What is said of a body that is no JSON."""
    began = time.monotonic()
    await raw.send(request(PATHS[dialect], data, headers=marks(dialect, "req-json")))
    answer = await raw.response()
    assert time.monotonic() - began < 10
    assert (answer.status, code_of(dialect, answer.json)) == (400, "invalid_json")
    return str(answer.json["error"]["message"])


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("caller", "upstream"), TRANSLATED)
async def test_members_twice_inside_are_seen_where_they_are_read(gateway: Gateway, caller: str, upstream: str) -> None:
    async with Raw(gateway.port) as raw:
        assert await refused_json(raw, caller, vectors.TWICE_INSIDE.replace(b"@", f"fine-{upstream}/m".encode()))


WRONG = [
    ({"model": None}, "model"),
    ({"model": 5}, "model"),
    ({"model": ""}, "model"),
    ({"messages": None}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": [5]}, "messages[0]"),
    ({"messages": [{"content": "a"}]}, "messages[0].role"),
    ({"messages": [{"role": "wizard", "content": "a"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"stream": "yes"}, "stream"),
    ({"temperature": "hot"}, "temperature"),
    ({"max_tokens": "many"}, "max_tokens"),
    ({"tools": {}}, "tools"),
]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("pair", PAIRS[2:], ids="-".join)
@pytest.mark.parametrize(("wrong", "field"), WRONG, ids=[f"{field}-{place}" for place, (_, field) in enumerate(WRONG)])
async def test_wrong_types_name_the_field(
    gateway: Gateway, wrong: dict[str, object], field: str, pair: tuple[str, str]
) -> None:
    data = json.dumps(json.loads(body(pair[0], f"fine-{pair[1]}/m")) | wrong).encode()
    async with Raw(gateway.port) as raw:
        await raw.send(request(PATHS[pair[0]], data, headers=marks(pair[0], "req-wrong")))
        told = Told(await raw.response(), "req-wrong", 0, pair[0])
    assert told.answer.status == 400, told.answer
    assert told.code == "invalid_request"
    error = told.answer.json["error"]
    assert field in (error.get("param") or "") or field in error["message"]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_unknown_model_is_404(gateway: Gateway, dialect: str) -> None:
    told = await tell(gateway, dialect, "no/such model")
    assert (told.answer.status, told.code) == (404, "model_not_found")
    assert "no/such model" in told.answer.json["error"]["message"]


@pytest.mark.parametrize(("caller", "upstream"), PAIRS[:2])
async def test_unknown_fields_and_number_spellings_go_on(
    gateway: Gateway, faults: Faults, caller: str, upstream: str
) -> None:
    case = Case("ok", caller, upstream)
    data = body(caller, case.model)[:-1] + b', "x_own": {"b":1.50,"a":[1e2, -0]},  "seed":12345678901234567890}'
    async with Raw(gateway.port) as raw:
        await raw.send(request(PATHS[caller], data, headers=(*marks(caller, "req-own"), ("x-vendor-mark", "kept"))))
        assert (await raw.response()).status == 200
    seen = faults.requests(case.key)[-1]
    assert '"x_own": {"b":1.50,"a":[1e2, -0]}' in seen["body"] or '"x_own":{"b":1.50,"a":[1e2, -0]}' in seen["body"]
    assert "12345678901234567890" in seen["body"]
    assert "x-vendor-mark: kept" in seen["head"].lower()
    assert json.loads(seen["body"])["model"] == "m"


INJECTED = "fine-openai/m\r\nx-evil: yes\r\n\r\nHTTP/1.1 200 OK"


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_model_name_makes_no_header_and_no_log_line(gateway: Gateway, faults: Faults, dialect: str) -> None:
    told = await tell(gateway, dialect, INJECTED)
    assert told.answer.status in (200, 400, 404)
    assert "x-evil" not in [name for name, _ in told.answer.headers]
    assert "\nx-evil" not in "".join(seen["head"] for seen in faults.requests("ok~fine-openai"))
    assert gateway.ended(told.request_id)["model"] in (INJECTED, "")
    assert [line for line in gateway.stderr_lines() if line.lstrip().startswith(("x-evil", "HTTP/1.1 200"))] == []


async def test_a_model_name_may_leave_ascii(gateway: Gateway, faults: Faults) -> None:
    told = await tell(gateway, "openai", "fine-openai/模型-é")
    assert told.answer.status == 200
    assert json.loads(faults.requests("ok~fine-openai")[-1]["body"].encode("latin-1"))["model"] == "模型-é"


async def test_two_requests_at_once_are_answered_in_order(gateway: Gateway) -> None:
    first = request(PATHS["openai"], body("openai", "echo", text="one"))
    second = request(PATHS["anthropic"], body("anthropic", "echo", text="two"), headers=marks("anthropic", "req-two"))
    async with Raw(gateway.port) as raw:
        await raw.send(first + second)
        answers = [await raw.response(), await raw.response()]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].json["choices"][0]["message"]["content"] == "one"
    assert answers[1].json["content"][0]["text"] == "two"


async def test_unknown_places_and_methods(gateway: Gateway) -> None:
    async with Raw(gateway.port) as raw:
        await raw.send(request("/v1/nothing/here", b"{}"))
        assert (await raw.response()).status == 404
        await raw.send(request("/v1%2fchat/completions", vectors.BODY))
        assert (await raw.response()).status in (400, 404, 405)
        await raw.send(request(PATHS["openai"], method="PUT"))
        assert (await raw.response()).status == 405
        await raw.send(request(PATHS["anthropic"], method="GET"))
        assert (await raw.response()).status == 405
        # An operation that the dialect has there, and this server has not.
        await raw.send(request(PATHS["openai"], method="GET"))
        assert (await raw.response()).status == 501
        await raw.send(request(PATHS["openai"], vectors.BODY))
        assert (await raw.response()).status == 200
