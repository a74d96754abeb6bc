"""Registrations in the store."""

from msgspec.structs import replace

from nodes.parts import entry
from parley.store import Link, nodes
from parley.store.nodes import Self
from store.parts import Shelf

HERE = "machine"


async def test_a_node_is_who_it_was_the_first_time(shelf: Shelf) -> None:
    def first(link: Link) -> list[Self | None]:
        return [
            nodes.there(link, HERE),
            nodes.known(link, HERE, "a", b"1"),
            nodes.known(link, HERE, "b", b"2"),
            nodes.known(link, "other", "c", b"3"),
        ]

    assert await shelf.store.change(first) == [None, Self("a", b"1", 0), Self("a", b"1", 0), Self("c", b"3", 0)]


async def test_what_is_registered_is_there_again_and_only_at_its_node(shelf: Shelf) -> None:
    one = entry("m", "x", kind=2, ttl=5.5, heard=7.0, by="key_1", url="http://127.0.0.1:1/a b?c")
    two = entry("Qwen/x", project="ü")

    def work(link: Link) -> tuple[int, int]:
        nodes.known(link, HERE, "a", b"1")
        nodes.known(link, "other", "c", b"3")
        return nodes.put(link, HERE, [one, two]), nodes.put(link, "other", [one])

    assert await shelf.store.change(work) == (1, 1)
    table = await shelf.store.ask(lambda link: nodes.changed(link, HERE, 0))
    assert table is not None
    assert (table.version, set(table.entries)) == (1, {one, two})
    assert await shelf.store.ask(lambda link: nodes.changed(link, HERE, 1)) is None
    assert {node: len(found) for node, found in (await shelf.store.ask(nodes.every)).items()} == {"a": 2, "c": 1}


async def test_changes_and_removals_count(shelf: Shelf) -> None:
    one, two = entry(heard=1.0), entry("other")

    def work(link: Link) -> nodes.Table | None:
        nodes.known(link, HERE, "a", b"1")
        nodes.put(link, HERE, [one, two])
        nodes.put(link, HERE, [replace(one, heard=2.0, kind=1, by="k")], [two.key])
        return nodes.changed(link, HERE, 1)

    table = await shelf.store.change(work)
    assert table == nodes.Table(2, (replace(one, heard=2.0, kind=1, by="k"),))


async def test_a_node_that_was_never_here_has_nothing(shelf: Shelf) -> None:
    assert await shelf.store.ask(lambda link: nodes.changed(link, HERE, -1)) is None
