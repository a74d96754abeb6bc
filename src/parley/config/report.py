"""Where the checks of a configuration write down what they find."""

from collections.abc import Set

from parley.config.document import Document, Path
from parley.config.problem import Problem


class Report:
    """Mistakes found so far in one document. A mistake that may only follow from another one is left out:
    ``wounded`` are nodes (by identity) out of which something wrong was taken. ``named`` are the providers
    the file speaks of, readable or not; None where that cannot be told."""

    def __init__(
        self, document: Document, wounded: Set[int] = frozenset(), named: Set[str] | None = frozenset()
    ) -> None:
        self.document, self.wounded, self.named = document, wounded, named
        self.problems: list[Problem] = []

    def add(self, path: Path, message: str, hint: str = "", key: bool = False, sure: bool = False) -> None:
        """A mistake at ``path``, at its key where asked; ``sure``: it does not follow from another one."""
        trail = self.document.trail(path)
        if not sure and len(trail) > len(path) and trail[-1] in self.wounded:
            return
        self.problems.append(self.document.problem(path, message, hint, key))

    def later(self, path: Path, what: str, hint: str = "") -> None:
        """Something that a later version will know."""
        self.add(path, f"{what}: not available yet", hint or "remove it for now", key=True)

    def line(self, path: Path) -> int:
        """The line of a path."""
        return self.document.at(path)[0]
