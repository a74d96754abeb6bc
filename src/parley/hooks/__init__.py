"""What a hook is written against: see docs/hooks.md. Pure, and free to import for whoever writes one.

A hook is any object with some of these methods:

- ``request(view: RequestView) -> Refusal | None`` looks at a request, changes its texts, or refuses it;
- ``answer(view: AnswerView) -> Refusal | None`` the same for an answer that is whole;
- ``pieces(view: AnswerView) -> Pieces | None`` gives what the texts of a streamed answer go through, each by itself;
- ``authenticate(headers: Mapping[str, str]) -> Holder | None`` says who sends a request whose key nobody knows.

and may have ``slow``: true for one that computes long or waits, or how many bytes of a request or an answer make it so;
then it runs in a thread. It is made by calling what the configuration names, with its options.

view    what a hook sees
places  where texts stand in a JSON object of any dialect
whole   an answer that is one object
stream  the events of a streamed answer
"""

from parley.hooks.view import AnswerView, Pieces, Refusal, Refused, RequestView, Text
from parley.keys import Holder

__all__ = ["AnswerView", "Holder", "Pieces", "Refusal", "Refused", "RequestView", "Text"]
