"""Which transport is which Upstream: made only for those that some provider uses."""

import asyncio
from collections.abc import Callable

from parley.ports import Upstream
from parley.settings import Settings


def upstreams(
    settings: Settings,
    loop: asyncio.AbstractEventLoop,
    on_stale: Callable[[str], None] = lambda origin: None,
    write: Callable[[bytes], None] = lambda line: None,
    patience: float | None = None,
) -> dict[str, Upstream]:
    """By transport name as in ``Provider.transport``; libraries are imported only where one is named.

    ``write`` takes log lines. ``patience``: seconds that requests wait for a model of this machine to load.
    """
    from parley.io.echo import Echo
    from parley.io.opening import Opener
    from parley.io.pool import Pool

    made: dict[str, Upstream] = {"echo": Echo(loop), "native": Pool(loop, Opener(loop), on_stale=on_stale)}
    if any(provider.transport == "aiohttp" for provider in settings.providers.values()):
        from parley.io.library import LibraryUpstream

        made["aiohttp"] = LibraryUpstream(loop)
    local = [provider for provider in settings.providers.values() if provider.transport == "local"]
    if local:
        from parley.io.local.upstream import PATIENCE, LocalUpstream

        made["local"] = LocalUpstream(loop, local, made["native"], write, PATIENCE if patience is None else patience)
    return made
