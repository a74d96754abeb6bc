"""Killed while the store was locked: what was spent until then is spent (pains: budgets that are exceeded)."""

import asyncio
import signal
import sqlite3
from pathlib import Path

from faults.test_stores import chat, command
from fixtures.parley import Start
from store.parts import until


async def test_what_was_spent_while_the_store_was_locked_outlives_a_killed_process(
    parley_server: Start, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'parley.db'}"
    key = command(tmp_path, "keys", "create", "alice", "--store", url, "--budget", "5").stdout.strip()
    config = {"store": url, "prices": {"echo/echo": {"request": 1}}}
    gateway = parley_server(config)
    assert await chat(gateway, key) == 200

    def counted(statement: str) -> int:
        connection = sqlite3.connect(tmp_path / "parley.db", timeout=30)
        try:
            return int(connection.execute(statement).fetchone()[0])
        finally:
            connection.close()

    async def told() -> bool:
        await asyncio.sleep(0.05)
        rows = "SELECT (SELECT count(*) FROM ledger) = 1 AND (SELECT count(*) FROM limit_accounts) = 1"
        return counted(rows) == 1

    await until(told, 60)
    holder = sqlite3.connect(tmp_path / "parley.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert [await chat(gateway, key) for _ in range(2)] == [200, 200]
    gateway.signal(signal.SIGKILL)
    gateway.child.process.wait(30)
    gateway.stopped = gateway.child.end()
    holder.execute("ROLLBACK")
    holder.close()
    assert counted("SELECT count(*) FROM ledger") == 1
    again = parley_server(config)

    async def replayed() -> bool:
        await asyncio.sleep(0.05)
        return counted("SELECT count(*) FROM ledger") == 3

    await until(replayed, 60)
    assert [await chat(again, key) for _ in range(4)] == [200, 200, 429, 429]
