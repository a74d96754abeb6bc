"""Where the checks of a configuration write down what they find."""

from collections.abc import Set

from parley.config.document import Document, Path
from parley.config.problem import Problem


class Report:
    """Mistakes found so far in one document. A mistake that may only follow from another one is left out:
    ``wounded`` are nodes (by identity) out of which a wrong value was taken, ``trimmed`` those that lost an
    unknown key. ``named`` are the providers the file speaks of, readable or not; None: cannot be told."""

    def __init__(
        self,
        document: Document,
        named: Set[str] | None = frozenset(),
        wounded: Set[int] = frozenset(),
        trimmed: Set[int] = frozenset(),
    ) -> None:
        self.document, self.named, self.wounded, self.trimmed = document, named, wounded, trimmed
        self.problems: list[Problem] = []

    def add(self, path: Path, message: str, hint: str = "", key: bool = False, sure: bool = False) -> None:
        """A mistake at ``path``, at its key where asked; ``sure``: no unknown key can be behind it."""
        trail = self.document.trail(path)
        suspect = self.wounded if sure else self.wounded | self.trimmed
        if len(trail) > len(path) and trail[-1] in suspect:
            return
        self.problems.append(self.document.problem(path, message, hint, key))

    def later(self, path: Path, what: str, hint: str = "") -> None:
        """Something that a later version will know."""
        self.add(path, f"{what}: not available yet", hint or "remove it for now", key=True)

    def line(self, path: Path) -> int:
        """The line of a path."""
        return self.document.at(path)[0]
