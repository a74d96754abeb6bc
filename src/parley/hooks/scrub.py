"""The hook ``pii``: personal data is replaced by words such as ``<EMAIL_ADDRESS>``, both ways. See parley.pii."""

from collections.abc import Sequence

from parley import pii
from parley.hooks.view import AnswerView, Pieces, RequestView, Text

# Bytes from which a text is for a thread: below one takes some milliseconds.
SLOW = 32 * 1024


class Scrub:
    """``requests`` and ``answers``: which way; ``entities``: what is replaced, everything known if left out. Texts of
    the roles in ``roles`` alone, of all if left out. Raises ValueError for an entity that nobody knows."""

    slow = SLOW

    def __init__(
        self,
        *,
        requests: bool = True,
        answers: bool = True,
        entities: Sequence[str] | None = None,
        roles: Sequence[str] | None = None,
    ) -> None:
        unknown = sorted(set(entities or ()) - pii.ENTITIES)
        if unknown:
            raise ValueError(f"unknown entity {unknown[0]!r}; known: {', '.join(sorted(pii.ENTITIES))}")
        self._requests, self._answers = requests, answers
        self._entities = pii.ENTITIES if entities is None else frozenset(entities)
        self._roles = None if roles is None else frozenset(roles)

    def request(self, view: RequestView) -> None:
        """See parley.hooks."""
        if self._requests:
            self._scrub([text for text in view.texts if self._roles is None or text.role in self._roles])

    def answer(self, view: AnswerView) -> None:
        """See parley.hooks."""
        if self._answers:
            self._scrub(view.texts)

    def pieces(self, view: AnswerView) -> Pieces | None:
        """See parley.hooks."""
        return pii.Scrubbed(self._entities) if self._answers else None

    def _scrub(self, texts: list[Text]) -> None:
        for text in texts:
            text.text = pii.scrubbed(text.text, self._entities)
