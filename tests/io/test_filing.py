"""Places of files: a folder, and a bucket of a server that speaks S3's API."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parley.io.filing import FileShelf, Folder
from parley.io.filing_s3 import PART, Bucket


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    given = {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "DEFAULT_REGION": "us-east-1"}
    for name, value in {**given, "ENDPOINT_URL": f"http://{host}:{port}"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    made = Bucket("s3://papers/parley/files")
    made._client.create_bucket(Bucket="papers")
    yield made
    made._client.close()
    server.stop()


@pytest.fixture(params=["folder", "bucket"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> FileShelf:
    found: Any = Folder(tmp_path / "shelf") if request.param == "folder" else request.getfixturevalue("bucket")
    shelf: FileShelf = found
    return shelf


@pytest.mark.parametrize("size", [0, 10, PART + 1000])
async def test_what_is_put_is_read(shelf: FileShelf, tmp_path: Path, size: int) -> None:
    data = bytes(number % 251 for number in range(1000)) * (size // 1000 + 1)
    path = tmp_path / "in"
    path.write_bytes(data[:size])
    await shelf.put("file-1", path)
    assert not path.exists()
    assert await shelf.read("file-1", 0, size + 10) == data[:size]
    assert await shelf.read("file-1", max(0, size - 5), 100) == data[max(0, size - 5) : size]
    assert await shelf.read("file-1", size + 1, 10) == b""
    await shelf.remove("file-1")
    await shelf.remove("file-1")
    with pytest.raises(OSError, match=r"file-1|NoSuchKey"):
        await shelf.read("file-1", 0, 1)


async def test_only_their_owner_reads_them(tmp_path: Path) -> None:
    shelf = Folder(tmp_path / "shelf")
    folder = shelf.spool()
    assert folder is not None
    assert folder.stat().st_mode & 0o077 == 0


def test_what_was_left_behind_is_swept(tmp_path: Path) -> None:
    shelf = Folder(tmp_path)
    for name in ("file-1", "file-2.part"):
        (tmp_path / name).write_bytes(b"x")
    now = (tmp_path / "file-1").stat().st_mtime
    shelf.sweep(now + 60)
    assert len(list(tmp_path.iterdir())) == 2
    shelf.sweep(now + 90_000)
    assert [path.name for path in tmp_path.iterdir()] == ["file-1"]
