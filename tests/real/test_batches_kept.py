"""How long files and batches are kept, and what the metrics say of them."""

from pathlib import Path
from typing import Any

import openai
import pytest

from fixtures.children import eventually
from fixtures.parley import Start
from real.test_openai_batches import Client, client, config, line, over, started, told

__all__ = ["client"]
MONTH = 30 * 86400


def rows(folder: Path, table: str) -> int:
    """How many the store has."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(folder / "parley.db", timeout=30)) as store:
        return int(store.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_files_of_batches_are_kept_for_a_month(parley_server: Start, client: Client, tmp_path: Path) -> None:
    gateway = parley_server(config(tmp_path))
    sdk = client(gateway)
    data = b"".join(map(line, range(3))) + line("bad", {"model": "nobody", "messages": []})
    done = over(sdk, started(sdk, data))
    assert done.output_file_id
    assert done.error_file_id
    for name in (done.input_file_id, done.output_file_id, done.error_file_id):
        kept = sdk.files.retrieve(name)
        assert kept.expires_at == kept.created_at + MONTH
    other = sdk.files.create(file=("a", b"x"), purpose="user_data")
    assert other.expires_at is None
    wanted: dict[str, Any] = {"anchor": "created_at", "seconds": 3600}
    own = over(sdk, started(sdk, line(1), output_expires_after=wanted))
    kept = sdk.files.retrieve(own.output_file_id or "")
    assert kept.expires_at == kept.created_at + 3600

    def counted(name: str, label: str) -> float:
        return gateway.metric(name, label)

    eventually(lambda: counted("parley_batches_total", 'status="completed"') == 2, 30, "both are counted")
    assert counted("parley_batch_lines_total", 'outcome="completed"') == 4
    assert counted("parley_batch_lines_total", 'outcome="failed"') == 1
    assert "\nparley_batch_lines_in_flight 0" in gateway.metrics()
    eventually(lambda: 'parley_batches_open{status="in_progress"} 0' in gateway.metrics(), 30, "none is open")


def test_what_is_old_is_removed(parley_server: Start, client: Client, tmp_path: Path) -> None:
    setting = config(tmp_path)
    setting["batches"] |= {"keep": "4s"}
    sdk = client(parley_server(setting))
    other = sdk.files.create(file=("a", b"x"), purpose="user_data")
    done = over(sdk, started(sdk, b"".join(map(line, range(5)))))
    assert len(told(sdk, done.output_file_id)) == 5
    eventually(lambda: rows(tmp_path, "batches") == rows(tmp_path, "batch_chunks") == 0, 60, "the batch is gone")
    with pytest.raises(openai.NotFoundError):
        sdk.batches.retrieve(done.id)
    for name in (done.input_file_id, done.output_file_id or ""):
        with pytest.raises(openai.NotFoundError):
            sdk.files.retrieve(name)
    eventually(lambda: rows(tmp_path, "files") == 1, 60, "so are its files")
    content = [path for path in (tmp_path / "parley.db-files").rglob("*") if path.is_file()]
    assert [path.name for path in content if other.id in path.name]
    assert not [path.name for path in content if done.input_file_id in path.name]
    assert sdk.files.content(other.id).read() == b"x"
