"""Stores that are closed when their test is over. What is asked of them is asked of every database."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from store.parts import Shelf

DATABASES = ("sqlite", "postgresql")


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind. A module for one kind only has a fixture of this name of its own."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'parley.db'}"
    server = request.getfixturevalue("postgres")
    return str(server.url(server.fresh()))


@pytest.fixture
async def opened(url: str) -> AsyncIterator[Callable[..., Shelf]]:
    """Opens shelves, by default all on the same store."""
    shelves: list[Shelf] = []

    def make(place: Path | str | None = None, **options: Any) -> Shelf:
        shelves.append(Shelf(place or url, **options))
        return shelves[-1]

    yield make
    for shelf in shelves:
        await shelf.store.close()


@pytest.fixture
async def shelf(opened: Callable[..., Shelf]) -> Shelf:
    """One on a fresh store."""
    return opened()


@pytest.fixture
async def gone(opened: Callable[..., Shelf]) -> Shelf:
    """One more on the same store, of another process that may end."""
    return opened()
