"""Tokens of an issuer: only those that it signed for us, now, with an algorithm that proves it."""

import base64
import hmac
import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any
from warnings import catch_warnings, simplefilter

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from parley.keys.token import Issuer, Tokens, looks_like_token

NOW = 1_700_000_000
ISSUER = "https://login.example.org/realm"
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
OTHER = RSAKey.generate_key(2048, {"kid": "other"})
KEYS = {"keys": [key.as_dict(private=False) for key in (RSA, EC, ED)]}
CLAIMS: dict[str, Any] = {"iss": ISSUER, "sub": "alice", "aud": "parley", "exp": NOW + 600, "iat": NOW}


def tokens(unknown: Callable[[], None] = lambda: None, **more: Any) -> Tokens:
    made = Tokens(Issuer(issuer=ISSUER, audience=("parley", "two"), **more), lambda: float(NOW), unknown)
    assert made.take(KEYS) == 3
    return made


def token(key: Any = RSA, alg: str = "RS256", head: dict[str, Any] | None = None, **claims: Any) -> bytes:
    said = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    header = {"alg": alg, "kid": key.kid, **(head or {})}
    header = {name: value for name, value in header.items() if value is not None}
    with catch_warnings():
        simplefilter("ignore", SecurityWarning)
        return jwt.encode(header, said, key, [alg]).encode()


def raw(header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> bytes:
    def part(value: bytes) -> bytes:
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    said = part(json.dumps(header).encode()) + b"." + part(json.dumps(claims).encode())
    return said + b"." + part(sign(said))


def signed(said: bytes) -> bytes:
    made: bytes = RSA.private_key.sign(said, padding.PKCS1v15(), hashes.SHA256())
    return made


def test_who_a_token_stands_for() -> None:
    found = tokens().holder(token())
    assert found is not None
    assert (found.id, found.name, found.kind) == (f"{ISSUER}#alice", "alice", "caller")
    assert (found.models, found.tags, found.expires) == ((), {}, NOW + 630.0)


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (ED, "EdDSA")])
def test_algorithms_that_prove_it(key: Any, alg: str) -> None:
    assert tokens().holder(token(key, alg)) is not None


@pytest.mark.parametrize("aud", ["parley", ["x", "two"]])
def test_one_audience_is_enough(aud: Any) -> None:
    assert tokens().holder(token(aud=aud)) is not None


@pytest.mark.parametrize(
    "wrong",
    [
        token(iss="https://login.example.org/other"), token(iss=None), token(iss=[ISSUER]), token(aud="other"),
        token(aud=[]),
        token(aud=None), token(exp=NOW - 31), token(exp=None), token(exp="soon"), token(nbf=NOW + 31),
        token(sub=None), token(sub=""),
        token(sub=5), token(OTHER), token(OTHER, head={"kid": "rsa"}), token(RSA, "RS512"),
        token()[:-4], token() + b"x",
        token().replace(b".", b"..", 1), b"a.b.c", b"..", b"\xff.\xff.\xff", b"." * 5000,
        raw({"alg": "RS256", "kid": "rsa", "crit": ["x"], "x": 1}, CLAIMS, signed),
    ],
)  # fmt: skip
def test_a_token_that_is_not_good(wrong: bytes) -> None:
    assert tokens().holder(wrong) is None


@pytest.mark.parametrize("skew", [{"exp": NOW - 29}, {"nbf": NOW + 29}])
def test_clocks_may_be_a_little_apart(skew: dict[str, int]) -> None:
    assert tokens().holder(token(**skew)) is not None


def test_a_token_that_was_signed_by_hand_is_good() -> None:
    assert tokens().holder(raw({"alg": "RS256", "kid": "rsa"}, CLAIMS, signed)) is not None


def test_a_public_key_is_no_shared_secret_and_nothing_is_no_signature() -> None:
    known = tokens()
    assert known.holder(raw({"alg": "none"}, CLAIMS, lambda said: b"")) is None
    assert known.holder(raw({"alg": "None", "kid": "rsa"}, CLAIMS, lambda said: b"")) is None
    for secret in (RSA.as_pem(private=False), json.dumps(RSA.as_dict(private=False)).encode()):
        forged = raw({"alg": "HS256", "kid": "rsa"}, CLAIMS, lambda said, s=secret: hmac.digest(s, said, sha256))  # type: ignore[misc]
        assert known.holder(forged) is None


def test_a_secret_that_the_issuer_publishes_signs_nothing() -> None:
    secret = OctKey.generate_key(256, {"kid": "oct"})
    known = tokens()
    known.take({"keys": [secret.as_dict(), *KEYS["keys"]]})
    assert known.holder(token(secret, "HS256")) is None
    with pytest.raises(ValueError, match="no key"):
        known.take({"keys": [secret.as_dict()]})
    assert known.holder(token()) is not None


@pytest.mark.parametrize(
    "document", [None, [], {}, {"keys": {}}, {"keys": []}, {"keys": [5, {"kty": "RSA"}, {"kty": "EC", "use": "enc"}]}]
)
def test_what_is_no_set_of_keys_changes_nothing(document: Any) -> None:
    known = tokens()
    with pytest.raises(ValueError, match=r"the issuer publishes|what the issuer"):
        known.take(document)
    assert known.holder(token()) is not None


def test_a_new_key_is_asked_for_and_the_old_one_ends_with_its_publication() -> None:
    asked: list[int] = []
    known = tokens(lambda: asked.append(1))
    assert known.holder(token(OTHER)) is None
    assert asked == [1]
    known.take({"keys": [OTHER.as_dict(private=False)]})
    assert known.holder(token(OTHER)) is not None
    assert known.holder(token(RSA)) is None


def test_a_key_is_not_asked_for_by_what_could_not_be_good_with_it() -> None:
    asked: list[int] = []
    known = tokens(lambda: asked.append(1))
    for wrong in (token(exp=NOW - 99), token()[:-4], token(OTHER, head={"kid": None}), b"a.b.c"):
        assert known.holder(wrong) is None
    assert known.holder(raw({"alg": "none", "kid": "new"}, CLAIMS, lambda said: b"")) is None
    assert asked == []


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"groups": ["a", "llm"]}, True), ({"groups": "llm"}, True), ({"groups": ["a"]}, False),
        ({"groups": []}, False),
        ({}, False), ({"groups": {"llm": 1}}, False), ({"groups": "llm-admins"}, False), ({"groups": "a llm"}, True),
    ],
)  # fmt: skip
def test_claims_that_must_be_there(claims: dict[str, Any], good: bool) -> None:
    known = tokens(claims={"groups": ("llm", "admins")})
    assert (known.holder(token(**claims)) is not None) is good


def test_claims_further_down_and_with_dots_in_their_names() -> None:
    known = tokens(claims={"realm.roles": ("llm",), "https://x.example/v": ("true",)})
    good = {"realm": {"roles": ["llm"]}, "https://x.example/v": True}
    assert known.holder(token(**good)) is not None
    assert known.holder(token(**{**good, "https://x.example/v": False})) is None


@pytest.mark.parametrize(
    ("claim", "models"),
    [
        (["a", "b*"], ("a", "b*")),
        ("a b*", ("a", "b*")),
        ([], ("",)),
        ("", ("",)),
        (None, ("",)),
        ({"a": 1}, ("",)),
        ([5], ("",)),
    ],
)
def test_models_are_those_of_the_token_and_none_where_it_names_none(claim: Any, models: tuple[str, ...]) -> None:
    found = tokens(models="models").holder(token(models=claim))
    assert found is not None
    assert found.models == models
    assert found.asks("b-1") is ("b*" in models)
    assert not found.asks("") or models == ("",)


def test_names_and_tags() -> None:
    known = tokens(name="email", tags={"team": "org.team", "cost": "cost"})
    found = known.holder(token(email="a@example.org", org={"team": "blue"}, cost=5))
    assert found is not None
    assert (found.name, found.tags) == ("a@example.org", {"team": "blue"})


def test_what_may_be_a_token_at_all() -> None:
    assert looks_like_token(token())
    assert not looks_like_token(b"parley_c" + b"x" * 49)
    assert not looks_like_token(b"sk-a.b")
