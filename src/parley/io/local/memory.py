"""How much memory a model will take, and how much there is. Bytes.

An estimate from above: weights as large as their files, and a cache of keys and values for the whole context.
"""

import glob
import os
import re
from pathlib import Path
from typing import Final

from parley.io.local.gguf import HeaderError, Value, about, context, header
from parley.settings import Engine

OVERHEAD: Final = 64 * 1024 * 1024
_CELL: Final = 2  # bytes of a number in the cache
_PART: Final = re.compile(r"-\d{5}-of-(\d{5})\.gguf\Z")
_MEMINFO: Final = "/proc/meminfo"
_GROUP: Final = Path("/sys/fs/cgroup")


def needed(engine: Engine) -> int:
    """What loading this engine will take. Raises OSError where a file cannot be looked at."""
    paths = [*_parts(engine.model), *([engine.mmproj] if engine.mmproj else ()), *(path for path, _ in engine.lora)]
    weights = sum(os.stat(path).st_size for path in paths)
    try:
        said = header(engine.model)
    except HeaderError:
        said = {}
    return weights + cache(engine, said) + OVERHEAD


def cache(engine: Engine, said: dict[str, Value]) -> int:
    """The cache for all the context that the engine is given; 0 where the model does not tell its shape."""
    layers, width, heads = (about(said, key) for key in ("block_count", "embedding_length", "attention.head_count"))
    if not layers or not width or not heads:
        return 0
    kept = about(said, "attention.head_count_kv") or heads
    key = about(said, "attention.key_length") or width // heads
    value = about(said, "attention.value_length") or width // heads
    return context(said, engine.context_size) * (engine.parallel or 1) * layers * kept * (key + value) * _CELL


def available() -> int | None:
    """What may still be taken on this machine, or in this container; None where the system does not say."""
    found = [room for room in (_machine(), _container()) if room is not None]
    return min(found, default=None)


def resident(pid: int) -> int | None:
    """What a process holds now; None where the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def words(size: int) -> str:
    """A size for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _parts(path: str) -> list[str]:
    """All files of a model that was split into several; ``path`` is the first."""
    found = _PART.search(path)
    if found is None:
        return [path]
    return sorted(glob.glob(f"{glob.escape(path[: found.start()])}-*-of-{found[1]}.gguf")) or [path]


def _machine() -> int | None:
    try:
        with open(_MEMINFO, encoding="ascii") as file:
            line = next((line for line in file if line.startswith("MemAvailable:")), None)
    except OSError:
        return None
    return int(line.split()[1]) * 1024 if line else None


def _container() -> int | None:
    """The limit of our control group, less what it holds that the kernel could not drop."""
    try:
        limit = (_GROUP / "memory.max").read_text(encoding="ascii").strip()
        if limit == "max":
            return None
        used = int((_GROUP / "memory.current").read_text(encoding="ascii"))
        facts = dict(line.split() for line in (_GROUP / "memory.stat").read_text(encoding="ascii").splitlines())
        return int(limit) - used + int(facts.get("inactive_file", 0))
    except (OSError, ValueError):
        return None
