"""Answers in memory: by their keys, for a time, within a size."""

from typing import Any

from parley.cache.shelf import OVERHEAD, MemoryShelf


class Watch:
    def __init__(self) -> None:
        self.time = 5.0

    def __call__(self) -> float:
        return self.time


def got(shelf: MemoryShelf, key: bytes) -> Any:
    heard: list[Any] = []
    shelf.get(key, heard.append)
    assert len(heard) == 1
    return heard[0]


def put(shelf: MemoryShelf, key: bytes, value: bytes, ttl: float = 10.0) -> None:
    heard: list[Any] = []
    shelf.put(key, value, ttl, heard.append)
    assert heard == [None]


def test_what_was_put_is_got_until_its_time_is_over() -> None:
    watch = Watch()
    shelf = MemoryShelf(10_000, watch)
    put(shelf, b"a", b"one")
    assert got(shelf, b"a") == b"one"
    assert got(shelf, b"b") is None
    watch.time += 9.999
    assert got(shelf, b"a") == b"one"
    watch.time += 0.001
    assert got(shelf, b"a") is None
    assert (len(shelf), shelf.used) == (0, 0)


def test_a_new_value_takes_the_place_of_the_old_one() -> None:
    shelf = MemoryShelf(10_000, Watch())
    put(shelf, b"a", b"one")
    put(shelf, b"a", b"three")
    assert got(shelf, b"a") == b"three"
    assert shelf.used == 5 + OVERHEAD


def test_what_was_not_asked_for_longest_goes_first() -> None:
    size = 100
    shelf = MemoryShelf(3 * (size + OVERHEAD), Watch())
    for name in (b"a", b"b", b"c"):
        put(shelf, name, name * size)
    assert got(shelf, b"a") is not None
    put(shelf, b"d", b"d" * size)
    assert [got(shelf, name) is not None for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    assert shelf.used == 3 * (size + OVERHEAD)


def test_what_is_larger_than_all_room_is_not_kept_and_its_predecessor_goes() -> None:
    shelf = MemoryShelf(1000, Watch())
    put(shelf, b"a", b"small")
    put(shelf, b"b", b"x" * 1000)
    assert got(shelf, b"b") is None
    assert got(shelf, b"a") == b"small"
    put(shelf, b"a", b"x" * 1000)
    assert got(shelf, b"a") is None
    assert shelf.used == 0


def test_the_bytes_counted_are_the_bytes_held_after_any_history() -> None:
    watch = Watch()
    shelf = MemoryShelf(5_000, watch)
    for turn in range(500):
        put(shelf, b"%d" % (turn * 7 % 23), b"v" * (turn * 37 % 900), 1 + turn % 5)
        watch.time += turn % 3
        got(shelf, b"%d" % (turn * 5 % 23))
        assert shelf.used == sum(len(value) + OVERHEAD for _, value in shelf._entries.values()) <= 5_000


def test_less_room_is_made_at_once() -> None:
    shelf = MemoryShelf(10_000, Watch())
    for number in range(10):
        put(shelf, b"%d" % number, b"v" * 100)
    shelf.resize(2 * (100 + OVERHEAD))
    assert [got(shelf, b"%d" % number) is not None for number in range(10)] == [False] * 8 + [True] * 2
    shelf.resize(0)
    assert (len(shelf), shelf.used) == (0, 0)
