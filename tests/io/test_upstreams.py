"""Transports as the configuration changes."""

import asyncio
from typing import Any

import pytest

from parley.io import upstreams
from parley.io.local import upstream as local
from parley.io.local.runner import Listener
from parley.ports import Call, Destination, Headers
from parley.settings import Engine, Provider, Settings


def provider(name: str, transport: Any = "native", engine: Engine | None = None) -> Provider:
    url = f"local://{engine.model}" if engine else "http://127.0.0.1:1"
    return Provider(
        name=name, type="x", wire="openai_chat", endpoints=(url,), paths={}, transport=transport, engine=engine
    )


def settings(*providers: Provider) -> Settings:
    return Settings(providers={one.name: one for one in providers})


class Child:
    """A process that serves nowhere."""

    def __init__(self, loop: Any, engine: Engine, socket: str, heard: Listener) -> None:
        self.engine, self.heard, self.origin, self.pid = engine, heard, f"unix://{socket}", 1
        self.status: int | None = None
        self.stopped = False

    def stop(self) -> None:
        self.stopped = True

    def kill(self) -> None:
        self.stopped = True

    def words(self) -> str:
        return ""

    def end(self) -> None:
        self.heard.fading()
        self.heard.ended()


class Heard:
    def __init__(self) -> None:
        self.failures: list[Any] = []

    def head(self, status: int, headers: Headers) -> None: ...
    def body(self, data: bytes) -> None: ...
    def done(self) -> None: ...
    def failed(self, failure: Any) -> None:
        self.failures.append(failure)


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[Child]:
    made: list[Child] = []

    def child(*given: Any) -> Child:
        made.append(Child(*given))
        return made[-1]

    monkeypatch.setattr(local, "Child", child)
    monkeypatch.setattr(local.LocalUpstream, "obstacle", lambda self, runner: None)
    return made


async def test_only_what_is_new_is_made() -> None:
    loop = asyncio.get_running_loop()
    made = upstreams.upstreams(settings(provider("a")), loop)
    before = dict(made)
    assert set(before) == {"echo", "native"}
    upstreams.extend(made, settings(provider("a"), provider("b", "aiohttp")), loop, lambda line: None)
    assert set(made) == {"echo", "native", "aiohttp"}
    library = made["aiohttp"]
    upstreams.extend(made, settings(provider("b", "aiohttp")), loop, lambda line: None)
    upstreams.adopt(made, settings(provider("a")))
    assert made == {**before, "aiohttp": library}
    for one in made.values():
        one.close()


async def test_engines_that_stay_run_on_and_others_end_after_their_last_request(children: list[Child]) -> None:
    loop = asyncio.get_running_loop()
    one, two, three = (Engine(model=f"/{name}.gguf", preload=name != "two") for name in ("one", "two", "three"))
    made = upstreams.upstreams(settings(provider("l#1", "local", one), provider("l#2", "local", two)), loop)
    upstream = made["local"]
    to = Destination(method=b"POST", origin="local:///two.gguf", path=b"/chat/completions")
    flights = [upstream.send(Call(to, b"", (b"{}",), 60.0), Heard()) for _ in range(2)]
    await asyncio.sleep(0)
    assert [child.engine for child in children] == [two, one]
    upstreams.adopt(made, settings(provider("l#1", "local", one), provider("l#3", "local", three)))
    await asyncio.sleep(0)
    assert [child.engine for child in children] == [two, one, three]
    assert len({child.origin for child in children}) == 3
    assert [child.stopped for child in children] == [False, False, False]
    flights[0].cancel()
    assert not children[0].stopped
    # A request that was begun before the change may only now come to its turn.
    late = upstream.send(Call(to, b"", (b"{}",), 60.0), Heard())
    flights[1].cancel()
    assert not children[0].stopped
    late.cancel()
    assert [child.stopped for child in children] == [True, False, False]
    children[0].end()
    assert isinstance(upstream, local.LocalUpstream)
    assert set(upstream._runners) == {one, three}
    for each in made.values():
        each.close()


async def test_an_engine_that_comes_back_is_the_same_one(children: list[Child]) -> None:
    loop = asyncio.get_running_loop()
    one = Engine(model="/one.gguf", preload=True)
    both = settings(provider("l#1", "local", one))
    made = upstreams.upstreams(both, loop)
    await asyncio.sleep(0)
    upstreams.adopt(made, both)
    await asyncio.sleep(0)
    assert [child.stopped for child in children] == [False]
    upstreams.adopt(made, settings())
    assert children[0].stopped
    children[0].end()
    upstreams.adopt(made, both)
    await asyncio.sleep(0)
    assert len(children) == 2
    assert children[0].origin == children[1].origin
    for each in made.values():
        each.close()
