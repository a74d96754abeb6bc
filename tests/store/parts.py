"""A store on a real file, its time in our hands, and responses to be kept in it."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import psycopg

from parley.failure import Failure, ParleyError
from parley.ports import Kept, Recalled
from parley.store import Store

T = TypeVar("T")
DAY = 86400.0


class Shelf:
    """A store, its log and its two clocks."""

    def __init__(self, path: Path | str, **options: Any) -> None:
        self.url = url = path if isinstance(path, str) else f"sqlite:///{path}"
        self.path = url.removeprefix("sqlite:///")
        self.errors: list[str] = []
        self.seconds = 1_000_000.0
        self.ticks = 0.0
        self.log: list[dict[str, Any]] = []
        self.store = Store(
            url,
            asyncio.get_running_loop(),
            write=lambda line: self.log.append(msgspec.json.decode(line)),
            count=self.errors.append,
            wall=lambda: self.seconds,
            now=lambda: self.ticks,
            **{"busy": 0.05, **options},
        )

    async def recall(self, response: str | None = None, conversation: str | None = None, owner: str = "") -> Recalled:
        """What came before, or the Failure raised."""
        outcome = await self.told(response, conversation, owner)
        if isinstance(outcome, Failure):
            raise ParleyError(outcome)
        return outcome

    async def told(self, response: str | None = None, conversation: str | None = None, owner: str = "") -> Any:
        """What ``then`` heard; it must hear it once."""
        heard: list[Recalled | Failure] = []
        done = asyncio.Event()

        def then(outcome: Recalled | Failure) -> None:
            heard.append(outcome)
            done.set()

        self.store.recall(response, conversation, owner, then)
        await within(done.wait())
        await self.store.ask(lambda link: None) if not isinstance(heard[0], Failure) else None
        assert len(heard) == 1
        return heard[0]

    async def resolve(self, items: list[Any], owner: str = "") -> Any:
        """The items without references, or the Failure."""
        future: asyncio.Future[bytes | Failure] = asyncio.get_running_loop().create_future()
        self.store.resolve(msgspec.json.encode(items), owner, future.set_result)
        outcome = await within(future)
        return outcome if isinstance(outcome, Failure) else msgspec.json.decode(outcome)

    def tables(self, statement: str) -> list[Any]:
        """What is really there."""
        if self.url.startswith("postgresql:"):
            with psycopg.connect(self.url) as raw:
                return raw.execute(statement).fetchall()  # type: ignore[arg-type]
        with sqlite3.connect(self.path) as raw:
            found = raw.execute(statement).fetchall()
        raw.close()
        return found


async def within(waiting: Awaitable[T], seconds: float = 30.0) -> T:
    async with asyncio.timeout(seconds):
        return await waiting


async def until(look: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    """Ask again and again until it is so; not for ever."""

    async def asking() -> None:
        while True:
            if await look():
                return
            await asyncio.sleep(0.002)

    await within(asking(), seconds)


def message(text: str, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": text, **more}


def answer(id: str, text: str, **more: Any) -> dict[str, Any]:
    """A response object with one message as output."""
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    output = [{"type": "message", "id": f"msg_of_{id}", "role": "assistant", "status": "completed", "content": content}]
    made = {"id": id, "object": "response", "created_at": 1_000_000, "status": "completed", "model": "m"}
    return {**made, "output": output, "tools": [], "tool_choice": "auto", "parallel_tool_calls": True, **more}


def kept(id: str, text: str, said: str = "", **more: Any) -> Kept:
    """A response to be kept: the caller asked ``text`` and heard ``said``."""
    response = more.pop("response", None) or answer(id, said or f"answer to {text}")
    facts = {"model": "m", "provider": "p", "native": False, "created": 1_000_000, **more}
    asked = facts.pop("input", None) or msgspec.json.encode([message(text)])
    return Kept(id=id, input=asked, response=msgspec.json.encode(response), **facts)


def words(items: bytes) -> list[str]:
    """The texts of recalled items, in order."""
    found = []
    for item in msgspec.json.decode(items):
        content = item["content"]
        found.append(content if isinstance(content, str) else content[0]["text"])
    return found
