"""One document of a component file: what it is, and whether it is for us. Source: conversation contract section 3.1."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from parley.config.build import Builder
from parley.config.document import Document, Path
from parley.config.report import Report

API: Final = "dapr.io/v1alpha1"
_TRUE: Final = frozenset({"y", "yes", "true", "t", "on", "1"})


class Property(Struct, frozen=True):
    """One entry of ``spec.metadata``, not yet resolved. ``value`` is None where it is not given in the file; ``path``
    is where it stands."""

    name: str
    path: Path
    value: str | None = None
    secret: tuple[str, str] | None = None
    variable: str | None = None


class Resource(Struct, frozen=True, kw_only=True):
    """A component. ``kind`` is spec.type in lower case, ``store`` the secret store that its properties name."""

    name: str
    namespace: str
    kind: str
    version: str
    ignores_errors: bool
    properties: tuple[Property, ...]
    store: str
    scopes: tuple[str, ...]
    report: Report

    def add(self, path: Path, message: str, hint: str = "", key: bool = False) -> None:
        """A mistake in its document."""
        self.report.add(path, message, hint, key)


def value_of(document: Document) -> tuple[Any, Report]:
    """The plain data of a document, and where its mistakes go. References to variables are not followed in it."""
    return Builder(document, None).build(), Report(document)


def is_ours(value: Any, kind: str) -> bool:
    """Whether plain data is a document of that kind."""
    return isinstance(value, dict) and value.get("apiVersion") == API and value.get("kind") == kind


def text_of(value: Any) -> str:
    """A YAML scalar as its text: numbers and truth values become theirs, nothing is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def is_true(text: str) -> bool:
    """How Dapr reads a truth value."""
    return text.strip().lower() in _TRUE


def resource_of(value: Mapping[str, Any], report: Report) -> Resource | None:
    """The component, None where it has no name or no type."""
    head, spec = value.get("metadata"), value.get("spec")
    name = head.get("name") if isinstance(head, dict) else None
    if not isinstance(name, str) or not _is_name(name):
        hint = "a name is not empty, has no / and no %, and is not . or .."
        report.add(("metadata", "name"), "a component needs a name in metadata.name", hint)
        return None
    kind = spec.get("type") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(kind, str) or not kind.strip():
        report.add(("spec", "type"), "a component needs a type in spec.type", "such as conversation.openai")
        return None
    auth = value.get("auth")
    return Resource(
        name=name,
        namespace=text_of(head.get("namespace")) if isinstance(head, dict) else "",
        kind=kind.strip().lower(),
        version=text_of(spec.get("version")) or "v1",
        ignores_errors=is_true(text_of(spec.get("ignoreErrors"))),
        properties=_properties(spec.get("metadata"), report),
        store=text_of(auth.get("secretStore")) if isinstance(auth, dict) else "",
        scopes=texts_of(value.get("scopes"), ("scopes",), report),
        report=report,
    )


def _is_name(name: str) -> bool:
    return bool(name) and name not in (".", "..") and "/" not in name and "%" not in name and name.isprintable()


def texts_of(given: Any, path: Path, report: Report) -> tuple[str, ...]:
    """A list of texts, empty where it is left out."""
    if given is None:
        return ()
    if not isinstance(given, list):
        report.add(path, "expected a list")
        return ()
    return tuple(text_of(one) for one in given)


def _properties(given: Any, report: Report) -> tuple[Property, ...]:
    """The entries of spec.metadata; two names that are equal but for their case are a mistake."""
    place: Path = ("spec", "metadata")
    if given is None:
        return ()
    if not isinstance(given, list):
        report.add(place, "expected a list of names and values", "- {name: model, value: gpt-5-nano}")
        return ()
    made: dict[str, Property] = {}
    for index, item in enumerate(given):
        found = _property(item, (*place, index), report)
        if found is None:
            continue
        if found.name.lower() in made:
            report.add((*place, index), f'the property "{found.name}" is given twice', "names differ in more than case")
        made[found.name.lower()] = found
    return tuple(made.values())


def _property(item: Any, path: Path, report: Report) -> Property | None:
    name = item.get("name") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(name, str) or not name.strip():
        report.add(path, "a property has a name and a value", "- {name: model, value: gpt-5-nano}")
        return None
    given = item.get("value")
    if isinstance(given, (dict, list)):
        report.add((*path, "value"), f'the value of "{name}" must be text, a number or true or false')
        return None
    reference = item.get("secretKeyRef")
    secret = None
    if isinstance(reference, dict) and text_of(reference.get("name")):
        secret = text_of(reference["name"]), text_of(reference.get("key")) or text_of(reference["name"])
    elif reference is not None:
        report.add((*path, "secretKeyRef"), "expected the name of a secret", "secretKeyRef: {name: NAME, key: KEY}")
    variable = None if item.get("envRef") is None else text_of(item["envRef"])
    value = None if given is None else text_of(given)
    return Property(name.strip(), path, value, secret, variable)
