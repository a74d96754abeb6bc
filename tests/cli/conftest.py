import pytest

from cli.scripted import Gateway
from parley.vendors import vendors


@pytest.fixture
def gateway():
    """Starts scripted gateways: ``gateway(b"HTTP/1.1 200 ...", ...)``."""
    started = []

    def start(*parts: bytes) -> Gateway:
        started.append(Gateway(*parts))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder, and an environment without any provider's variables."""
    for vendor in vendors().values():
        for name in (*vendor.keys, *vendor.bases):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path
