"""Where AWS keys come from, and how they are renewed."""

import asyncio
import builtins
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import botocore.session
import msgspec
import pytest
from aws import bare, found_keys, keys_of
from botocore.credentials import ReadOnlyCredentials
from peers import settle
from servers import listening

from parley.failure import Failure
from parley.io import bedrock
from parley.io.bedrock import Chain, Keys
from parley.settings import Signing


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare(monkeypatch, tmp_path)


async def test_keys_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert await found_keys() == ("AKIA", "s", "t", "eu-central-1")


async def test_keys_of_a_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile work]\nregion = ap-south-1\n")
    (tmp_path / "credentials").write_text("[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = w\n")
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert await found_keys() == ("AKIAWORK", "w", None, "ap-south-1")


async def test_keys_of_a_container_s_role(monkeypatch: pytest.MonkeyPatch) -> None:
    expiry = (datetime.now(UTC) + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
    role = {"AccessKeyId": "ASIA", "SecretAccessKey": "r", "Token": "tok", "Expiration": expiry}
    body = msgspec.json.encode(role)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    async with listening(talk) as port:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{port}/role")
        assert await found_keys() == ("ASIA", "r", "tok", None)


async def test_a_profile_that_is_not_there_is_told_in_the_log_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    said: list[bytes] = []
    failure = await keys_of(Chain(asyncio.get_running_loop(), said.append))
    assert isinstance(failure, Failure)
    assert failure.kind == "upstream_auth"
    assert "nobody" not in failure.message
    await settle()
    [line] = [msgspec.json.decode(line) for line in said]
    assert line["event"] == "credentials.failed"
    assert "nobody" in line["reason"]


async def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("botocore"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    failure = await keys_of(Chain(asyncio.get_running_loop()))
    assert isinstance(failure, Failure)
    assert "pip install 'parley[aws]'" in failure.message


class Role:
    """Keys that have to be renewed, as botocore has them; remembers in which threads it was asked."""

    def __init__(self) -> None:
        self.left = 3600.0
        self.count = 0
        self.threads: set[int] = set()
        self.broken = False

    def refresh_needed(self, refresh_in: float = 900.0) -> bool:
        return self.left < refresh_in

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        self.threads.add(threading.get_ident())
        self.count += 1
        if self.broken:
            raise RuntimeError("no network")
        return ReadOnlyCredentials(f"ASIA{self.count}", "s", "t", None)


@pytest.fixture
def role(monkeypatch: pytest.MonkeyPatch) -> Role:
    """What the chain finds; and no pause between two questions."""
    made = Role()
    monkeypatch.setattr(botocore.session.Session, "get_credentials", lambda self: made)
    monkeypatch.setattr(bedrock, "PAUSE", 0.0)
    return made


def access(found: Keys | Failure | None) -> str:
    assert isinstance(found, Keys)
    return str(found.frozen.access_key)


async def test_keys_are_renewed_beside_the_calls_and_off_the_loop(role: Role) -> None:
    chain = Chain(asyncio.get_running_loop())
    assert access(await keys_of(chain)) == "ASIA1"
    assert (access(chain.now()), role.count) == ("ASIA1", 1)
    role.left = 300.0
    # Still good: they are used while others are asked for, once.
    assert access(chain.now()) == access(chain.now()) == "ASIA1"
    await keys_of(chain)
    assert role.count == 2
    role.left = 3600.0
    assert access(chain.now()) == "ASIA2"
    assert threading.get_ident() not in role.threads


async def test_keys_that_have_expired_are_waited_for(role: Role) -> None:
    chain = Chain(asyncio.get_running_loop())
    await keys_of(chain)
    role.left = 30.0
    assert chain.now() is None
    assert access(await keys_of(chain)) == "ASIA2"


async def test_keys_that_cannot_be_renewed_serve_to_their_end(role: Role) -> None:
    chain = Chain(asyncio.get_running_loop())
    await keys_of(chain)
    role.left, role.broken = 300.0, True
    assert isinstance(await keys_of(chain), Failure)
    assert access(chain.now()) == "ASIA1"
    role.left = 10.0
    assert chain.now() is None
    assert isinstance(await keys_of(chain), Failure)


async def test_many_calls_ask_once(role: Role) -> None:
    chain = Chain(asyncio.get_running_loop())
    found = await asyncio.gather(*(keys_of(chain) for _ in range(5)))
    assert {access(one) for one in found} == {"ASIA1"}
    assert role.count == 1


# --- keys that the configuration gives ---------------------------------------------------------


async def given_keys(**said: str) -> Keys | Failure:
    return await keys_of(Chain(asyncio.get_running_loop(), signing=Signing(**said)))


async def test_keys_of_the_configuration_come_before_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    found = await given_keys(access_key="AKIAOWN", secret_key="own/+", token="t", region="eu-south-1")
    assert isinstance(found, Keys)
    assert (found.frozen.access_key, found.frozen.secret_key, found.frozen.token) == ("AKIAOWN", "own/+", "t")
    # The region that was asked for wins over the one in the host's name, which wins over the environment's.
    assert found.region_for("https://bedrock-runtime.eu-west-1.amazonaws.com") == "eu-south-1"
    usual = await given_keys(role="")
    assert isinstance(usual, Keys)
    assert usual.frozen.access_key == "AKIA"
    assert usual.region_for("https://bedrock-runtime.eu-west-1.amazonaws.com") == "eu-west-1"
    assert usual.region_for("https://proxy.example") == "us-east-1"


async def test_a_profile_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile work]\nregion = ap-south-1\n")
    (tmp_path / "credentials").write_text("[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = w\n")
    found = await given_keys(profile="work")
    assert isinstance(found, Keys)
    assert (found.frozen.access_key, found.region) == ("AKIAWORK", "ap-south-1")


class Sts:
    """AWS's service that gives the keys of a role, on this machine. Remembers what it was asked, and by whom."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, str], str]] = []
        self.seconds = 3600.0
        self.refusal = ""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:] if line)
        }
        form = dict(parse_qsl((await reader.readexactly(int(headers["content-length"]))).decode()))
        self.seen.append((form, headers["authorization"]))
        status, body = self.answer()
        writer.write(
            f"HTTP/1.1 {status}\r\ncontent-type: text/xml\r\nconnection: close\r\n"
            f"content-length: {len(body)}\r\n\r\n{body}".encode()
        )
        await writer.drain()

    def answer(self) -> tuple[str, str]:
        if self.refusal:
            return "403 Forbidden", (
                "<ErrorResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><Error><Type>Sender</Type>"
                f"<Code>AccessDenied</Code><Message>{self.refusal}</Message></Error></ErrorResponse>"
            )
        expires = (datetime.now(UTC) + timedelta(seconds=self.seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return "200 OK", (
            "<AssumeRoleResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><AssumeRoleResult><Credentials>"
            f"<AccessKeyId>ASIA{len(self.seen)}</AccessKeyId><SecretAccessKey>of the role</SecretAccessKey>"
            f"<SessionToken>tok</SessionToken><Expiration>{expires}</Expiration></Credentials>"
            "<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn><AssumedRoleId>i</AssumedRoleId>"
            "</AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"
        )


@pytest.fixture
async def sts(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sts]:
    made = Sts()
    async with listening(made.talk) as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{port}")
        yield made


ROLE = "arn:aws:iam::123456789012:role/models"
MINE = {"access_key": "AKIAMINE", "secret_key": "my own secret", "region": "eu-central-1", "role": ROLE}


async def test_a_role_is_assumed_with_the_keys_that_are_given(sts: Sts) -> None:
    found = await given_keys(**MINE, session="gate", external_id="e-1")
    assert isinstance(found, Keys)
    frozen = found.frozen
    assert (frozen.access_key, frozen.secret_key, frozen.token) == ("ASIA1", "of the role", "tok")
    [(form, authorization)] = sts.seen
    assert (form["Action"], form["RoleArn"], form["RoleSessionName"]) == ("AssumeRole", ROLE, "gate")
    assert form["ExternalId"] == "e-1"
    assert "Credential=AKIAMINE/" in authorization
    assert "/eu-central-1/sts/" in authorization


async def test_a_role_is_assumed_with_what_the_chain_finds(sts: Sts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    found = await given_keys(role=ROLE)
    assert isinstance(found, Keys)
    [(form, authorization)] = sts.seen
    assert "Credential=AKIAENV/" in authorization
    assert form["RoleSessionName"] == "parley"
    assert "ExternalId" not in form


async def test_the_keys_of_a_role_are_renewed_beside_the_calls(sts: Sts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bedrock, "PAUSE", 0.0)
    # Botocore renews what has less than a quarter of an hour left.
    sts.seconds = 600.0
    chain = Chain(asyncio.get_running_loop(), signing=Signing(**MINE))
    assert access(await keys_of(chain)) == "ASIA1"
    sts.seconds = 3600.0
    assert access(chain.now()) == "ASIA1"
    await keys_of(chain)
    assert access(chain.now()) == "ASIA2"
    assert len(sts.seen) == 2


async def test_a_role_that_is_refused_is_told_in_the_log_and_never_a_secret(sts: Sts) -> None:
    sts.refusal = "AKIAMINE with my own secret is not authorized to assume it"
    said: list[bytes] = []
    failure = await keys_of(Chain(asyncio.get_running_loop(), said.append, Signing(**MINE)))
    assert isinstance(failure, Failure)
    assert failure.kind == "upstream_auth"
    assert "authorized" not in failure.message
    await settle()
    [line] = [msgspec.json.decode(line) for line in said]
    assert "AccessDenied" in line["reason"]
    assert "is not authorized" in line["reason"]
    assert "my own secret" not in line["reason"]
    assert "AKIAMINE" not in line["reason"]


async def test_a_role_without_keys_to_assume_it_with(sts: Sts) -> None:
    failure = await given_keys(role=ROLE, region="eu-central-1")
    assert isinstance(failure, Failure)
    assert "no AWS credentials were found" in failure.message
    assert sts.seen == []
