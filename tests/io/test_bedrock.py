"""Calls signed for AWS: the signature as botocore computes it, and calls that wait for keys or get none."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aws import bare
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from peers import settle
from servers import Provider, Waiting, listening

from parley.failure import Failure
from parley.io.bedrock import BedrockUpstream, Chain, Keys, region_of, signed
from parley.io.opening import Opener
from parley.io.pool import Pool
from parley.io.upstreams import upstreams
from parley.ports import Call, Destination, Flight, Sink
from parley.settings import Provider as Settled
from parley.settings import Settings, Signing

HOME = "https://bedrock-runtime.eu-west-1.amazonaws.com"
PATH = b"/model/us.anthropic.claude-v1%3A0/converse-stream"
HEAD = b"content-type: application/json\r\naccept: text/event-stream\r\nx-request-id: r\r\n"
PLAIN = ReadOnlyCredentials("AKIDEXAMPLE", "secret/+", None, None)
ROLE = ReadOnlyCredentials("ASIAEXAMPLE", "other", "the//token==", None)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare(monkeypatch, tmp_path)


def call(origin: str = HOME, body: tuple[bytes | memoryview, ...] = (b'{"a":1}',), **more: Any) -> Call:
    to = Destination(method=b"POST", origin=origin, path=PATH, first_byte=more.pop("first_byte", 60.0))
    return Call(to, more.pop("head", HEAD), body, more.pop("total", 30.0))


def lines(head: bytes) -> dict[str, str]:
    pairs = [line.split(": ", 1) for line in head.decode().split("\r\n") if line]
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)  # type: ignore[arg-type]


def expected(asked: Call, keys: ReadOnlyCredentials, region: str, said: dict[str, str]) -> tuple[str, str]:
    """The signature that botocore's own signer gives for what was sent, and the text that it signs."""
    names = said["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    request = AWSRequest(
        method="POST",
        url=asked.to.origin + asked.to.path.decode(),
        data=b"".join(asked.body),
        headers={name: said[name] for name in names if name != "host"},
    )
    request.context["timestamp"] = said["x-amz-date"]
    signer = SigV4Auth(keys, "bedrock", region)
    canonical = signer.canonical_request(request)
    return signer.signature(signer.string_to_sign(request, canonical), request), canonical


class Hand:
    """An upstream that keeps what it is sent; also the flight of it."""

    def __init__(self) -> None:
        self.sent: list[Call] = []
        self.said: list[str] = []

    def send(self, asked: Call, sink: Sink) -> Flight:
        self.sent.append(asked)
        return self

    def close(self) -> None:
        raise AssertionError("it belongs to somebody else")

    def cancel(self) -> None:
        self.said.append("cancel")

    def pause(self) -> None:
        self.said.append("pause")

    def resume(self) -> None:
        self.said.append("resume")


class Silent(Chain):
    """A chain whose keys come when the test says so."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.heard: list[Any] = []

    def wait(self, heard: Any) -> None:
        self.heard.append(heard)


# --- the signature -----------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [PLAIN, ROLE])
@pytest.mark.parametrize("body", [(b'{"a":1}',), (b'{"a":', memoryview(b"1}")), (b"",)])
def test_the_signature_is_the_one_that_botocore_computes(
    keys: ReadOnlyCredentials, body: tuple[bytes | memoryview, ...]
) -> None:
    asked = call(body=body)
    ready = signed(asked, Keys(keys, None))
    assert isinstance(ready, Call)
    said = lines(ready.head)
    signature, canonical = expected(asked, keys, "eu-west-1", said)
    day = said["x-amz-date"][:8]
    names = "content-type;host;x-amz-date" + (";x-amz-security-token" if keys.token else "")
    assert said["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{day}/eu-west-1/bedrock/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    assert said.get("x-amz-security-token") == keys.token
    # What was encoded once is sent as it is and signed encoded once more.
    assert canonical.split("\n")[1] == "/model/us.anthropic.claude-v1%253A0/converse-stream"
    assert ready.to.path == PATH
    assert ready.head.startswith(asked.head)
    assert b"".join(ready.body) == b"".join(body)


@pytest.mark.parametrize(
    ("origin", "region"),
    [
        ("https://bedrock-runtime.us-east-1.amazonaws.com", "us-east-1"),
        ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com:443", "us-gov-west-1"),
        ("https://vpce-1-a.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com", "ap-southeast-2"),
        ("https://bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("http://127.0.0.1:8080", None),
        ("https://proxy.example.com", None),
    ],
)
def test_the_region_stands_in_the_host_s_name(origin: str, region: str | None) -> None:
    assert region_of(origin) == region


def test_elsewhere_the_region_is_that_of_the_environment_or_nobody_knows() -> None:
    ready = signed(call("http://proxy.example"), Keys(PLAIN, "us-west-2"))
    assert isinstance(ready, Call)
    assert "/us-west-2/bedrock/" in lines(ready.head)["authorization"]
    failure = signed(call("http://proxy.example"), Keys(PLAIN, None))
    assert isinstance(failure, Failure)
    assert "AWS_REGION" in failure.message


# --- calls -------------------------------------------------------------------------------------


async def test_a_whole_call_over_a_real_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", PLAIN.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PLAIN.secret_key)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    loop, provider = asyncio.get_running_loop(), Provider()
    pool = Pool(loop, Opener(loop))
    upstream = BedrockUpstream(loop, pool, Chain(loop))
    async with listening(provider) as port:
        asked = call(f"http://127.0.0.1:{port}")
        for _ in range(2):
            ear = Waiting()
            upstream.send(asked, ear)
            async with asyncio.timeout(30):
                await ear.over.wait()
            assert ear.whole == (200, b"hello")
        pool.close()
    assert len(provider.asked) == 2
    for raw in provider.asked:
        head, _, body = raw.partition(b"\r\n\r\n")
        first, _, rest = head.partition(b"\r\n")
        assert first == b"POST " + PATH + b" HTTP/1.1"
        said = lines(rest)
        signature, canonical = expected(asked, PLAIN, "us-east-1", said)
        assert said["authorization"].endswith(f"Signature={signature}")
        assert f"\nhost:{said['host']}\n" in canonical
        assert said["accept"] == "application/vnd.amazon.eventstream"
        assert body == b'{"a":1}'


@pytest.mark.parametrize("head", [b"authorization: Bearer k\r\n" + HEAD, HEAD + b"Authorization: Bearer k\r\n"])
async def test_a_bearer_key_goes_without_a_signature_and_without_asking_for_keys(head: bytes) -> None:
    hand, chain = Hand(), Silent()
    flight = BedrockUpstream(asyncio.get_running_loop(), hand, chain).send(call(head=head), Waiting())
    assert flight is hand
    assert b"x-amz-date" not in hand.sent[0].head
    assert b"Bearer k\r\n" in hand.sent[0].head
    assert chain.heard == []


async def test_a_call_that_waits_for_keys_goes_with_less_time_and_in_its_caller_s_pace() -> None:
    loop, hand, chain = asyncio.get_running_loop(), Hand(), Silent()
    flight = BedrockUpstream(loop, hand, chain).send(call(), Waiting())
    flight.pause()
    assert hand.sent == []
    await settle()
    chain.heard[0](Keys(PLAIN, None))
    assert 0 < hand.sent[0].total < 30.0
    flight.resume()
    flight.cancel()
    assert hand.said == ["pause", "resume", "cancel"]


async def test_a_caller_that_left_while_waiting_is_not_sent_for() -> None:
    hand, chain, ear = Hand(), Silent(), Waiting()
    flight = BedrockUpstream(asyncio.get_running_loop(), hand, chain).send(call(), ear)
    flight.cancel()
    chain.heard[0](Keys(PLAIN, None))
    await settle()
    assert (hand.sent, ear.ended) == ([], [])


async def test_keys_that_do_not_come_in_time() -> None:
    hand, chain, ear = Hand(), Silent(), Waiting()
    BedrockUpstream(asyncio.get_running_loop(), hand, chain).send(call(first_byte=0.01), ear)
    async with asyncio.timeout(30):
        await ear.over.wait()
    assert ear.failure == ("upstream_timeout", "credentials")
    chain.heard[0](Keys(PLAIN, None))
    assert hand.sent == []


async def test_failures_never_come_before_send_returns() -> None:
    loop, hand, ear = asyncio.get_running_loop(), Hand(), Waiting()
    upstream = BedrockUpstream(loop, hand, Chain(loop))
    upstream.send(call(), ear)
    async with asyncio.timeout(30):
        await ear.over.wait()
    assert ear.failure == ("upstream_auth", "credentials")
    again = Waiting()
    upstream.send(call(), again)
    assert again.ended == []
    await settle()
    assert again.ended == ear.ended
    assert hand.sent == []
    upstream.close()


async def test_the_transport_is_made_only_for_those_who_need_it() -> None:
    loop = asyncio.get_running_loop()
    row: dict[str, Any] = {"type": "b", "wire": "bedrock", "endpoints": (HOME,), "paths": {}}
    plain = upstreams(Settings(providers={"a": Settled(name="a", **row)}), loop)
    signing = upstreams(Settings(providers={"a": Settled(name="a", **row, transport="bedrock")}), loop)
    assert "bedrock" not in plain
    assert isinstance(signing["bedrock"], BedrockUpstream)


async def test_each_provider_is_asked_with_its_own_keys() -> None:
    loop, hand = asyncio.get_running_loop(), Hand()
    own = BedrockUpstream(loop, hand, Silent(), lambda signing: Chain(loop, signing=signing))
    first, second = Signing(access_key="AKIAA", secret_key="a"), Signing(access_key="AKIAB", secret_key="b", region="r")
    for signing in (first, second, first):
        sent = len(hand.sent)
        asked = call()
        to = Destination(method=b"POST", origin=HOME, path=PATH, signing=signing)
        own.send(Call(to, asked.head, asked.body, 30.0), Waiting())
        async with asyncio.timeout(30):
            while len(hand.sent) == sent:
                await settle()
    tellers = [lines(one.head)["authorization"] for one in hand.sent]
    assert [one.partition("Credential=")[2].partition("/")[0] for one in tellers] == ["AKIAA", "AKIAB", "AKIAA"]
    assert ["/eu-west-1/" in one for one in tellers] == [True, False, True]
    assert "/r/bedrock/" in tellers[1]


async def test_keys_that_no_provider_has_any_more_are_forgotten() -> None:
    loop, hand = asyncio.get_running_loop(), Hand()
    chains: list[Signing] = []

    def chain(signing: Signing) -> Chain:
        chains.append(signing)
        return Silent()

    upstream = BedrockUpstream(loop, hand, Silent(), chain)
    kept, gone = Signing(access_key="A", secret_key="a"), Signing(access_key="B", secret_key="b")

    def ask(signing: Signing) -> None:
        to = Destination(method=b"POST", origin=HOME, path=PATH, signing=signing)
        upstream.send(Call(to, HEAD, (b"",), 30.0), Waiting()).cancel()

    for signing in (kept, gone, kept, gone):
        ask(signing)
    assert chains == [kept, gone]
    upstream.adopt([settled("a", kept), settled("b", None)])
    for signing in (kept, gone):
        ask(signing)
    assert chains == [kept, gone, gone]


def settled(name: str, signing: Signing | None) -> Settled:
    return Settled(
        name=name, type="b", wire="bedrock", endpoints=(HOME,), paths={}, transport="bedrock", signing=signing
    )
