"""The rules of the house that no linter knows: sizes, names, docstrings, where vendors may be named, links."""

import ast
import re
import statistics
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.wire import WIRES

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "parley"
GENERATED = "# @generated"
LONGEST_FILE = 400
LONGEST_WIRE_FILE = 500
LONGEST_FUNCTION = 50
MEDIAN_FUNCTION = 8
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "base", "common", "misc"}

# Words of ordinary English or of every model server; as vendor names they would forbid plain sentences.
NOT_ONLY_VENDORS = {"echo", "local", "together", "custom"}
MAY_NAME_VENDORS = ("wire/",)
# Sentences to people, a dialect's paths, names of headers.
SAID = re.compile(r"\s|^/|^[a-z]+(-[a-z]+)+$")

Function = ast.FunctionDef | ast.AsyncFunctionDef
MODULES = sorted(SOURCE.rglob("*.py"))
HAND_WRITTEN = [
    path
    for folder in ("src", "spec", "tests", "bench", "scripts")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if GENERATED not in path.read_text(encoding="utf-8")[:200]
]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(function: Function) -> int:
    """Lines of code: from ``def`` to the end, without the docstring."""
    lines = function.end_lineno - function.lineno + 1 if function.end_lineno else 1
    first = function.body[0]
    if ast.get_docstring(function) is not None and len(function.body) > 1 and first.end_lineno:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def public_names(tree: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Classes, functions and methods that others may use; overloads speak for none of them."""
    for node in tree.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        yield prefix + node.name, node
        if isinstance(node, ast.ClassDef):
            yield from public_names(node, f"{prefix}{node.name}.")


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Every text file of the tree that is written by us."""
    skipped = {".git", ".venv", ".cache", "__pycache__", ".hypothesis"}
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part in skipped or part.endswith("_cache") for part in parts)
        if hidden or not path.is_file() or path == Path(__file__):
            continue
        try:
            yield name_of(path), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


@pytest.mark.parametrize("path", HAND_WRITTEN, ids=name_of)
def test_a_file_is_short(path: Path) -> None:
    limit = LONGEST_WIRE_FILE if SOURCE / "wire" in path.parents else LONGEST_FILE
    assert len(path.read_text(encoding="utf-8").splitlines()) <= limit


@pytest.mark.parametrize("path", HAND_WRITTEN, ids=name_of)
def test_a_function_is_short(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert {found.name: length(found) for found in functions(tree) if length(found) > LONGEST_FUNCTION} == {}


def test_the_median_function_is_short() -> None:
    lengths: dict[str, list[int]] = {}
    for path in MODULES:
        package = path.relative_to(SOURCE).parts[0] if path.parent != SOURCE else "parley"
        found = [length(function) for function in functions(ast.parse(path.read_text(encoding="utf-8")))]
        lengths.setdefault(package, []).extend(found)
    medians = {package: statistics.median(found) for package, found in lengths.items() if found}
    assert medians
    assert {package: median for package, median in medians.items() if median > MEDIAN_FUNCTION} == {}


@pytest.mark.parametrize("path", [path for path in MODULES if path in HAND_WRITTEN], ids=name_of)
def test_every_public_name_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bare = [name for name, node in public_names(tree) if ast.get_docstring(node) is None]
    assert bare == []
    assert ast.get_docstring(tree) is not None


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_file_is_named_after_what_it_holds(path: Path) -> None:
    words = set(path.stem.split("_")) | set(path.parent.name.split("_"))
    assert words.isdisjoint(VAGUE_NAMES)


def vendor_names() -> set[str]:
    """Names of the vendor table's rows."""
    table = tomllib.loads((SOURCE / "vendors.toml").read_text(encoding="utf-8"))
    return set(table["vendors"]) - NOT_ONLY_VENDORS


def code_words(tree: ast.AST) -> Iterator[str]:
    """Identifiers, and strings a program could decide by: not sentences, paths or names of headers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not SAID.search(node.value):
            yield node.value
        for attribute in ("id", "attr", "arg", "name", "asname"):
            if isinstance(word := getattr(node, attribute, None), str):
                yield word


def test_the_vendor_table_has_rows_to_look_for() -> None:
    assert {"groq", "mistral"} <= vendor_names()


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in MODULES
        if path in HAND_WRITTEN and not name_of(path).removeprefix("src/parley/").startswith(MAY_NAME_VENDORS)
    ],
    ids=name_of,
)
def test_no_vendor_is_named_in_code(path: Path) -> None:
    wanted = re.compile(
        r"(?<![a-z])(" + "|".join(map(re.escape, sorted(vendor_names()))) + r")(?![a-z])", re.IGNORECASE
    )
    words = code_words(ast.parse(path.read_text(encoding="utf-8")))
    assert sorted({word for word in words if wanted.search(word) and word not in WIRES}) == []


def imported(tree: ast.AST) -> Iterator[str]:
    """Names of imported modules, and of what is taken from a package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", sorted((SOURCE / "wire").glob("*_*.py")), ids=name_of)
def test_the_parts_of_a_wire_import_no_other_wire(path: Path) -> None:
    families = {target.split(":")[0].rpartition(".")[2].split("_")[0] for target in WIRES.values()}
    own = path.stem.split("_")[0]
    taken = [name.split(".") for name in imported(ast.parse(path.read_text(encoding="utf-8")))]
    others = {parts[2].split("_")[0] for parts in taken if parts[:2] == ["parley", "wire"]} & families - {own}
    assert own not in families or others == set()


# Assembled, so that this file does not hold what it forbids.
FOREIGN = re.compile(
    "|".join(
        [
            r"(?<![\w.$}])/(?:" + "work|root|home/[a-z]+|Users/[A-Za-z]+" + r")/",
            r"(?:files\.pythonhosted|pypi\.python)\." + "org",
            r"\bpypi\." + r"org\b",
            r"registry\.npmjs\." + "org",
            r"deb\.debian\." + "org",
        ]
    )
)


def test_nothing_names_a_machine_or_a_registry() -> None:
    found = {name: match.group() for name, text in tracked_texts() if (match := FOREIGN.search(text))}
    assert found == {}


def links(text: str) -> list[str]:
    """Targets of Markdown links into the repository."""
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]


@pytest.mark.parametrize(
    "path", [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "bench" / "README.md"], ids=name_of
)
def test_links_lead_somewhere(path: Path) -> None:
    missing = [target for target in links(path.read_text(encoding="utf-8")) if not (path.parent / target).exists()]
    assert missing == []


def test_the_readme_has_links() -> None:
    assert len(links((ROOT / "README.md").read_text(encoding="utf-8"))) >= 3


def test_the_changelog_says_what_is_unreleased() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[Unreleased\]\n+### (Added|Changed|Fixed|Removed)\n+- \S", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["core", "dev"])
def test_every_locked_package_has_hashes(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    blocks = re.findall(r"^[a-z0-9][^\n]*(?:\n +[^\n]*)*", text, re.MULTILINE)
    assert len(blocks) >= 10
    assert [block.split()[0] for block in blocks if "==" not in block or "--hash=sha256:" not in block] == []


def test_the_lock_holds_every_direct_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    wanted = [*project["project"]["dependencies"], *groups["build"], *groups["dev"]]
    locked = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    found = {name.lower() for name in re.findall(r"^([A-Za-z0-9._-]+)==", locked, re.MULTILINE)}
    names = {re.split(r"[<>=;!~ \[]", requirement)[0].lower() for requirement in wanted}
    assert names - found == set()
