"""Which transport is which Upstream: made only for those that some provider uses."""

import asyncio
from collections.abc import Callable

from parley.ports import Upstream
from parley.settings import Settings


def upstreams(
    settings: Settings, loop: asyncio.AbstractEventLoop, on_stale: Callable[[str], None] = lambda origin: None
) -> dict[str, Upstream]:
    """By transport name as in ``Provider.transport``; libraries are imported only where one is named."""
    from parley.io.echo import Echo
    from parley.io.opening import Opener
    from parley.io.pool import Pool

    made: dict[str, Upstream] = {"echo": Echo(loop), "native": Pool(loop, Opener(loop), on_stale=on_stale)}
    if any(provider.transport == "aiohttp" for provider in settings.providers.values()):
        from parley.io.library import LibraryUpstream

        made["aiohttp"] = LibraryUpstream(loop)
    return made
