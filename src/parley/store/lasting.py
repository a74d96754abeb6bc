"""Writes that nobody waits for, in their order, and found by what they are about. Imports no database.

What is asked about something goes before them, but for those that are about the same: these, and all that hang
together with them, are brought forward.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from parley.store.port import Task

_NONE: Final[frozenset[int]] = frozenset()


class Lasting:
    """Not safe for threads: whoever uses it holds a lock."""

    def __init__(self) -> None:
        self._tasks: OrderedDict[int, Task] = OrderedDict()
        self._named: dict[str, set[int]] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._tasks)

    def add(self, task: Task) -> None:
        """The newest."""
        self._count += 1
        task.number = self._count
        self._put(task)

    def again(self, tasks: list[Task]) -> None:
        """Those that were taken and could not be done: they come first, as they did."""
        for task in reversed(tasks):
            self._put(task)
            self._tasks.move_to_end(task.number, last=False)

    def first(self, many: int) -> list[Task]:
        """Take the first ones."""
        taken = [self._tasks.popitem(last=False)[1] for _ in range(min(many, len(self._tasks)))]
        for task in taken:
            for name in task.names:
                numbers = self._named[name]
                numbers.discard(task.number)
                if not numbers:
                    del self._named[name]
        return taken

    def knows(self, names: Iterable[str]) -> bool:
        """Whether any is about one of these."""
        return not self._named.keys().isdisjoint(names)

    def bring(self, names: Iterable[str]) -> int:
        """Make those the first that are about these, or about anything that one of those is about; how many."""
        found: set[int] = set()
        seen, open_ = set(names), list(names)
        while open_:
            for number in self._named.get(open_.pop(), _NONE) - found:
                found.add(number)
                fresh = set(self._tasks[number].about) - seen
                seen |= fresh
                open_.extend(fresh)
        for number in sorted(found, reverse=True):
            self._tasks.move_to_end(number, last=False)
        return len(found)

    def _put(self, task: Task) -> None:
        self._tasks[task.number] = task
        for name in task.names:
            self._named.setdefault(name, set()).add(task.number)
