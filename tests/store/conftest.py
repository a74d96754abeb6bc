"""Stores that are closed when their test is over."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from store.parts import Shelf


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Callable[..., Shelf]]:
    """Opens shelves, by default all on the same file."""
    shelves: list[Shelf] = []

    def make(path: Path | str | None = None, **options: Any) -> Shelf:
        shelves.append(Shelf(path or tmp_path / "parley.db", **options))
        return shelves[-1]

    yield make
    for shelf in shelves:
        await shelf.store.close()


@pytest.fixture
async def shelf(opened: Callable[..., Shelf]) -> Shelf:
    """One on a fresh file."""
    return opened()
