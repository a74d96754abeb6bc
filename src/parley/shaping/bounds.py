"""What one rendering of a template may cost, and what it says when that is too much."""

from collections.abc import Iterable
from typing import Final

TEXT: Final = 16 * 1024 * 1024
MADE: Final = 16 * TEXT
STEPS: Final = 1_000_000


class TemplateFaultError(Exception):
    """What is wrong with a template or went wrong in it; ``asked``: the template itself refuses its values."""

    def __init__(self, reason: str, line: int | None = None, *, asked: bool = False) -> None:
        super().__init__(reason if line is None else f"line {line}: {reason}")
        self.reason = reason
        self.asked = asked


class Allowance:
    """What is left of one rendering's bounds."""

    __slots__ = ("made", "steps")

    def __init__(self) -> None:
        self.made = 0
        self.steps = 0

    def step(self, count: int = 1) -> None:
        """Count steps. Raises TemplateFaultError."""
        self.steps += count
        if self.steps > STEPS:
            raise TemplateFaultError(f"more than {STEPS} steps")

    def make(self, characters: int) -> None:
        """Count what is about to be made. Raises TemplateFaultError."""
        self.step()
        self.made += characters
        if characters > TEXT or self.made > MADE:
            raise TemplateFaultError(f"a text of more than {TEXT} characters, or {MADE} in all")


def bounded(pieces: Iterable[str], allowance: Allowance) -> str:
    """The pieces as one text. Raises TemplateFaultError."""
    made: list[str] = []
    length = 0
    for piece in pieces:
        allowance.make(len(piece))
        length += len(piece)
        if length > TEXT:
            raise TemplateFaultError(f"a text of more than {TEXT} characters")
        made.append(piece)
    return "".join(made)
