"""Which transport is which Upstream: made only for those that some provider uses."""

import asyncio
from collections.abc import Callable

from parley.ports import Upstream
from parley.settings import Provider, Settings


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
    extend(made, settings, loop, write, patience)
    return made


def extend(
    made: dict[str, Upstream],
    settings: Settings,
    loop: asyncio.AbstractEventLoop,
    write: Callable[[bytes], None],
    patience: float | None = None,
) -> None:
    """Make what these settings name and is not there yet."""
    new = {provider.transport for provider in settings.providers.values()}.difference(made)
    if "aiohttp" in new:
        from parley.io.library import LibraryUpstream

        made["aiohttp"] = LibraryUpstream(loop)
    if "bedrock" in new:
        from parley.io.bedrock import BedrockUpstream, Chain

        made["bedrock"] = BedrockUpstream(
            loop, made["native"], Chain(loop, write), lambda signing: Chain(loop, write, signing)
        )
    if "oauth" in new:
        from parley.io.oauth import Tokens, TokenUpstream

        made["oauth"] = TokenUpstream(loop, made["native"], Tokens(loop, write=write))
    if "stops" in new:
        from parley.io.stops import StopsUpstream

        made["stops"] = StopsUpstream(made["native"])
    if "predict" in new:
        from parley.io.predict import PredictUpstream

        made["predict"] = PredictUpstream(made["native"])
    if "grpc-infer" in new:
        from parley.io.oip_grpc import GrpcInferUpstream

        made["grpc-infer"] = GrpcInferUpstream(loop)
    if "local" in new:
        from parley.io.local.upstream import PATIENCE, LocalUpstream

        engines = _local(settings)
        made["local"] = LocalUpstream(loop, engines, made["native"], write, PATIENCE if patience is None else patience)


def adopt(made: dict[str, Upstream], settings: Settings) -> None:
    """Run the local engines that the settings name, and forget keys that they do not. What else there is stays: older
    requests may still need it."""
    local = made.get("local")
    if local is not None:
        from parley.io.local.upstream import LocalUpstream

        assert isinstance(local, LocalUpstream)
        local.adopt(_local(settings))
    signs = made.get("bedrock")
    if signs is not None:
        from parley.io.bedrock import BedrockUpstream

        assert isinstance(signs, BedrockUpstream)
        signs.adopt(settings.providers.values())


def _local(settings: Settings) -> list[Provider]:
    return [provider for provider in settings.providers.values() if provider.transport == "local"]
