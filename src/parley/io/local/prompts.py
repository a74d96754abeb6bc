"""Templates of local models: which kind a file holds, and how each is carried out.

A Jinja chat template goes to the engine as it is. One in Go's manner, as model files of 2023 have them
(``{{.Input}}`` and text around it), becomes one; completions are put through it before they reach the engine.
"""

import re
from typing import Any, Final

_GO: Final = re.compile(r"\{\{-?\s*(?:\.|if\b|else\b|range\b|with\b|end\b|template\b|\$)")
_MARK: Final = "\ufdd0input\ufdd1"
_NEWLINE: Final = '{{ "\\n" }}'
_MESSAGES: Final = (
    "{% for message in messages %}{{ message.content }}"
    f"{{% if not loop.last %}}{_NEWLINE}{{% endif %}}{{% endfor %}}"
)


def in_go(text: str) -> bool:
    """Whether a template is in Go's manner."""
    return "{%" not in text and _GO.search(text) is not None


def for_chat(text: str) -> bool:
    """Whether a Jinja template renders a conversation, so that it is not meant for completions."""
    return not in_go(text) and "messages" in text


def as_chat_template(text: str) -> str:
    """The Jinja chat template that this one means. Raises ValueError where it has no place for the request's text."""
    if not in_go(text):
        return text
    from parley.shaping import Template

    pieces = Template(text).render(Input=_MARK).split(_MARK)
    if len(pieces) < 2:
        raise ValueError("the template has no place for the request's text, {{.Input}}")
    return _MESSAGES.join(_literal(piece) for piece in pieces)


def as_prompt(template: Any, prompt: str) -> str:
    """A completion's prompt put through ``template`` (a Template of parley.shaping)."""
    return str(template.render(Input=prompt, input=prompt, prompt=prompt))


def _literal(text: str) -> str:
    if not text:
        return ""
    for sign, written in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(sign, written)
    return f'{{{{ "{text}" }}}}'
