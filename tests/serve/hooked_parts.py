"""A gateway with hooks, its upstream played by hand."""

from typing import Any

from tests.gateway.parts import Sent, Stage

from parley.serve.guests import Guest
from parley.serve.hooking import HookChain
from parley.settings import Hook


class Hooked(Stage):
    """With these hooks, each with what is said of it."""

    def __init__(self, *hooks: Any, loop: Any = None, **said: Any) -> None:
        super().__init__()
        guests = [Guest(Hook("test", **said), hook) for hook in hooks]
        self.gateway.hooks = HookChain(self.gateway, loop, guests)

    def last(self) -> Sent:
        return self.sent[-1]
