"""Form fields as the members of one object, nested where their names have brackets."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import DecodeError, Struct
from msgspec.inspect import BytesType, DictType, Field, ListType, StructType, Type, UnionType, type_info

from parley.failure import invalid

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_LEVEL = re.compile(r"\[([^\[\]]*)\]")
# Where a file stands; its content is nobody's business here.
_FILE = b""


class Form:
    """What a model's fields may be: files, lists, objects. Others are single texts."""

    def __init__(self, model: type[Struct]) -> None:
        info = type_info(model)
        assert isinstance(info, StructType)
        kinds = {field.encode_name: _kinds(field) for field in info.fields}
        self.names = frozenset(kinds)
        self.files = frozenset(name for name, found in kinds.items() if BytesType in found)
        self.lists = frozenset(name for name, found in kinds.items() if ListType in found)
        self.objects = frozenset(name for name, found in kinds.items() if found & {StructType, DictType})


def members(form: Form, fields: Mapping[str, list[str]], files: Iterable[str]) -> dict[str, Any]:
    """The object that the form means. Raises ``invalid_request`` for what cannot be one member."""
    found: dict[str, Any] = {}
    for name in files:
        plain = name.removesuffix("[]")
        if plain in form.names and plain not in form.files:
            raise invalid(f"{plain} must be text, not a file", plain)
        found[plain] = [_FILE] if name != plain else _FILE
    for name, texts in fields.items():
        _add(found, form, name, texts)
    return found


def _kinds(field: Field) -> set[type[Type]]:
    return {type(one) for one in (field.type.types if isinstance(field.type, UnionType) else (field.type,))}


def _add(found: dict[str, Any], form: Form, name: str, texts: list[str]) -> None:
    parts = _NAME.fullmatch(name)
    if parts is None:
        found[name] = texts  # Nobody declares such a name.
        return
    plain, levels = parts[1], _LEVEL.findall(parts[2])
    if plain in form.files:
        raise invalid(f"{plain} must be a file, sent with a file name", plain)
    if levels and levels[-1] == "":
        levels.pop()
        value: Any = texts
    elif not levels and plain in form.lists:
        value = texts
    else:
        value = _single(form, name, plain, texts, nested=bool(levels))
    _place(found, [plain, *levels], value, name)


def _single(form: Form, name: str, plain: str, texts: list[str], *, nested: bool) -> Any:
    if plain not in form.names:
        return texts
    if len(texts) != 1:
        raise invalid(f"{name} is given {len(texts)} times", plain)
    if nested or plain not in form.objects or not texts[0].lstrip().startswith("{"):
        return texts[0]
    try:
        return msgspec.json.decode(texts[0])
    except (DecodeError, RecursionError):
        raise invalid(f"{name} is not valid JSON", plain) from None


def _place(found: dict[str, Any], keys: list[str], value: Any, name: str) -> None:
    *above, last = keys
    for key in above:
        inner = found.setdefault(key, {})
        if not isinstance(inner, dict):
            raise invalid(f"{name} contradicts another field of the form", keys[0])
        found = inner
    if last in found:
        raise invalid(f"{name} is given twice", keys[0])
    found[last] = value
