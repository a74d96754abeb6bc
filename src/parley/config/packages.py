"""Whether packages of optional parts are here. Nothing of them is imported, but for those that hold others."""

from importlib.util import find_spec
from typing import Final

# What carries calls, the package that it needs, and the extra that brings it. Signed calls need theirs without a key.
_CARRIERS: Final = {
    "grpc-infer": ("grpc", "grpc"),
    "bedrock": ("botocore", "aws"),
    "oauth": ("google.auth", "gcp"),
}


def installed(module: str) -> bool:
    """Nothing of it is imported but the packages it lies in, where those hold no code of their own."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def lacking(transport: str, keyed: bool) -> tuple[str, str]:
    """What calls on this transport lack, and what brings it; both "" where nothing is missing."""
    module, extra = _CARRIERS.get(transport, ("", ""))
    if not module or (keyed and transport != "grpc-infer") or installed(module):
        return "", ""
    return f"calls to this provider need {module}, which is not installed", f"pip install 'parley[{extra}]'"
