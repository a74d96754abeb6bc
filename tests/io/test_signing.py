"""Our own signatures beside botocore's: the same to the last byte, or botocore's are sent."""

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from parley.io import bedrock
from parley.io.bedrock import BedrockUpstream, Keys, signed
from parley.io.signing import Signer, host_of
from parley.ports import Call, Destination

HOME = "https://bedrock-runtime.eu-west-1.amazonaws.com"
PATH = b"/model/us.anthropic.claude-v1%3A0/converse-stream"
PLAIN = ReadOnlyCredentials("AKIDEXAMPLE", "secret/+", None, None)
ROLE = ReadOnlyCredentials("ASIAEXAMPLE", "other", "the//token==", None)


def call(origin: str = HOME, path: bytes = PATH, body: bytes = b'{"a":1}') -> Call:
    to = Destination(method=b"POST", origin=origin, path=path, first_byte=60.0)
    return Call(to, b"x-request-id: r\r\n", (body,), 30.0)


def theirs(asked: Call, keys: Any, region: str, stamp: str) -> str:
    """botocore's signature for that time."""
    more = {"x-amz-security-token": keys.token} if keys.token else {}
    request = AWSRequest(
        method="POST",
        url=asked.to.origin + asked.to.path.decode(),
        data=asked.body[0],
        headers={"content-type": "application/json", "x-amz-date": stamp, **more},
    )
    request.context["timestamp"] = stamp
    signer = SigV4Auth(keys, "bedrock", region)
    return str(signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request))


STEP = st.from_regex(r"[A-Za-z0-9_.~%:-]{1,8}", fullmatch=True)


@given(
    keys=st.sampled_from([PLAIN, ROLE]),
    steps=st.lists(STEP, min_size=1, max_size=4),
    body=st.binary(max_size=40),
    origin=st.sampled_from(
        [HOME, "http://Proxy.example:80", "https://h:443", "http://127.0.0.1:8080", "http://[::1]:9"]
    ),
    stamps=st.lists(st.sampled_from(["20260101T000000Z", "20260101T235959Z", "20270102T030405Z"]), min_size=1),
)
def test_a_signature_is_botocore_s(keys: Any, steps: list[str], body: bytes, origin: str, stamps: list[str]) -> None:
    path = "".join(f"/{step}" for step in steps if step not in (".", "..")).encode() or b"/a"
    asked, signer = call(origin, path, body), Signer(keys, "eu-west-1", origin)
    for stamp in stamps:
        made = signer.made(asked, body, stamp)
        assert made.endswith(f"Signature={theirs(asked, keys, 'eu-west-1', stamp)}\r\n")


@pytest.fixture
def asked_of_botocore(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The paths of calls that botocore signed."""
    paths: list[bytes] = []
    own = bedrock._by_botocore

    def signs(asked: Call, keys: Keys, region: str, body: bytes | memoryview) -> str:
        paths.append(asked.to.path)
        return own(asked, keys, region, body)

    monkeypatch.setattr(bedrock, "_by_botocore", signs)
    return paths


@pytest.mark.parametrize("keys", [PLAIN, ROLE])
def test_botocore_signs_the_first_call_and_the_rest_are_the_same(keys: Any, asked_of_botocore: list[bytes]) -> None:
    signer = Signer(keys, "eu-west-1", HOME)
    for number in range(3):
        ready = signed(call(body=b"%d" % number), Keys(keys, None), signer)
        assert isinstance(ready, Call)
        said = dict(line.split(": ", 1) for line in ready.head.decode().splitlines())
        assert ready.body == (b"%d" % number,)
        signature = theirs(call(body=b"%d" % number), keys, "eu-west-1", said["x-amz-date"])
        assert said["authorization"].endswith(f"SignedHeaders={signer._names}, Signature={signature}")
        assert said.get("x-amz-security-token") == keys.token
    assert asked_of_botocore == [PATH]


@pytest.mark.parametrize("path", [b"/model/../x", b"/model//x", b"/model/x?a=b", b"/./x", b"/model/\xc3\xa9", b"/x/"])
def test_a_path_that_is_not_plain_is_botocore_s(path: bytes, asked_of_botocore: list[bytes]) -> None:
    signer = Signer(PLAIN, "eu-west-1", HOME)
    signed(call(), Keys(PLAIN, None), signer)
    signed(call(path=path), Keys(PLAIN, None), signer)
    assert asked_of_botocore == [PATH, path]


def test_where_botocore_signs_otherwise_it_signs_everything(asked_of_botocore: list[bytes]) -> None:
    signer = Signer(PLAIN, "eu-west-1", "https://another.example")
    for _ in range(3):
        signed(call(), Keys(PLAIN, None), signer)
    assert asked_of_botocore == [PATH] * 3


def test_other_keys_are_compared_anew(asked_of_botocore: list[bytes]) -> None:
    sent: list[Call] = []
    pool: Any = SimpleNamespace(send=lambda asked, sink: sent.append(asked))
    chain = SimpleNamespace(now=lambda: keys)
    upstream = BedrockUpstream(None, pool, chain)  # type: ignore[arg-type]
    for found in (PLAIN, ROLE):
        keys = Keys(found, None)
        for _ in range(2):
            upstream.send(call(), None)  # type: ignore[arg-type]
    assert asked_of_botocore == [PATH] * 2
    assert [found.access_key.encode() in asked.head for asked in sent for found in (PLAIN, ROLE)] == [
        True, False, True, False, False, True, False, True,
    ]  # fmt: skip


def test_a_host_is_named_without_the_port_that_goes_without_saying() -> None:
    assert host_of("https://H.example:443") == "h.example"
    assert host_of("http://h:443") == "h:443"
    assert host_of("http://h:80") == "h"
