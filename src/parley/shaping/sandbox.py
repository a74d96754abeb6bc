"""Jinja in a sandbox whose every loop, call and operation is counted. Needs the package jinja2."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextvars import ContextVar
from functools import cache
from typing import Any, Final

from jinja2 import TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from parley.shaping.bounds import Allowance, TemplateFaultError, bounded

NAME: Final = "<template>"
RANGE: Final = 100_000
_BITS: Final = 4096
_PARTS: Final = 250_000

# What chat templates use; nothing that pads, formats or repeats.
# fmt: off
FILTERS: Final = frozenset({
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "int", "items",
    "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace",
    "reverse", "round", "safe", "select", "selectattr", "sort", "string", "sum", "title", "tojson", "trim",
    "unique", "upper", "urlencode", "wordcount",
})
METHODS: Final = frozenset({
    "capitalize", "copy", "count", "endswith", "find", "get", "index", "isalnum", "isalpha", "isdigit",
    "islower", "isspace", "isupper", "items", "join", "keys", "lower", "lstrip", "partition", "removeprefix",
    "removesuffix", "replace", "rfind", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith",
    "strip", "title", "upper", "values",
})
# fmt: on
_REFUSED: Final = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)

_left: ContextVar[Allowance] = ContextVar("left")


class Sandboxed:
    """A compiled template. Raises TemplateFaultError with the line."""

    __slots__ = ("_template",)

    def __init__(self, text: str) -> None:
        room = _room()
        try:
            tree = room.parse(text, filename=NAME)
            _counted(tree)
            code = room.compile(tree, filename=NAME)
            self._template = room.template_class.from_code(room, code, room.make_globals(None))
        except TemplateSyntaxError as error:
            raise TemplateFaultError(error.message or "wrong", error.lineno) from None
        except RecursionError:
            raise TemplateFaultError("nested too deeply") from None

    def render(self, values: Mapping[str, Any], allowance: Allowance) -> str:
        """The text. Raises TemplateFaultError."""
        token = _left.set(allowance)
        try:
            return bounded(self._template.generate(**values), allowance)
        except Exception as error:
            raise _fault(error) from None
        finally:
            _left.reset(token)


class Room(ImmutableSandboxedEnvironment):
    """The sandbox."""

    intercepted_binops = frozenset({"+", "*", "%", "**", "//", "/", "-"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """An operation, where what it makes is small enough."""
        left_size, right_size = _size(left), _size(right)
        if operator == "%" and isinstance(left, str):
            raise SecurityError("formatting with % is not offered")
        if operator == "**":
            raise SecurityError("powers are not offered")
        if operator == "*" and isinstance(left, int) and isinstance(right, int):
            _left.get().make(_bits(left) + _bits(right))
        elif operator == "*":
            _left.get().make(left_size * _times(right) + right_size * _times(left))
        else:
            _left.get().make(left_size + right_size)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, called: Any, *arguments: Any, **named: Any) -> Any:
        """A call, counted; those that make text out of text are measured first."""
        left = _left.get()
        left.step()
        owner = getattr(called, "__self__", None)
        if isinstance(owner, str):
            left.make(_made(owner, called.__name__, arguments))
        made = super().call(context, called, *arguments, **named)
        return _small(made) if called is dict else made

    def wrap_str_format(self, value: Any) -> None:
        """Formatting is not offered: a width makes much out of little."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Of text, lists and objects only the usual methods."""
        if isinstance(obj, str | bytes | list | tuple | dict | int | float) and attr not in METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)


@cache
def _room() -> Room:
    """One sandbox for all templates: they share no state."""
    room = Room(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"], finalize=_shown)
    room.globals = {"range": _range, "namespace": room.globals["namespace"], "dict": dict, "raise_exception": _refuse}
    room.filters = {name: room.filters[name] for name in FILTERS if name in room.filters}
    room.filters |= {
        "tojson": _json,
        "replace": _replaced,
        "join": _joined,
        "string": _shown_text,
        " each": _each,
        " text": _joined,
        " step": _stepped,
        " small": _small,
        " part": _part,
    }
    return room


def _counted(tree: nodes.Template) -> None:
    """Make every loop, macro, literal and concatenation count. Raises TemplateFaultError for what is not offered."""
    for node in list(tree.find_all(nodes.Node)):
        if isinstance(node, _REFUSED):
            raise TemplateFaultError("other files are not offered", node.lineno)
        if isinstance(node, nodes.For):
            if node.recursive:
                raise TemplateFaultError("recursive loops are not offered", node.lineno)
            node.iter = _filtered(node.iter, " each")
        elif isinstance(node, nodes.Macro | nodes.CallBlock):
            node.body.insert(0, nodes.Output([_filtered(nodes.Const(""), " step")], lineno=node.lineno))
    _replace(tree)
    tree.set_environment(_room())


def _replace(node: nodes.Node) -> None:
    """Concatenations and literals by their measured forms, from within outwards."""
    for name in node.fields:
        value = getattr(node, name)
        if isinstance(value, list):
            setattr(node, name, [_measured(item) for item in value])
        else:
            setattr(node, name, _measured(value))


def _measured(node: Any) -> Any:
    if not isinstance(node, nodes.Node):
        return node
    _replace(node)
    if isinstance(node, nodes.Concat):
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), " text")
    if isinstance(node, nodes.List | nodes.Dict) or (isinstance(node, nodes.Tuple) and node.ctx == "load"):
        return _filtered(node, " small")
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
        return _filtered(node, " part")
    return node


def _filtered(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _fault(error: Exception) -> TemplateFaultError:
    """What went wrong, with the line of the template."""
    if isinstance(error, TemplateFaultError) and error.asked:
        return error
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == NAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, TemplateFaultError | TemplateError):
        return TemplateFaultError(str(error), line)
    reason = "nested too deeply" if isinstance(error, RecursionError) else f"{type(error).__name__}: {error}"
    return TemplateFaultError(reason[:500], line)


def _refuse(reason: Any) -> None:
    raise TemplateFaultError(str(reason)[:1000], asked=True)


def _range(*bounds: int) -> range:
    made = range(*bounds)
    if len(made) > RANGE:
        raise TemplateFaultError(f"range() of more than {RANGE}")
    return made


def _each(values: Iterable[Any]) -> Iterable[Any]:
    """A loop's values; each costs a step. Kept as they are where the loop must know their number."""
    left = _left.get()
    if not isinstance(values, Sized):
        return _counting(values, left)
    left.step(len(values))
    known: Iterable[Any] = values
    return known


def _counting(values: Iterable[Any], left: Allowance) -> Iterator[Any]:
    for value in values:
        left.step()
        yield value


def _stepped(value: str) -> str:
    _left.get().step(10)
    return value


def _small(value: Any) -> Any:
    """A literal, weighed with all that it holds: lists of lists of the same list grow fast."""
    _left.get().step(_weight(value))
    return value


def _part(value: Any) -> Any:
    _left.get().make(_size(value))
    return value


def _weight(value: Any) -> int:
    waiting, seen = [value], 0
    while waiting:
        item = waiting.pop()
        seen += 1
        if seen > _PARTS:
            raise TemplateFaultError("a value of too many parts")
        if isinstance(item, list | tuple):
            waiting.extend(item)
        elif isinstance(item, dict):
            waiting.extend(item.values())
    return seen // 10 + 1


def _shown(value: Any) -> Any:
    """A value about to be written."""
    return _shown_text(value) if isinstance(value, list | tuple | dict) else value


def _shown_text(value: Any) -> str:
    _small(value)
    return str(value)


def _joined(values: Iterable[Any], between: Any = "", attribute: str | None = None) -> str:
    picked = [_named(value, attribute) for value in _each(values)]
    texts = [value if isinstance(value, str) else _shown_text(value) for value in picked]
    glue = str(between)
    _left.get().make(sum(map(len, texts)) + len(glue) * len(texts))
    return glue.join(texts)


def _named(value: Any, attribute: str | None) -> Any:
    if attribute is None:
        return value
    return value.get(attribute, "") if isinstance(value, Mapping) else _room().getattr(value, attribute)


def _replaced(value: Any, old: str, new: str, count: int | None = None) -> str:
    text, times = str(value), -1 if count is None else count
    _left.get().make(_made(text, "replace", (old, new)))
    made: str = text.replace(str(old), str(new), times)
    return made


def _json(value: Any, indent: int | None = None, **_: Any) -> str:
    _small(value)
    if indent is not None and not 0 <= indent <= 8:
        raise TemplateFaultError("tojson: an indent of 0 to 8")
    separators = None if indent is None else (",", ": ")
    made: str = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)
    _left.get().make(len(made))
    return made


def _made(text: str, method: str, arguments: tuple[Any, ...]) -> int:
    """How long a method's answer can be."""
    if method == "replace" and len(arguments) >= 2:
        old, new = str(arguments[0]), str(arguments[1])
        return len(text) + text.count(old) * max(0, len(new) - len(old))
    if method == "join" and arguments and isinstance(arguments[0], list | tuple):
        return sum(_size(value) + len(text) for value in arguments[0])
    return len(text)


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | bytes) else 0


def _times(value: Any) -> int:
    return max(0, value) if isinstance(value, int) else 0


def _bits(number: int) -> int:
    if number.bit_length() > _BITS:
        raise TemplateFaultError("a number of too many digits")
    return 0
