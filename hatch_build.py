"""Build hook of the wheel: the data path is compiled by mypyc where that can be done; see docs/decisions/0002.

PARLEY_COMPILE=0 never compiles, PARLEY_COMPILE=1 fails where it cannot be done; without it a machine that cannot
gets the same wheel in plain Python. What is compiled is listed in pyproject.toml beside this hook's name.
``python hatch_build.py --can`` says why this machine cannot compile, or nothing.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
# One object file a module, compiled side by side: -O1 is as fast here as -O3, in a third of the time.
OPTIMIZATION = "1"
# The warning is fatal: mypyc then leaves out all defaults of the class.
_FATAL = re.compile(r"\berror: |Unsupported default attribute")


def wish() -> str:
    """PARLEY_COMPILE: "0" never, "1" always, "" where it can be done."""
    return os.environ.get("PARLEY_COMPILE", "")


def obstacle() -> str:
    """Why nothing can be compiled here; empty where nothing is in the way."""
    if sys.implementation.name != "cpython":
        return f"mypyc compiles for CPython, this is {sys.implementation.name}"
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler})"
    header = Path(sysconfig.get_path("include"), "Python.h")
    return "" if header.exists() else f"Python's headers are not installed ({header})"


def compiled_modules(config: dict[str, Any], source: Path) -> list[Path]:
    """Files below ``source`` that the hook's table names."""
    listed = {path for pattern in config["modules"] for path in source.glob(pattern)}
    left_out = {path for pattern in config["interpreted"] for path in source.glob(pattern)}
    return sorted(listed - left_out)


class Split:
    """A module whose Structs are moved into a sibling of plain Python, with all that they are made of.

    mypyc drops class keywords (frozen, kw_only, gc) and most field types, so what msgspec makes must not pass
    through it. ``rest`` is None where a Struct needs a function or another class: such a module is not compiled.
    Line numbers stay as they were.
    """

    def __init__(self, text: str, sibling: str) -> None:
        self.text, self.sibling = text, sibling
        self.tree = ast.parse(text)
        self.given: dict[str, ast.stmt] = {}
        for node in self.tree.body:
            self.given |= dict.fromkeys(_names_bound(node), node)
        self.moved: list[ast.stmt] = []
        self.possible = True
        for node in self.tree.body:
            if self._is_struct(node):
                self._move(node)

    @property
    def values(self) -> str:
        """The sibling's text; empty where the module has no Structs."""
        if not self.moved or not self.possible:
            return ""
        imports = [node for node in self.tree.body if isinstance(node, ast.Import | ast.ImportFrom | ast.If)]
        kept = sorted([*imports, *self.moved], key=lambda node: node.lineno)
        origin = '"""The Structs of the compiled module beside this file, made when the wheel was built."""'
        return "\n\n".join([origin, *(ast.unparse(node) for node in kept)]) + "\n"

    @property
    def rest(self) -> str | None:
        """The text to compile."""
        if not self.possible:
            return None
        lines = self.text.splitlines()
        for node in self.moved:
            lines[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or 0) - node.lineno + 1)
        if self.moved:
            names = sorted(name for node in self.moved for name in _names_bound(node))
            lines[min(node.lineno for node in self.moved) - 1] = f"from {self.sibling} import {', '.join(names)}"
        return "\n".join(lines) + "\n"

    def _is_struct(self, node: ast.stmt | None) -> bool:
        if not isinstance(node, ast.ClassDef):
            return False
        bases = [ast.unparse(base).removeprefix("msgspec.") for base in node.bases]
        return any(base == "Struct" or self._is_struct(self.given.get(base)) for base in bases)

    def _move(self, node: ast.stmt) -> None:
        if node in self.moved or isinstance(node, ast.Import | ast.ImportFrom | ast.If):
            return
        if not self._is_struct(node) and not isinstance(node, ast.Assign | ast.AnnAssign):
            self.possible = False
            return
        self.moved.append(node)
        for used in ast.walk(node):
            if isinstance(used, ast.Name) and used.id in self.given:
                self._move(self.given[used.id])


def _names_bound(node: ast.stmt) -> list[str]:
    """The names that a statement of a module gives a meaning to; those in an ``if`` are imports for types."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(name.asname or name.name).partition(".")[0] for name in node.names]
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    return [name for inner in node.body for name in _names_bound(inner)] if isinstance(node, ast.If) else []


def write_splits(modules: list[Path], source: Path, build: Path) -> tuple[list[str], list[str]]:
    """Fill ``build`` with the tree to compile: names of modules to compile, and of the siblings made for them."""
    shutil.copytree(source, build, ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache"))
    compiled, siblings = [], []
    for path in modules:
        name = path.relative_to(source)
        sibling = name.with_name(f"_{name.stem.strip('_')}_values.py")
        split = Split(path.read_text("utf-8"), ".".join(sibling.with_suffix("").parts))
        if split.rest is None:
            continue
        compiled.append(str(name))
        (build / name).write_text(split.rest, "utf-8")
        if split.values:
            siblings.append(str(sibling))
            (build / sibling).write_text(split.values, "utf-8")
    return compiled, siblings


class CompiledDataPath(BuildHookInterface[Any]):
    """Adds the compiled modules to the wheel, beside their sources."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the compiler needs beside hatchling; nothing where it will not run."""
        if wish() == "0" or obstacle():
            return []
        table = tomllib.loads(Path(self.root, "pyproject.toml").read_text("utf-8"))
        # Parley's own dependencies too: mypyc reads their types.
        return [*table["dependency-groups"]["compile"], *self.metadata.core.dependencies]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the wheel is put together. An editable install is what the sources say."""
        if self.target_name != "wheel" or version == "editable" or wish() == "0":
            return
        reason = obstacle() or self._compile(build_data)
        if not reason:
            return
        if wish() == "1":
            raise RuntimeError(f"PARLEY_COMPILE=1, but {reason}")
        self.app.display_warning(f"Parley is built in plain Python: {reason}. It works the same, only slower.")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called after the wheel is written."""
        shutil.rmtree(build_data.get("compiled", ""), ignore_errors=True)

    def _compile(self, build_data: dict[str, Any]) -> str:
        """Why it failed, or an empty string."""
        folder = tempfile.mkdtemp(prefix="parley-build-")
        build_data["compiled"] = folder
        source, build, library = Path(self.root, "src"), Path(folder, "src"), Path(folder, "lib")
        modules, siblings = write_splits(compiled_modules(self.config, source), source, build)
        # In a process of its own: mypyc leaves by sys.exit and works in the current folder.
        done = subprocess.run(
            [sys.executable, str(ROOT / "hatch_build.py"), folder, *modules],
            cwd=build, capture_output=True, text=True, check=False,
        )  # fmt: skip
        wrong = [line for line in (done.stdout + done.stderr).splitlines() if _FATAL.search(line)]
        if done.returncode or wrong:
            return f"compiling failed ({wrong[0].strip() if wrong else f'exit code {done.returncode}'})"
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        made = {str(path): str(path.relative_to(library)) for path in library.rglob("*") if path.is_file()}
        build_data["force_include"].update(made | {str(build / name): name for name in siblings})
        return ""


def compile_modules(folder: Path, modules: list[str]) -> None:
    """Compile files below the current folder into ``folder``/lib; leaves by SystemExit where they are wrong."""
    import setuptools
    from mypyc.build import mypycify
    from setuptools.command.build_ext import build_ext

    class SideBySide(build_ext):
        """One compiler a core; setuptools runs one after the other within an extension."""

        def build_extension(self, ext: Any) -> None:
            """Compile every source by itself, the largest first, then link."""

            def compiled(source: str) -> list[str]:
                options = [flag for flag in ext.extra_compile_args if flag != "-Werror"]
                found: list[str] = self.compiler.compile(
                    [source], output_dir=self.build_temp, include_dirs=ext.include_dirs, extra_postargs=options
                )
                return found

            with ThreadPoolExecutor(os.cpu_count()) as pool:
                sources = sorted(ext.sources, key=os.path.getsize, reverse=True)
                ext.extra_objects = [name for names in pool.map(compiled, sources) for name in names]
            ext.sources = []
            super().build_extension(ext)

    options = ["--config-file=", f"--cache-dir={os.devnull}", "--ignore-missing-imports", "--no-warn-no-return"]
    extensions = mypycify(
        [*options, *modules], opt_level=OPTIMIZATION, debug_level="0", multi_file=True,
        target_dir=str(folder / "c"), group_name="parley",
    )  # fmt: skip
    command = SideBySide(setuptools.Distribution({"ext_modules": extensions}))
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "o")
    command.ensure_finalized()
    command.run()


def main(arguments: list[str]) -> None:
    """Say what is in the way, or compile; see the module."""
    if arguments == ["--can"]:
        print(obstacle())
    else:
        compile_modules(Path(arguments[0]), arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
