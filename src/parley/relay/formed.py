"""How a multipart request goes to its target: fields are edited, files stay where they are."""

from typing import Any

from parley import jsontext
from parley.multipart import Form
from parley.relay.request import Outgoing, Passage


def outgoing_form(way: Passage, form: Form) -> Outgoing:
    """The same for a multipart request: fields are set or added, files stay where they are."""
    given = {part.name.removesuffix("[]") for part in form.parts}
    values = {name: value for name, value in way.defaults.items() if name not in given} | dict(way.overrides)
    changes: dict[str, tuple[str, ...] | None] = {}
    for name, value in values.items():
        changes |= {name: None, f"{name}[]": None}
        changes[f"{name}[]" if isinstance(value, list) else name] = _texts(value)
    if form.field("model") != way.target.model:
        changes["model"] = (way.target.model,)
    return Outgoing(form.edited(changes) if changes else (form.body,))


def _texts(value: Any) -> tuple[str, ...] | None:
    """A field's value as forms write it."""
    if value is None:
        return None
    if isinstance(value, list):
        return tuple(text for item in value for text in _texts(item) or ())
    return (value if isinstance(value, str) else jsontext.encode(value).decode(),)
