"""One mistake in a configuration: where it is, what was expected, how to mend it. Secrets never show."""

import re
from collections.abc import Iterable

from msgspec import Struct

SECRET_KEY = re.compile(
    r"""(?ix) ["']? [\w.\- ]*
    (?: key | token (?! s) | secret | passw | authoriz | credential )
    [\w.\-]* ["']? \s* : \s* """
)
SECRET_TEXT = re.compile(
    r"""(?x)
    \b (?: sk | pk | rk | gsk | hf | xai | nvapi | ghp | ghu | r8 | csk | pplx | fw | AIza ) [-_]? [A-Za-z0-9_\-]{8,}
    | (?i: \b bearer \s+ ) [^\s"']+
    | (?<= ://) [^\s/@"']* @
    | \b (?= [A-Za-z_\-]* \d ) (?= [0-9_\-]* [A-Za-z] ) [A-Za-z0-9_\-]{32,} \b
    """
)
SECRET_NAME = re.compile(r"(?i)key|token(?!s)|secret|passw|authoriz|credential")
REFERENCE = re.compile(r"\$\{\w+(?::-)?\}|os\.environ/\w+|env\.\w+|file:\S+")


class Problem(Struct, frozen=True):
    """One mistake. ``line`` and ``column`` count from 1; 0 where there is no line (environment, missing file).

    ``source`` is the line as written, with secrets masked and columns kept; ``hint`` is the way out.
    """

    file: str
    line: int
    column: int
    message: str
    hint: str = ""
    source: str = ""

    @property
    def where(self) -> str:
        """``file:line:column``, as editors and terminals understand it."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


def render(problem: Problem, color: bool = False) -> str:
    """The problem for people: place and message, the line, a caret, the way out. No final newline."""
    lines = [f"{_paint(problem.where, '1', color)}: {problem.message}"]
    if problem.line and problem.source:
        number = str(problem.line)
        pad = " " * (problem.column - 1)
        lines.append(f"  {number} | {problem.source}")
        lines.append(f"  {' ' * len(number)} | {pad}{_paint('^', '1;31', color)}")
    if problem.hint:
        lines.append(f"  {_paint('fix:', '32', color)} {problem.hint}")
    return "\n".join(lines)


def scrub(text: str) -> str:
    """Text with everything that looks like a secret replaced by as many asterisks."""
    return SECRET_TEXT.sub(lambda found: "*" * len(found[0]), text)


def mask(line: str, spans: Iterable[tuple[int, int]] = ()) -> str:
    """A source line without secrets: known ``spans`` (columns from 0) and whatever stands behind a key's name."""
    for start, stop in spans:
        line = _hide(line, start, min(stop, len(line)))
    for found in SECRET_KEY.finditer(line):
        line = _hide(line, found.end(), _value_end(line, found.end()))
    return scrub(line)


def suggest(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """ "did you mean ..." for the nearest known word, best one that begins so, else ``otherwise``."""
    import difflib

    lowered, words = word.lower(), list(known)
    near = sorted((one for one in words if len(word) > 3 and one.lower().startswith(lowered)), key=len)
    near = near or difflib.get_close_matches(lowered, words, n=1, cutoff=0.67)
    return f'did you mean "{near[0]}"?' if near else otherwise


def listed(words: Iterable[str]) -> str:
    """ "a, b or c"."""
    *most, last = list(words)
    return f"{', '.join(most)} or {last}" if most else last


def _hide(line: str, start: int, stop: int) -> str:
    """Asterisks for a span, but a bare reference to a variable or file may stay."""
    value = line[start:stop]
    bare = value.strip().strip("\"'")
    if not bare or REFERENCE.fullmatch(bare):
        return line
    return line[:start] + re.sub(r"[^\s\[\]{},\"'*]", "*", value) + line[stop:]


def _value_end(line: str, start: int) -> int:
    """Where the value that begins at ``start`` ends on its line."""
    rest = line[start:]
    if rest.startswith(("${", '"', "'")):
        closing = rest.find("}" if rest[0] == "$" else rest[0], 1)
        return start + closing + 1 if closing > 0 else len(line)
    if rest.startswith("["):
        closing = rest.find("]")
        return start + closing + 1 if closing > 0 else len(line)
    stop = re.search(r"[,}]|\s#", rest)
    return start + stop.start() if stop else len(line)


def _paint(text: str, code: str, color: bool) -> str:
    """ANSI colour, if wanted."""
    return f"\x1b[{code}m{text}\x1b[0m" if color else text
