"""What a request may meet between its caller and a provider, by what is configured: callers that others know, hooks and
the response cache."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from parley.gateway import Gateway
from parley.gateway.keyring import Other
from parley.serve.caching import Caches
from parley.settings import Hook
from parley.store import Store

if TYPE_CHECKING:
    from parley.serve.callers import TokenCallers
    from parley.serve.guests import Guest
    from parley.serve.hooking import HookChain


class Chain:
    """One per gateway; ``say`` writes log lines. Of what is not configured nothing is imported."""

    def __init__(
        self, gateway: Gateway, loop: asyncio.AbstractEventLoop, store: Store, say: Callable[[bytes], None]
    ) -> None:
        self._gateway, self._loop, self._say = gateway, loop, say
        self._caches = Caches(gateway, loop, store)
        self._hooks: tuple[Hook, ...] = ()
        self._guests: list[Guest] = []
        self._chain: HookChain | None = None
        self._tokens: TokenCallers | None = None
        self._begun: set[asyncio.Task[None]] = set()
        self._caches.adopt()
        self._look()

    async def first(self) -> None:
        """Wait for what has to be known before anybody is served."""
        if self._begun:
            await asyncio.wait(self._begun)

    def adopt(self) -> None:
        """The gateway has settings that it did not have before."""
        self._look()
        self._caches.adopt()

    def problems(self) -> list[dict[str, Any]]:
        """What /readyz tells."""
        cache, tokens = self._gateway.cache, self._tokens
        found = [] if cache is None else cache.problems()
        if tokens is not None and tokens.fetch.problem is not None:
            found.append({"kind": "jwt", "message": tokens.fetch.problem})
        return found

    async def close(self) -> None:
        """Let go of connections."""
        if self._chain is not None:
            self._chain.close()
        await self.first()
        if self._tokens is not None:
            await self._tokens.fetch.close()
        await self._caches.close()

    def _look(self) -> None:
        """Others than before. Requests under way end with those that they met."""
        settings = self._gateway.settings
        before = None if self._tokens is None else self._tokens.issuer
        if settings.hooks == self._hooks and settings.jwt == before:
            return
        if settings.hooks != self._hooks:
            self._hook(settings.hooks)
        if settings.jwt != before:
            self._issue()
        self._gateway.keyring.ask_also(self._others())

    def _hook(self, hooks: tuple[Hook, ...]) -> None:
        from parley.config.hooks import built
        from parley.serve.guests import Guest
        from parley.serve.hooking import HookChain

        guests = [Guest(hook, built(hook)) for hook in hooks]
        before, self._chain = self._chain, HookChain(self._gateway, self._loop, guests) if guests else None
        self._hooks, self._guests, self._gateway.hooks = hooks, guests, self._chain
        if before is not None:
            before.close()

    def _issue(self) -> None:
        issuer, before = self._gateway.settings.jwt, self._tokens
        self._tokens = None
        if before is not None:
            self._begin(before.fetch.close())
        if issuer is not None:
            from parley.serve.callers import TokenCallers

            gateway = self._gateway
            self._tokens = TokenCallers(issuer, gateway.wall, gateway.keyring.forget, self._say)
            self._begin(self._tokens.fetch.first())

    def _begin(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)

    def _others(self) -> tuple[Other, ...]:
        """Whoever knows callers."""
        knowing = [guest for guest in self._guests if guest.has("authenticate")]
        others: list[Other] = [] if self._tokens is None else [self._tokens]
        if knowing:
            from parley.serve.callers import HookCallers

            others.append(HookCallers(knowing))
        return tuple(others)
