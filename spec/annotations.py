"""JSON Schema of Python annotations: TypedDicts (what is sent) and pydantic models (what is answered)."""

import datetime
import os
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typing_extensions as te
from msgspec.json import encode
from openai._types import SequenceNotStr
from pydantic import BaseModel

Schema = dict[str, Any]

_SCALARS: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    object: {},
    Any: {},
    dict: {"type": "object"},
    datetime.datetime: {"type": "string", "format": "date-time"},
}
_LISTS = (list, Iterable, Sequence, SequenceNotStr, tuple)
_UNIONS: tuple[Any, ...] = (typing.Union, types.UnionType)
_FILE = {"type": "string", "format": "binary"}
_FILE_FORMS = (typing.IO, bytes, os.PathLike)
_REFERENCE = "#/components/schemas/"


class Schemas:
    """The schemas of annotations; ``components`` holds every named type met so far."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}
        self._owners: dict[str, Any] = {}

    def of(self, annotation: Any) -> Schema:
        """The schema of one annotation, as a reference where it is a named type."""
        if annotation in _SCALARS:
            return dict(_SCALARS[annotation])
        if te.is_typeddict(annotation) or _is_model(annotation):
            return {"$ref": _REFERENCE + self._named(annotation)}
        if isinstance(annotation, te.TypeAliasType):
            return self.of(annotation.__value__)
        return self._generic(annotation, te.get_origin(annotation), te.get_args(annotation))

    def members(self, annotation: Any) -> tuple[dict[str, Schema], list[str]]:
        """Properties and required names of a parameters' type; variants (streaming or not) become one."""
        if te.get_origin(annotation) in _UNIONS:
            return _merged([self.members(variant) for variant in te.get_args(annotation)])
        if _is_model(annotation):
            return self._of_model(annotation)
        return self._of_typed_dict(annotation)

    def _generic(self, annotation: Any, origin: Any, given: tuple[Any, ...]) -> Schema:
        if annotation in _FILE_FORMS or origin in _FILE_FORMS:
            return dict(_FILE)
        if origin in (te.Annotated, te.Required, te.NotRequired):
            return self.of(given[0])
        if origin is te.Literal:
            return _choice(list(given))
        if origin in _UNIONS:
            return self._union(given)
        if origin in (dict, Mapping):
            return {"type": "object", "additionalProperties": self.of(given[1]) or True}
        if origin in _LISTS or annotation in _LISTS:
            return {"type": "array", "items": self.of(given[0]) if given else {}}
        raise TypeError(f"no schema is known for {annotation!r}")

    def _union(self, given: tuple[Any, ...]) -> Schema:
        found = [self.of(one) for one in given if te.get_origin(one) is not tuple]
        if _FILE in found:
            # A file may be given to the SDK in many forms; text beside it is the file in base64.
            text = [one for one in found if one == {"type": "string"}]
            found = text or [one for one in found if one in (_FILE, {"type": "null"}) or one.get("type") == "array"]
        return self._alternatives(_flat(found))

    def _alternatives(self, found: list[Schema]) -> Schema:
        if {} in found:
            return {}
        nullable = {"type": "null"} in found
        found = _distinct([one for one in found if one != {"type": "null"}])
        if {"type": "string"} in found:
            found = [one for one in found if not _is_words(one)]
        words = [word for one in found if _is_words(one) for word in _words(one)]
        others = [one for one in found if not _is_words(one) and "$ref" not in one]
        if words:
            others.insert(0, _choice(list(dict.fromkeys(words))))
        named = [one for one in found if "$ref" in one]
        tagged = self._tagged(named) if len(named) > 1 else None
        others += [tagged] if tagged else named
        if len(others) == 1:
            return _nullable(others[0]) if nullable else others[0]
        return {"anyOf": [*others, {"type": "null"}] if nullable else others}

    def _tagged(self, found: list[Schema]) -> Schema | None:
        """Objects told apart by a member that each must have, with words of its own."""
        targets = {one["$ref"]: self.components[one["$ref"].removeprefix(_REFERENCE)] for one in found}
        for name in ("type", "role", "mode", "object", "code"):
            mapping: dict[str, str] = {}
            for reference, target in targets.items():
                words = _words(target.get("properties", {}).get(name, {})) if name in target.get("required", []) else []
                if not words or any(word in mapping for word in words):
                    break
                mapping.update(dict.fromkeys(words, reference))
            else:
                return {"oneOf": found, "discriminator": {"propertyName": name, "mapping": mapping}}
        return None

    def _named(self, kind: Any) -> str:
        name = self._name(kind)
        if name not in self.components:
            self._owners[name] = kind
            self.components[name] = {}  # What refers to itself finds its name taken.
            properties, required = self.members(kind)
            self.components[name].update(_object(properties, required))
        return name

    def _name(self, kind: Any) -> str:
        *places, module = kind.__module__.removeprefix("openai.types.").split(".")
        plain: str = kind.__name__
        home = _camel(module)
        name = plain if plain.lower().startswith(home.lower()) else home + plain
        if self._owners.get(name, kind) is not kind:
            name = "".join(map(_camel, places)) + name
        if self._owners.get(name, kind) is not kind:
            raise ValueError(f"two types would both be called {name}")
        return name

    def _of_typed_dict(self, kind: Any) -> tuple[dict[str, Schema], list[str]]:
        properties: dict[str, Schema] = {}
        required: list[str] = []
        for field, hint in te.get_type_hints(kind, include_extras=True).items():
            name = _alias(hint) or field
            properties[name] = self.of(hint)
            if te.get_origin(hint) is te.Required:
                required.append(name)
        return properties, required

    def _of_model(self, kind: type[BaseModel]) -> tuple[dict[str, Schema], list[str]]:
        properties = {field.alias or name: self.of(field.annotation) for name, field in kind.model_fields.items()}
        return properties, [field.alias or name for name, field in kind.model_fields.items() if field.is_required()]


def object_schema(properties: dict[str, Schema], required: list[str]) -> Schema:
    """An object that may have more members than these."""
    return _object(properties, required)


def _object(properties: dict[str, Schema], required: list[str]) -> Schema:
    found: Schema = {"type": "object", "properties": properties}
    if required:
        found["required"] = required
    return found


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _choice(values: list[Any]) -> Schema:
    kinds = {bool: "boolean", str: "string", int: "integer"}
    kind = kinds[type(values[0])]
    return {"type": kind, "const": values[0]} if len(values) == 1 else {"type": kind, "enum": values}


def _is_words(schema: Schema) -> bool:
    return schema.get("type") == "string" and ("enum" in schema or "const" in schema)


def _words(schema: Schema) -> list[Any]:
    return schema["enum"] if "enum" in schema else [schema["const"]] if "const" in schema else []


def _nullable(schema: Schema) -> Schema:
    if not isinstance(schema.get("type"), str) or "const" in schema or "additionalProperties" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    return schema | {"type": [schema["type"], "null"]} | ({"enum": [*schema["enum"], None]} if "enum" in schema else {})


def _flat(found: list[Schema]) -> list[Schema]:
    """Alternatives of alternatives are alternatives."""
    flat: list[Schema] = []
    for one in found:
        if isinstance(one.get("type"), list):
            words = [word for word in one.get("enum", []) if word is not None]
            flat += [one | {"type": one["type"][0]} | ({"enum": words} if words else {}), {"type": "null"}]
        else:
            flat += _flat(one["anyOf"]) if "anyOf" in one else one.get("oneOf", [one])
    return flat


def _distinct(found: list[Schema]) -> list[Schema]:
    return list({encode(one): one for one in found}.values())


def _merged(variants: list[tuple[dict[str, Schema], list[str]]]) -> tuple[dict[str, Schema], list[str]]:
    names = dict.fromkeys(name for properties, _ in variants for name in properties)
    merged = {name: _one([properties[name] for properties, _ in variants if name in properties]) for name in names}
    return merged, [name for name in names if all(name in required for _, required in variants)]


def _one(found: list[Schema]) -> Schema:
    """One schema for a member that variants type differently: in the SDK that is only ``stream``."""
    distinct = _distinct(_flat(found))
    if len(_distinct(found)) == 1:
        return found[0]
    if all(one.get("type") in ("boolean", "null") for one in distinct):
        return {"type": ["boolean", "null"] if {"type": "null"} in distinct else "boolean"}
    return {"anyOf": distinct}


def _alias(hint: Any) -> str | None:
    """The name on the wire, where an annotation gives one."""
    while te.get_origin(hint) in (te.Required, te.NotRequired):
        hint = te.get_args(hint)[0]
    notes = getattr(hint, "__metadata__", ())
    return next((note.alias for note in notes if getattr(note, "alias", None)), None)


def _camel(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))
