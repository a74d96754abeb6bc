"""A model named by its file: settings that run it on this machine, and words while it loads."""

import json
import os
from pathlib import Path

import click

from parley.cli.exits import Code, stop
from parley.settings import EVERY, Engine, Provider, Registration, Retries, Settings, Target, Timeouts

MAGIC = b"GGUF"
SUFFIX = ".gguf"
ORIGIN = "local://0"
# Nobody else waits for this answer, and a processor without help is slow.
TIMEOUTS = Timeouts(first_byte=3600.0, idle=600.0, total=24 * 3600.0)


def is_weights(name: str) -> bool:
    """Whether a model's name is that of a file: one that is there and begins as GGUF does, or ends in its suffix."""
    try:
        with open(name, "rb") as file:
            return name.endswith(SUFFIX) or file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        # Names of models may end so too: only what can be nothing but a path is a file that is missing.
        if name.endswith(SUFFIX) and (name.startswith((".", "~")) or Path(name).is_absolute()):
            stop(Code.USAGE, f"there is no file {name}, or it cannot be read.")
        return False


def settings_of(path: str) -> Settings:
    """Settings in which ``path`` is the one model. Ends with exit code 2 where the file cannot be run."""
    from parley.config.backends import weights_problem

    full = os.path.abspath(path)
    problem = weights_problem(full)
    if problem is not None:
        stop(Code.USAGE, f"{path}: {problem}.")
    provider = Provider(
        name="local",
        type="local",
        wire="openai_chat",
        endpoints=(ORIGIN,),
        paths={"chat": "/chat/completions"},
        auth="none",
        transport="local",
        timeouts=TIMEOUTS,
        engine=Engine(model=full),
    )
    # What made the engine fall would make it fall again.
    asked = Registration(model=path, targets=(Target("local", Path(full).stem),), retries=Retries(attempts=1))
    return Settings(providers={"local": provider}, registrations={(EVERY, path): asked})


def tell(line: bytes) -> None:
    """Say on stderr what a log line tells of a model that loads."""
    event = json.loads(line)
    words = _words(event)
    if words:
        click.echo(click.style(words, dim=True), err=True)


def _words(event: dict[str, object]) -> str:
    match event.get("event"), event:
        case "engine.load", {"model": str(path)}:
            return f"(loading {Path(path).name})"
        case "engine.loading", {"seconds": float(seconds)}:
            return f"(still loading after {seconds:.0f} s)"
        case "engine.ready", {"seconds": float(seconds)}:
            return f"(ready after {seconds:.1f} s)"
    return ""
