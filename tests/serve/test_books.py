"""Whether a gateway writes requests down, with whose prices, and where: as its settings want it, also later."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.parts import Stage
from parley.serve.books import Books, journal_folder, recorded
from parley.settings import Ledger, Provider, Settings
from parley.store import Store
from store.parts import within

HERE = Provider(name="mine", type="openai", wire="openai_chat", endpoints=("http://127.0.0.1:1/v1",), paths={})


def store(url: str | None) -> Store:
    return Store(url, asyncio.get_running_loop())


@pytest.mark.parametrize(
    ("requests", "named", "there", "wanted"),
    [
        ("auto", False, False, False),
        ("auto", True, False, True),
        ("auto", False, True, True),
        ("on", False, False, True),
        ("off", True, True, False),
    ],
)
async def test_when(tmp_path: Path, requests: Any, named: bool, there: bool, wanted: bool) -> None:
    path = tmp_path / "parley.db"
    if there:
        path.write_bytes(b"x")
    url = f"sqlite:///{path}"
    settings = Settings(store=url if named else None, ledger=Ledger(requests))
    assert recorded(settings, store(url)) is wanted


async def test_where(tmp_path: Path) -> None:
    assert journal_folder(store(f"sqlite:///{tmp_path}/a.db")) == tmp_path / "a.db-ledger"
    servers = [journal_folder(store(f"postgresql://u:secret@h/{name}")) for name in ("a", "a", "b")]
    assert servers[0] == servers[1] != servers[2]
    assert "secret" not in str(servers[0])
    assert journal_folder(store("sqlite://")) != journal_folder(store("sqlite://"))


async def test_settings_change_it_while_it_serves(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/parley.db"
    stage, kept = Stage(), store(url)
    gateway = stage.gateway
    before = gateway.observers
    books = Books(gateway, kept, asyncio.get_running_loop(), lambda line: None)
    assert books.ledger is None
    gateway.settings = replace(gateway.settings, ledger=Ledger("on", 60.0), prices={"mine/m": {"input": 5}})
    books.adopt()
    assert books.ledger is not None
    assert books.ledger.retention == 60.0
    assert gateway.observers == (*before, books.ledger)
    assert gateway.tariffs is not None
    tariff = gateway.tariffs.of(HERE, "m")
    assert tariff is not None
    assert tariff.estimate(2, 0) == 10
    gateway.settings = replace(gateway.settings, ledger=Ledger("off"))
    books.adopt()
    assert gateway.observers == before
    await within(books.close())
    await kept.close()
