"""Where AWS keys come from, and how they are renewed."""

import asyncio
import builtins
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

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
