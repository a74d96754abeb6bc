"""Hooks around requests: which of them a request meets, one after the other, and what they make of it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from parley.failure import ParleyError
from parley.gateway import Gateway
from parley.gateway.job import Job
from parley.hooks.view import Edited, Facts, Refusal, RequestView, Text
from parley.serve.answered import Answering
from parley.serve.guests import Guest, Threads, facts_of, refused

# Of a form only these plain fields are texts.
_FIELDS = ("prompt",)


class HookChain:
    """All hooks of a configuration, see parley.gateway.hooked.Hooks."""

    def __init__(self, gateway: Gateway, loop: asyncio.AbstractEventLoop, guests: Sequence[Guest]) -> None:
        self._guests = tuple(guests)
        self._threads = Threads(loop, gateway.clock)

    def request(self, job: Job) -> bool:
        """See Hooks."""
        if job.inlet.counts:
            return False
        guests = [guest for guest in self._guests if guest.meets(job.model)]
        if not guests:
            return False
        facts = facts_of(job)
        answering = tuple(guest for guest in guests if guest.answers)
        if answering:
            job.hooked = Answering(self._threads, facts, answering)
        return _Asking(self._threads, facts, job, [guest for guest in guests if guest.has("request")]).go()

    def close(self) -> None:
        """Nobody waits for what still runs."""
        self._threads.close()


class _Asking:
    """One request on its way through the hooks."""

    def __init__(self, threads: Threads, facts: Facts, job: Job, guests: list[Guest]) -> None:
        self._threads, self._facts, self._job = threads, facts, job
        self._left = guests[::-1]
        self._body = job.request.body

    def go(self) -> bool:
        """On to the next; whether the request waits. Raises ParleyError."""
        while self._left:
            guest = self._left.pop()
            try:
                look = _Look(self._job, self._facts, self._body)
                if guest.slow(len(self._body)):
                    self._wait(guest, look)
                    return True
                self._take(look, guest.hook.request(look.view))
            except ParleyError:
                raise
            except (Exception, SystemExit) as error:
                _fail(guest, error)
        if self._body is not self._job.request.body:
            self._job.rewritten(self._body)
        return False

    def _wait(self, guest: Guest, look: "_Look") -> None:
        def then(refusal: Any, error: BaseException | None) -> None:
            if self._job.over:
                return
            try:
                if error is None:
                    self._take(look, refusal)
                else:
                    _fail(guest, error)
                if not self.go():
                    self._job.heard()
            except ParleyError as raised:
                self._job.cut(raised.failure)
            except Exception as raised:
                self._end(guest, raised)

        self._threads.do(lambda: guest.hook.request(look.view), guest.said.timeout, then)

    def _end(self, guest: Guest, error: Exception) -> None:
        """What it made was no request."""
        try:
            _fail(guest, error)
            if not self.go():
                self._job.heard()
        except ParleyError as raised:
            self._job.cut(raised.failure)

    def _take(self, look: "_Look", refusal: Refusal | None) -> None:
        if refusal is not None:
            raise ParleyError(refused(refusal))
        self._body = look.written(self._body)


class _Look:
    """A request as one hook sees it."""

    def __init__(self, job: Job, facts: Facts, body: bytes) -> None:
        self._form = job.asked.form
        self._edited: Edited | None = None
        if self._form is None:
            self._edited = Edited(body)
            texts = self._edited.texts
        else:
            texts = [Text(said[0], name) for name, said in self._form.fields().items() if name in _FIELDS]
        self.view = RequestView(facts, body, texts)

    def written(self, body: bytes) -> bytes:
        """The request after it; the very same where nothing was changed."""
        if self.view.replaced is not None:
            return self.view.replaced
        if not any(text.changed for text in self.view.texts):
            return body
        if self._edited is not None:
            return self._edited.written()
        assert self._form is not None
        return b"".join(self._form.edited({text.where: (text.text,) for text in self.view.texts if text.changed}))


def _fail(guest: Guest, error: BaseException) -> None:
    """Raises ParleyError where a request must not go on without this hook."""
    failure = guest.failed(error)
    if failure is not None:
        raise ParleyError(failure)
