"""How the wheel is made: what is compiled, what is done without a compiler, and what compiling must not change."""

import ast
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
sys.path.insert(0, str(ROOT))
from hatch_build import Split, compiled_modules  # noqa: E402  (a file beside the package, not in it)

sys.path.remove(str(ROOT))

TABLE: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
CONFIG: dict[str, list[str]] = TABLE["targets"]["wheel"]["hooks"]["custom"]
MODULES = compiled_modules(CONFIG, SOURCE)


def protocols(module: Path) -> list[str]:
    classes = [node for node in ast.walk(ast.parse(module.read_text("utf-8"))) if isinstance(node, ast.ClassDef)]
    return [node.name for node in classes if any(ast.unparse(base) == "Protocol" for base in node.bases)]


PROTOCOLS = {name for module in MODULES for name in protocols(module)}
NO_COMPILER = {"CC": "no-such-compiler"}


def build(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "PARLEY_COMPILE"}
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    return subprocess.run(
        command, cwd=ROOT, env=inherited | env, capture_output=True, text=True, check=False, timeout=90
    )


def test_every_pattern_names_a_file_and_exceptions_are_exceptions() -> None:
    for pattern in CONFIG["modules"] + CONFIG["interpreted"]:
        assert list(SOURCE.glob(pattern)), pattern
    listed = {path for pattern in CONFIG["modules"] for path in SOURCE.glob(pattern)}
    assert {path for pattern in CONFIG["interpreted"] for path in SOURCE.glob(pattern)} < listed
    assert SOURCE / "parley/gateway/job.py" in MODULES


def test_without_compiling_the_wheel_is_pure_and_whole(tmp_path: Path) -> None:
    done = build(tmp_path, PARLEY_COMPILE="0")
    assert done.returncode == 0, done.stderr
    assert "plain Python" not in done.stderr
    [wheel] = tmp_path.iterdir()
    assert wheel.name.endswith("-py3-none-any.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py")} <= held
    assert "parley/vendors.toml" in held
    assert not [name for name in held if name.endswith((".so", "_values.py"))]


def test_without_a_compiler_one_line_says_why(tmp_path: Path) -> None:
    done = build(tmp_path, **NO_COMPILER)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if "plain Python" in line]
    assert len(told) == 1
    assert "there is no C compiler (no-such-compiler)" in told[0]
    assert [path.name.endswith("-py3-none-any.whl") for path in tmp_path.iterdir()] == [True]


def test_a_compiler_may_be_demanded(tmp_path: Path) -> None:
    done = build(tmp_path, PARLEY_COMPILE="1", **NO_COMPILER)
    assert done.returncode != 0
    assert "PARLEY_COMPILE=1, but there is no C compiler" in done.stderr
    assert list(tmp_path.iterdir()) == []


STRUCTS = '''"""A module."""

from msgspec import Struct

_NONE = 0


class Point(Struct, frozen=True, kw_only=True):
    """Two numbers."""

    x: int | None = _NONE
    y: tuple[int, ...]


class Named(Point, frozen=True, tag="named"):
    name: str


def here() -> int:
    return _NONE
'''


def test_structs_are_taken_out_with_what_they_are_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    split = Split(STRUCTS, "parley._here_values")
    assert split.rest is not None
    assert "class" not in split.rest
    assert "from parley._here_values import Named, Point, _NONE" in split.rest
    before, after = STRUCTS.splitlines(), split.rest.splitlines()
    assert after.index("def here() -> int:") == before.index("def here() -> int:")
    monkeypatch.setitem(sys.modules, "here", type(sys)("here"))
    values: dict[str, Any] = {"__name__": "here"}
    exec(split.values, values)
    made = values["Named"](x=1, y=(2,), name="a")
    assert isinstance(made, Struct)
    assert made.__struct_config__.frozen
    assert made.__struct_config__.tag == "named"


@pytest.mark.parametrize("need", ["x: int = made()", "x: Other"])
def test_what_needs_more_than_values_is_not_compiled(need: str) -> None:
    text = f"from msgspec import Struct\ndef made(): return 1\nclass Other: pass\nclass Point(Struct):\n    {need}\n"
    assert Split(text, "parley._here_values").rest is None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_means_the_same_when_compiled(path: Path) -> None:
    """What mypyc would get wrong without a word: Structs, and defaults of None beside a protocol or two other types."""
    rest = Split(path.read_text(encoding="utf-8"), "parley._values").rest
    if rest is None:
        assert path.relative_to(SOURCE).name == "__init__.py"
        return
    for node in ast.walk(ast.parse(rest)):
        if not isinstance(node, ast.ClassDef):
            continue
        assert "Struct" not in [ast.unparse(base) for base in node.bases]
        for default in node.body:
            if (
                isinstance(default, ast.AnnAssign)
                and isinstance(default.value, ast.Constant)
                and not default.value.value
            ):
                kinds = ast.unparse(default.annotation).strip("'").split(" | ")
                assert default.value.value is not None or (len(kinds) == 2 and PROTOCOLS.isdisjoint(kinds)), node.name
