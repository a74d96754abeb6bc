"""What the local engine can run: names of backends, kinds of weights, fields of requests.

Sources: registrations contract parts 1.1, 1.4 and 2.2; GGUF specification, section "File Structure"; the magic numbers
that ggml's file formats had before it.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from parley.settings import EXTENSIONS

MAGIC: Final = b"GGUF"
VERSIONS: Final = (2, 3)
# Members of the extension object that the engine's server takes as members of its own, by the same names.
ENGINE_FIELDS: Final = frozenset(
    (
        "seed", "top_k", "min_p", "typical_p", "mirostat", "mirostat_eta", "mirostat_tau", "repeat_penalty",
        "repeat_last_n", "n_keep", "ignore_eos", "grammar",
    )
)  # fmt: skip
# Those that we carry out ourselves, before the engine or after it.
SHAPING_FIELDS: Final = frozenset(("cutstrings", "trimstrings", "stopwords", "roles"))
# For a provider's ``extensions``: what of the object reaches the engine. Anything else is a field it cannot take.
OFFERED: Final[Mapping[str, str]] = {name: f"{EXTENSIONS}.{name}" for name in sorted(ENGINE_FIELDS | SHAPING_FIELDS)}

# As they stand in the file: 32-bit words of the little-endian machines that wrote them.
_OLD: Final[Mapping[bytes, str]] = {
    b"lmgg": "ggml",
    b"fmgg": "ggmf",
    b"tjgg": "ggjt",
    b"algg": "ggla",
}
_OTHERS: Final = (
    (
        b"version https://git-lfs",
        "it is a Git LFS pointer, not the file itself: run `git lfs pull` where it comes from",
    ),
    (b"PK\x03\x04", "it is a PyTorch checkpoint or another ZIP archive, not GGUF: convert it to GGUF"),
    (b"\x80\x02", "it is a PyTorch checkpoint, not GGUF: convert it to GGUF"),
    (b"<", "it looks like a web page, not a model: the download went wrong"),
)


def backend_problem(name: str) -> str | None:
    """Why no model can run under this backend's name; None where the local engine runs it."""
    known = _known()
    wanted = re.sub(r"[\s_]+", "-", name.strip().lower())
    if wanted in known["engine"] or name.strip().lower() in known["engine"]:
        return None
    reason = known["refused"].get(wanted)
    if reason is not None:
        return f"the backend {name!r} is not available: {reason}"
    return f"there is no backend {name!r}; GGUF models run with `backend: llama`"


def weights_problem(path: str | Path) -> str | None:
    """Why this file cannot be loaded as GGUF, as far as its first bytes tell; None where nothing speaks against it."""
    try:
        with open(path, "rb") as file:
            start = file.read(32)
    except FileNotFoundError:
        return "there is no such file"
    except IsADirectoryError:
        return "it is a folder; name the GGUF file in it"
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    return _problem_of(start)


def _problem_of(start: bytes) -> str | None:
    magic = start[:4]
    if magic == MAGIC:
        return _version_problem(start)
    if magic in _OLD:
        return (
            f"it is an old GGML file ({_OLD[magic]}, before GGUF), which llama.cpp has not read since August 2023:"
            " convert it to GGUF or get the model as GGUF"
        )
    if not start:
        return "the file is empty"
    reason = next((words for mark, words in _OTHERS if start.startswith(mark)), None)
    if reason is None and start[8:10] == b'{"':
        reason = "it is a safetensors file, not GGUF: convert it to GGUF"
    return reason or "it is not a GGUF file"


def _version_problem(start: bytes) -> str | None:
    if len(start) < 8:
        return "the file ends after its first bytes: the download broke off"
    version = int.from_bytes(start[4:8], "little")
    if version in VERSIONS:
        return None
    if int.from_bytes(start[4:8], "big") in VERSIONS:
        return "it is a big-endian GGUF file, made for another kind of machine"
    return f"it is GGUF version {version}, and only versions 2 and 3 can be read: convert the model again"


@cache
def _known() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("backends.toml").read_text(encoding="utf-8"))
