"""The one thing that is ever written into streams that only pass: the error event. Shared by wires."""

from parley.failure import Failure
from parley.ir import Event
from parley.wire import Reply, unspoken
from parley.wire.openai_error import error_event


class ErrorEvent:
    """The encoder of an operation whose streams only pass: it can end one, not make one."""

    __slots__ = ()

    def __init__(self, reply: Reply) -> None:
        """Nothing of the request is needed."""

    def feed(self, event: Event) -> bytes:
        """Raises ``not_implemented``: no event of a chat has a form here."""
        unspoken()
        return b""

    def fail(self, failure: Failure) -> bytes:
        """The error event; nothing may follow it."""
        return error_event(failure)
