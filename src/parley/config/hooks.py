"""Hooks as the file names them, and how a name becomes an object. Nothing is imported that is not named."""

from importlib import import_module
from typing import Any, Final

from parley.config.amounts import duration
from parley.config.parts import HookEntry
from parley.config.problem import suggest
from parley.config.report import Report
from parley.settings import Hook

GROUP: Final = "parley.hooks"
BUILT_IN: Final = {"pii": "parley.hooks.scrub:Scrub"}
METHODS: Final = ("request", "answer", "pieces", "authenticate")


class UnfitHookError(Exception):
    """It cannot be used; the message says why, ``hint`` what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def hooks_of(entries: list[HookEntry], report: Report) -> tuple[Hook, ...]:
    """All of them, each made once to see that it can be."""
    made = [_hook(entry, index, report) for index, entry in enumerate(entries)]
    return tuple(hook for hook in made if hook is not None)


def built(hook: Hook) -> Any:
    """The hook that is meant, with its options. Raises UnfitHookError."""
    maker = _named(hook.use)
    try:
        found = maker(**hook.options)
    except Exception as error:
        message = f'the hook "{hook.use}" cannot be made: {type(error).__name__}: {error}'
        raise UnfitHookError(message, "its documentation says which options it has") from None
    if not any(callable(getattr(found, name, None)) for name in METHODS):
        raise UnfitHookError(f'"{hook.use}" is no hook: it has none of the methods {", ".join(METHODS)}')
    return found


def _hook(entry: HookEntry, index: int, report: Report) -> Hook | None:
    try:
        timeout = duration(entry.timeout)
    except ValueError as error:
        report.add(("hooks", index, "timeout"), str(error))
        return None
    models = (entry.models,) if isinstance(entry.models, str) else entry.models
    hook = Hook(entry.use, models, entry.on_failure, timeout, entry.slow, entry.options)
    try:
        built(hook)
    except UnfitHookError as error:
        report.add(("hooks", index, "use"), str(error), error.hint)
        return None
    return hook


def _named(use: str) -> Any:
    """What is called to make it: a name that we or an installed package know, or ``module:attribute``."""
    if use in BUILT_IN:
        use = BUILT_IN[use]
    elif ":" not in use:
        from importlib.metadata import entry_points

        found = entry_points(group=GROUP)
        if use not in found.names:
            known = sorted({*BUILT_IN, *found.names})
            raise UnfitHookError(
                f'unknown hook "{use}"', suggest(use, known, f"known: {', '.join(known)}; or module:attribute")
            )
        use = found[use].value
    module, _, attribute = use.partition(":")
    try:
        maker: Any = import_module(module)
        for part in attribute.split("."):
            maker = getattr(maker, part)
    except Exception as error:
        message = f'the hook "{use}" cannot be loaded: {type(error).__name__}: {error}'
        raise UnfitHookError(message, "install its package where parley is installed") from None
    return maker
