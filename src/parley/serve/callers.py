"""Callers whose keys are in no table: holders of an issuer's tokens, and those that a hook knows."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from parley.failure import ParleyError
from parley.gateway.keyring import UNKNOWN
from parley.io.jwks import KeyFetch
from parley.keys import Holder
from parley.keys.token import Issuer, Tokens, looks_like_token
from parley.ports import Headers
from parley.serve.guests import Guest, shown_headers


class TokenCallers:
    """See parley.gateway.keyring.Other. ``forget`` is told when keys have changed: what was verified may be no more."""

    def __init__(
        self, issuer: Issuer, wall: Callable[[], float], forget: Callable[[], None], say: Callable[[bytes], None]
    ) -> None:
        self.issuer = issuer
        self._tokens = Tokens(issuer, wall, self._want)
        self._forget = forget
        self.fetch = KeyFetch(issuer, self._take, say)

    def holder(self, headers: Headers, shown: list[bytes]) -> Holder | None:
        """The first token that holds."""
        tokens = [key for key in shown if looks_like_token(key)]
        if tokens and not self._tokens.ready:
            raise ParleyError(UNKNOWN)
        found = (self._tokens.holder(token) for token in tokens)
        return next((holder for holder in found if holder is not None), None)

    def _take(self, document: Any) -> int:
        count = self._tokens.take(document)
        self._forget()
        return count

    def _want(self) -> None:
        self.fetch.want()


class HookCallers:
    """See parley.gateway.keyring.Other. A hook that fails knows nobody."""

    def __init__(self, guests: Sequence[Guest]) -> None:
        self._guests = tuple(guests)

    def holder(self, headers: Headers, shown: list[bytes]) -> Holder | None:
        """The first that a hook knows."""
        told = shown_headers(headers, credentials=True)
        for guest in self._guests:
            try:
                found = guest.hook.authenticate(told)
            except (Exception, SystemExit) as error:
                # Of the error only the type: its words may be the caller's key.
                name = type(error).__name__
                logging.getLogger("parley").error("the hook %s failed: %s", guest.said.use, name)
                continue
            if isinstance(found, Holder):
                return found
        return None
