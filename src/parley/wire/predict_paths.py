"""Which path of Caila's predict API is which form of it, and which service it names: for the table of paths.

Source: predict contract sections 2 and 6.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

PREDICT: Final = "predict"
CONFIG: Final = "predict-with-config"
TEXTS: Final = "predict-with-config-v2"
STREAM: Final = "predict-with-config-v2-stream"
EXT: Final = "ext"
ADAPTER: Final = "adapter"
DIRECT: Final = "direct"
# Both spellings of the prefix are in use.
PREFIXES: Final = ("/api/mlpgate", "/api/mlpgateway")
_FULL: Final = re.compile(
    rb"/api/mlpgate(?:way)?/account/([^/]+)/model/([^/]+)/(predict(?:-with-config(?:-v2(?:-stream)?)?)?|ext)"
)
_SHORT: Final = re.compile(rb"/api/mlpgate(?:way)?/p/([^/]+)/([^/]+)")
ADAPTERS: Final = "/api/adapters/openai"
_METHODS: Final = (
    ("/chat/completions", "chat"),
    ("/chat/completion", "chat"),
    ("/completions", "completions"),
    ("/completion", "completions"),
    ("/embeddings", "embeddings"),
    ("/embedding", "embeddings"),
    ("/images/generations", "image_generation"),
)


def form_at(path: bytes) -> str:
    """The form of a path that names a service, "" for every other."""
    if not path.startswith(b"/api/mlpgate"):
        return ""
    found = _FULL.fullmatch(path)
    if found is not None:
        return found[3].decode()
    return PREDICT if _SHORT.fullmatch(path) else ""


@lru_cache(1024)
def named(path: bytes) -> tuple[str, str]:
    """The account and the service (with a model of its own behind a slash, if there is one) that a path names."""
    found = _FULL.fullmatch(path) or _SHORT.fullmatch(path)
    return ("", "") if found is None else (_text(found[1]), _text(found[2]))


def adapter_paths() -> dict[str, tuple[str, str]]:
    """The adapters' paths, each with its operation and its form."""
    made = {
        f"{ADAPTERS}{version}{path}": (operation, ADAPTER) for version in ("", "/v1") for path, operation in _METHODS
    }
    for version in ("", "/v1"):
        made[f"{ADAPTERS}-direct{version}/chat/completions"] = ("chat", DIRECT)
    return made


def _text(part: bytes) -> str:
    return unquote_to_bytes(part).decode("utf-8", "replace")


# Where a gate takes requests that are meant for whoever stands behind it, as they are.
_PROXIED: Final = b"/predict?dataType=https%3A%2F%2Fcaila.io%2Fspecs%2Fmlp-data-gpt.yml%23%2FChatCompletionDirectProxy"


def direct_path(path: bytes) -> bytes:
    """The path for requests that pass as they are, beside a provider's path for any other."""
    return path.rpartition(b"/")[0] + _PROXIED
