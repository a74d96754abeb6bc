"""Hooks that take their time: in threads, within a time, and never in the way of the loop."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.gateway.parts import ANSWER, DONE, OPENING, STOP, WORD, Ear
from tests.serve.hooked_parts import Hooked

from parley.hooks import AnswerView, Refusal, RequestView
from parley.serve.guests import MOST_WAITING


class Slow:
    """In a thread, until it is let go."""

    slow = True

    def __init__(self, refusal: Refusal | None = None, error: Exception | None = None) -> None:
        self.go = threading.Event()
        self.threads: list[str] = []
        self._refusal, self._error = refusal, error

    def _do(self, view: Any) -> Refusal | None:
        self.threads.append(threading.current_thread().name)
        assert self.go.wait(30)
        if self._error is not None:
            raise self._error
        for text in view.texts:
            text.text = text.text.upper()
        return self._refusal

    def request(self, view: RequestView) -> Refusal | None:
        return self._do(view)


class SlowAnswer(Slow):
    request = None  # type: ignore[assignment]

    def answer(self, view: AnswerView) -> Refusal | None:
        return self._do(view)


async def until(look: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not look():  # noqa: ASYNC110 - what is waited for is another thread
            await asyncio.sleep(0.002)


def slowly(hook: Slow, **said: Any) -> Hooked:
    return Hooked(hook, loop=asyncio.get_running_loop(), **said)


async def test_a_slow_hook_runs_in_a_thread_and_the_loop_goes_on() -> None:
    hook = Slow()
    stage = slowly(hook)
    _, ear = stage.ask()
    assert stage.sent == []
    hook.go.set()
    await until(lambda: stage.sent)
    assert stage.last().body["messages"][0]["content"] == "HI"
    assert hook.threads == ["parley-hook"]
    stage.last().whole()
    assert ear.text == ANSWER
    stage.quiet()


async def test_a_slow_hook_refuses_and_fails_like_any() -> None:
    for hook, status in ((Slow(Refusal("no", 400)), 400), (Slow(error=KeyError()), 500)):
        hook.go.set()
        stage = slowly(hook)
        _, ear = stage.ask()
        await until(lambda ear=ear: ear.heard)
        assert ear.status == status
        assert stage.sent == []
        stage.quiet()


@pytest.mark.parametrize("on_failure", ["refuse", "pass"])
async def test_a_slow_hook_has_its_time_and_no_more(on_failure: str) -> None:
    hook = Slow()
    stage = slowly(hook, timeout=2.0, on_failure=on_failure)
    _, ear = stage.ask()
    stage.clock.advance(2.0)
    if on_failure == "refuse":
        assert (ear.status, ear.error["message"]) == (500, "a hook took too long")
        assert stage.sent == []
    else:
        assert stage.last().body["messages"][0]["content"] == "hi"
    hook.go.set()
    await until(lambda: hook.threads)
    await asyncio.sleep(0)
    assert len(stage.sent) == (on_failure == "pass")


async def test_a_caller_that_leaves_is_not_asked_for() -> None:
    hook = Slow()
    stage = slowly(hook)
    job, ear = stage.ask()
    job.left()
    hook.go.set()
    stage2 = slowly(Slow())
    await until(lambda: hook.threads)
    await asyncio.sleep(0.01)
    assert (stage.sent, ear.heard, stage2.sent) == ([], [], [])
    stage.quiet()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_slow_hook_and_an_answer(stream: bool) -> None:
    hook = SlowAnswer()
    stage = slowly(hook)
    _, ear = stage.ask(stream=stream)
    if stream:
        stage.last().stream(OPENING, WORD, STOP, DONE)
    else:
        stage.last().whole()
    assert ear.heard == []
    assert len(stage.gateway.jobs) == 1
    hook.go.set()
    await until(lambda: ear.heard)
    assert b"HELLO." in ear.text
    assert (b"[DONE]" in ear.text) is stream
    stage.clock.advance(1)
    stage.quiet()


@pytest.mark.parametrize("on_failure", ["refuse", "pass"])
async def test_a_slow_hook_that_is_too_slow_for_an_answer(on_failure: str) -> None:
    hook = SlowAnswer()
    stage = slowly(hook, timeout=2.0, on_failure=on_failure)
    _, ear = stage.ask()
    stage.last().whole()
    stage.clock.advance(2.0)
    if on_failure == "refuse":
        assert ear.status == 500
    else:
        assert ear.text == ANSWER
    hook.go.set()
    stage.quiet()


async def test_a_slow_hook_refuses_an_answer() -> None:
    hook = SlowAnswer(Refusal("no"))
    hook.go.set()
    stage = slowly(hook)
    _, ear = stage.ask("two")
    stage.last().whole()
    await until(lambda: ear.heard)
    assert (ear.status, len(stage.sent)) == (403, 1)
    stage.quiet()


async def test_a_failed_try_before_a_slow_hook_is_tried_elsewhere() -> None:
    hook = SlowAnswer()
    hook.go.set()
    stage = slowly(hook)
    _, ear = stage.ask("two", stream=True)
    stage.last().stream(OPENING)
    assert len(stage.sent) == 2
    stage.last().stream(OPENING, WORD, STOP, DONE)
    await until(lambda: ear.heard)
    assert b"HELLO." in ear.text


async def test_only_large_requests_are_for_a_thread_where_that_is_said() -> None:
    hook = Slow()
    hook.slow = 200
    hook.go.set()
    stage = slowly(hook)
    stage.ask()
    assert hook.threads == [threading.current_thread().name]
    stage.ask(messages=[{"role": "user", "content": "x" * 300}])
    await until(lambda: len(stage.sent) == 2)
    assert hook.threads[1] == "parley-hook"


async def test_what_waits_for_threads_is_bounded() -> None:
    hook = Slow()
    stage = slowly(hook)
    ears: list[Ear] = [stage.ask()[1] for _ in range(MOST_WAITING + 2)]
    assert [ear.status for ear in ears if ear.heard] == [503, 503]
    hook.go.set()
    await until(lambda: len(stage.sent) == MOST_WAITING)
