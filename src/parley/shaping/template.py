"""Templates of prompts, run in a sandbox with a bound on what they make and on what they do.

Two dialects, told apart by their tags: Jinja (what models carry today), and the older one with dots (``dotted``).

    output          at most TEXT characters, and so is every string made on the way
    made in all     at most MADE characters
    steps           at most STEPS: turns of loops, calls, operations
    not offered     what could make much out of little (padding, formats, powers, recursive loops, other files)

Values given to a template cannot be changed by it. Every failure names the line and the reason.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from parley.failure import Failure, ParleyError, invalid
from parley.shaping import dotted
from parley.shaping.bounds import Allowance, TemplateFaultError, bounded


class Program(Protocol):
    """A compiled template of either dialect."""

    def render(self, values: Mapping[str, Any], allowance: Allowance) -> str:
        """The text. Raises TemplateFaultError."""


class Template:
    """A template, compiled once. Raises ParleyError where it is not one."""

    def __init__(self, text: str) -> None:
        try:
            self._program = _compiled(text)
        except TemplateFaultError as fault:
            raise ParleyError(Failure("internal", f"the model's template is wrong: {fault}")) from None

    def render(self, **values: Any) -> str:
        """The prompt. What the template itself refuses is the caller's fault (``invalid_request``), else ours."""
        try:
            return self._program.render(values, Allowance())
        except TemplateFaultError as fault:
            if fault.asked:
                raise invalid(f"the model's template refuses the messages: {fault.reason}", "messages") from None
            raise ParleyError(Failure("internal", f"the model's template failed: {fault}")) from None


def template_problem(text: str) -> str | None:
    """What is wrong with a template, with its line; None where nothing is."""
    try:
        _compiled(text)
    except TemplateFaultError as fault:
        return str(fault)
    return None


class _Dotted:
    """The older dialect has no loops: its output is all there is to bound."""

    __slots__ = ("_nodes",)

    def __init__(self, text: str) -> None:
        self._nodes = dotted.parsed(text)

    def render(self, values: Mapping[str, Any], allowance: Allowance) -> str:
        return bounded(dotted.pieces(self._nodes, values), allowance)


def _compiled(text: str) -> Program:
    if dotted.is_dotted(text):
        return _Dotted(text)
    try:
        from parley.shaping.sandbox import Sandboxed
    except ImportError:
        raise TemplateFaultError("templates need the extra local: pip install 'parley[local]'") from None
    return Sandboxed(text)
