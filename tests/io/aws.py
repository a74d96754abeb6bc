"""Bare surroundings for AWS keys, and what finds them."""

import asyncio
from pathlib import Path

import pytest

from parley.failure import Failure
from parley.io.bedrock import Chain, Keys

VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION",
             "AWS_DEFAULT_REGION", "AWS_BEARER_TOKEN_BEDROCK", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
             "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_ENDPOINT_URL",
             "AWS_ENDPOINT_URL_STS")  # fmt: skip


def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No keys of this machine, and no question to its network."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


async def keys_of(chain: Chain) -> Keys | Failure:
    told: asyncio.Future[Keys | Failure] = asyncio.get_running_loop().create_future()
    chain.wait(told.set_result)
    async with asyncio.timeout(30):
        return await told


async def found_keys() -> tuple[str, str, str | None, str | None]:
    found = await keys_of(Chain(asyncio.get_running_loop()))
    assert isinstance(found, Keys)
    frozen = found.frozen
    return frozen.access_key, frozen.secret_key, frozen.token, found.region
