"""From the SDK's document to what the package holds: the public document, the table of operations, the models."""

from copy import deepcopy
from pathlib import Path
from typing import Any

from msgspec import json

from spec import extensions
from spec.derive import document
from spec.models import SOURCES, modules
from spec.overlay import apply, read
from spec.resources import MOUNT, calls

HERE = Path(__file__).parent
ROOT = HERE.parent
DERIVED = "spec/openai.json"
API = "src/parley/api"
SERVED = "x-parley-served"
_SCHEMAS = "#/components/schemas/"
_APART = "not implemented"
_NOT_IMPLEMENTED = {"501": {"$ref": "#/components/responses/NotImplemented"}}


def derived() -> dict[str, Any]:
    """What the installed SDK says, in full for what the overlay serves."""
    found = calls()
    actions = [action for action in read(HERE / "overlay.yaml") if SERVED in action.get("update", {})]
    names = apply(document(found, frozenset()), actions)
    served = {(path, method) for path, item in names["paths"].items() for method in item if item[method].get(SERVED)}
    return document(found, served)


def files() -> dict[str, str]:
    """Every generated file by its path in the repository."""
    plain = derived()
    ours = apply(plain, read(HERE / "overlay.yaml"))
    whole = apply(ours, extensions.actions(ours))
    public = restricted(whole)
    made = {
        DERIVED: _indented(plain),
        f"{API}/openapi.json": _indented(public),
        f"{API}/operations.json": _table(public),
    }
    loosened = apply(whole, read(HERE / "models.yaml"))
    sources = {name: request(loosened, operation_id) for name, operation_id in SOURCES.items()}
    return made | {f"{API}/models/{name}": text for name, text in modules(sources).items()}


def write() -> list[str]:
    """Write what differs from the tree; its paths. Models of operations that are gone are removed."""
    made = files()
    changed = [
        name for name, text in made.items() if not (path := ROOT / name).exists() or path.read_text("utf-8") != text
    ]
    for name in changed:
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(made[name], encoding="utf-8")
    for path in sorted((ROOT / API / "models").glob("*.py")):
        if (name := str(path.relative_to(ROOT))) not in made:
            path.unlink()
            changed.append(f"{name} (removed)")
    return changed


def restricted(whole: dict[str, Any]) -> dict[str, Any]:
    """The document with what is not served reduced to its 501 answer, and without what nobody refers to."""
    found = deepcopy(whole)
    for item in found["paths"].values():
        for operation in item.values():
            twins = operation.pop("x-twins", None)
            if twins:
                operation["x-parley-twins"] = [twin | {SERVED: False} for twin in twins]
            if operation.setdefault(SERVED, False) is not True:
                operation |= {"responses": deepcopy(_NOT_IMPLEMENTED), "tags": [_APART]}
    served = {tag for item in found["paths"].values() for operation in item.values() for tag in operation["tags"]}
    found["tags"] = [{"name": name} for name in [*sorted(served - {_APART}), _APART]]
    found["components"]["schemas"] = reachable(found, found["paths"])
    return found


def reachable(whole: dict[str, Any], start: Any) -> dict[str, Any]:
    """The schemas that ``start`` refers to, or what it refers to does; answers and parameters included."""
    schemas = whole["components"]["schemas"]
    found: set[str] = set()
    waiting = [start, whole["components"].get("responses")]
    while waiting:
        new = {name for name in _references(waiting.pop()) if name not in found}
        found |= new
        waiting.extend(schemas[name] for name in new)
    return {name: schemas[name] for name in sorted(found)}


def request(whole: dict[str, Any], operation_id: str) -> dict[str, Any]:
    """A document of one operation's request body alone, for the generator of models."""
    [body] = [
        found["requestBody"]
        for item in whole["paths"].values()
        for found in item.values()
        if found["operationId"] == operation_id
    ]
    [content] = body["content"].values()
    name = content["schema"]["$ref"].removeprefix(_SCHEMAS)
    needed = reachable({"components": {"schemas": whole["components"]["schemas"]}}, content)
    needed = {"Request": needed.pop(name)} | needed
    return {"openapi": "3.1.0", "info": whole["info"], "paths": {}, "components": {"schemas": needed}}


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"].removeprefix(_SCHEMAS)} if str(value.get("$ref", "")).startswith(_SCHEMAS) else set()
        return own.union(*map(_references, value.values()))
    return set().union(*map(_references, value)) if isinstance(value, list) else set()


def _table(public: dict[str, Any]) -> str:
    rows = []
    for path, item in sorted(public["paths"].items()):
        if not path.startswith(f"{MOUNT}/"):
            continue
        for method, operation in sorted(item.items()):
            place = (method.upper(), path.removeprefix(MOUNT))
            rows.append((*place, operation["operationId"], operation[SERVED], ""))
            for twin in operation.get("x-parley-twins", []):
                rows.append((*place, twin["operationId"], twin[SERVED], twin["query"]))
    return "[\n" + ",\n".join(json.encode(row).decode() for row in rows) + "\n]\n"


def _indented(value: dict[str, Any]) -> str:
    return json.format(json.encode(value), indent=1).decode() + "\n"
