"""Calls that bear a token: where it comes from, when it is renewed, and what callers hear while there is none."""

import asyncio
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from parley.failure import Failure
from parley.io import oauth
from parley.io.oauth import EARLY, PAUSE, Token, Tokens, TokenUpstream
from parley.ports import Call, Destination

TO = Destination(method=b"POST", origin="https://h", path=b"/p", first_byte=5.0)


class Clock:
    """A loop with a clock of its own; all else is the real one's."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.real = asyncio.get_running_loop()

    def time(self) -> float:
        return self.seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class Pool:
    """An Upstream that only remembers."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.sinks: list[Any] = []
        self.did: list[str] = []

    def send(self, call: Call, sink: Any) -> "Pool":
        self.calls.append(call)
        self.sinks.append(sink)
        return self

    def cancel(self) -> None:
        self.did.append("cancel")

    def pause(self) -> None:
        self.did.append("pause")

    def resume(self) -> None:
        self.did.append("resume")

    def close(self) -> None:
        self.did.append("close")


class Sink:
    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.ended = asyncio.Event()

    def head(self, status: int, headers: Any) -> None:
        self.heard.append(status)

    def body(self, data: bytes) -> None:
        self.heard.append(data)

    def done(self) -> None:
        self.heard.append("done")

    def failed(self, failure: Failure) -> None:
        self.heard.append(failure)
        self.ended.set()


class Source:
    """A token endpoint: what it gives next, and how often it was asked, in which threads."""

    def __init__(self) -> None:
        self.asked = 0
        self.threads: set[int] = set()
        self.seconds: float | None = 3600.0
        self.fault: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self) -> Token:
        self.asked += 1
        self.threads.add(threading.get_ident())
        assert self.gate.wait(30)
        if self.fault is not None:
            raise self.fault
        return Token(f"token-{self.asked}", self.seconds)


class Rig:
    def __init__(self) -> None:
        self.clock, self.pool, self.source = Clock(), Pool(), Source()
        self.lines: list[bytes] = []
        self.tokens = Tokens(self.clock, self.source, self.lines.append)  # type: ignore[arg-type]
        self.upstream = TokenUpstream(self.clock, self.pool, self.tokens)  # type: ignore[arg-type]

    def send(self, head: bytes = b"x: y\r\n") -> tuple[Any, Sink]:
        sink = Sink()
        return self.upstream.send(Call(TO, head, (b"body",), 30.0), sink), sink

    def heads(self) -> list[bytes]:
        return [call.head for call in self.pool.calls]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while True:
            if true():
                return
            await asyncio.sleep(0)


@pytest.fixture
async def rig() -> Rig:
    return Rig()


async def test_calls_wait_for_the_first_token_and_share_it(rig: Rig) -> None:
    rig.send()
    rig.send()
    assert rig.pool.calls == []
    await until(lambda: len(rig.pool.calls) == 2)
    rig.send()
    assert rig.heads() == [b"x: y\r\nauthorization: Bearer token-1\r\n"] * 3
    assert rig.pool.calls[0].body == (b"body",)
    assert rig.source.asked == 1
    assert threading.get_ident() not in rig.source.threads


@pytest.mark.parametrize("head", [b"authorization: Bearer own\r\n", b"x: y\r\nx-goog-api-key: k\r\n"])
async def test_a_call_with_a_credential_goes_as_it_is(rig: Rig, head: bytes) -> None:
    rig.send(head)
    assert rig.heads() == [head]
    assert rig.source.asked == 0


async def test_a_token_near_its_end_is_renewed_while_it_serves(rig: Rig) -> None:
    rig.send()
    await until(lambda: len(rig.pool.calls) == 1)
    rig.clock.seconds += 3600 - EARLY + 1
    rig.send()
    assert rig.heads()[-1].endswith(b"token-1\r\n")
    await until(lambda: rig.source.asked == 2)
    await until(lambda: rig.tokens.now() == Token("token-2", 3600.0))
    rig.send()
    assert rig.heads()[-1].endswith(b"token-2\r\n")


async def test_a_token_that_could_not_be_renewed_serves_to_its_end(rig: Rig) -> None:
    rig.send()
    await until(lambda: len(rig.pool.calls) == 1)
    rig.source.fault = OSError("away")
    rig.clock.seconds += 3600 - EARLY + 1
    rig.send()
    await until(lambda: bool(rig.lines))
    await until(lambda: not rig.tokens._asking)
    rig.send()
    assert rig.heads() == [b"x: y\r\nauthorization: Bearer token-1\r\n"] * 3
    rig.clock.seconds += EARLY
    _, sink = rig.send()
    await sink.ended.wait()
    assert len(rig.pool.calls) == 3


async def test_a_token_for_ever_is_asked_for_once(rig: Rig) -> None:
    rig.source.seconds = None
    rig.send()
    await until(lambda: len(rig.pool.calls) == 1)
    rig.clock.seconds += 10**6
    rig.send()
    assert len(rig.pool.calls) == 2
    assert rig.source.asked == 1


async def test_no_credentials_are_told_in_the_log_and_not_to_the_caller(rig: Rig) -> None:
    rig.source.fault = ValueError("key.json is not there")
    _, sink = rig.send()
    await sink.ended.wait()
    failure = sink.heard[0]
    assert failure.kind == "upstream_auth"
    assert "key.json" not in failure.message
    await until(lambda: bool(rig.lines))
    assert msgspec.json.decode(rig.lines[0]) == {
        "event": "credentials.failed",
        "reason": "ValueError: key.json is not there",
    }
    _, again = rig.send()
    assert again.heard == []
    await again.ended.wait()
    assert rig.source.asked == 1
    rig.clock.seconds += PAUSE
    rig.source.fault = None
    rig.send()
    await until(lambda: len(rig.pool.calls) == 1)


async def test_a_missing_library_is_named_with_its_extra(rig: Rig) -> None:
    rig.source.fault = ImportError("google.auth")
    _, sink = rig.send()
    await sink.ended.wait()
    assert "pip install 'parley[gcp]'" in sink.heard[0].message


async def test_a_token_that_is_refused_is_not_used_again(rig: Rig) -> None:
    _, sink = rig.send()
    await until(lambda: len(rig.pool.calls) == 1)
    rig.clock.seconds += PAUSE
    rig.pool.sinks[0].head(401, [])
    rig.pool.sinks[0].body(b"no")
    rig.pool.sinks[0].done()
    assert sink.heard == [401, b"no", "done"]
    rig.send()
    await until(lambda: len(rig.pool.calls) == 2)
    assert rig.heads()[-1].endswith(b"token-2\r\n")


async def test_a_waiting_call_can_be_paused_and_cancelled(rig: Rig) -> None:
    rig.source.gate.clear()
    gone, silent = rig.send()
    slow, _ = rig.send()
    gone.cancel()
    slow.pause()
    rig.source.gate.set()
    await until(lambda: len(rig.pool.calls) == 1)
    assert silent.heard == []
    assert rig.pool.did == ["pause"]
    slow.resume()
    slow.cancel()
    assert rig.pool.did == ["pause", "resume", "cancel"]
    rig.upstream.close()
    assert rig.pool.did[-1] == "cancel"


async def test_a_token_that_does_not_come_is_a_timeout(rig: Rig) -> None:
    rig.source.gate.clear()
    sink = Sink()
    to = Destination(method=b"POST", origin="https://h", path=b"/p", first_byte=0.01)
    rig.upstream.send(Call(to, b"", (), 30.0), sink)
    await sink.ended.wait()
    assert sink.heard[0].kind == "upstream_timeout"
    rig.source.gate.set()
    await until(lambda: not rig.tokens._asking)
    assert rig.pool.calls == []


class Credentials:
    """What google-auth finds, as far as it is used."""

    def __init__(self, expiry: datetime | None) -> None:
        self.expiry, self.token, self.refreshed = expiry, "", 0

    def refresh(self, request: object) -> None:
        self.refreshed += 1
        self.token = f"ya29.{self.refreshed}"


def test_the_librarys_own_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    import google.auth

    asked: list[Any] = []
    found = Credentials((datetime.now(UTC) + timedelta(seconds=600)).replace(tzinfo=None))

    def default(**members: Any) -> tuple[Credentials, str]:
        asked.append(members)
        return found, "project"

    monkeypatch.setattr(google.auth, "default", default)
    kept: list[Any] = []
    first, second = oauth.library_token(kept), oauth.library_token(kept)
    assert (first.text, second.text) == ("ya29.1", "ya29.2")
    assert first.seconds is not None
    assert 500 < first.seconds <= 600
    assert asked == [{"scopes": ["https://www.googleapis.com/auth/cloud-platform"]}]
    found.expiry = None
    assert oauth.library_token(kept).seconds is None


def test_the_library_is_not_imported_with_the_module() -> None:
    import subprocess

    code = "import sys, parley.io.oauth; sys.exit('google.auth' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
