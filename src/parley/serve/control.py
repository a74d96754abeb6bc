"""The line between the supervisor and one worker: a pair of connected sockets that nobody else can open.

Values cross as pickles: both ends are this program, started one by the other.
"""

import asyncio
import logging
import pickle
import socket
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Final

_LENGTH: Final = 4
_ANSWER, _FAILED = "answer", "failed"
Answer = Callable[[str, Any], Awaitable[Any]]


class Line(asyncio.Protocol):
    """One end. ``answer`` is called for what the other end says, ``lost`` once it has gone.

    A message is its number, a word and a value; the answer to number n has the number -n. What is only told has 0.
    """

    def __init__(self, answer: Answer, lost: Callable[[], None]) -> None:
        self._answer = answer
        self._lost = lost
        self._data = bytearray()
        self._transport: Any = None
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether the other end has not yet taken what it was told."""
        return self._transport is None or self._transport.get_write_buffer_size() > 0

    async def ask(self, word: str, value: Any = None) -> Any:
        """The other end's answer. Raises ConnectionError where it has gone, RuntimeError where it failed."""
        number, future = next(self._numbers), asyncio.get_running_loop().create_future()
        self._asked[number] = future
        try:
            self._send(number, word, value)
            return await future
        finally:
            del self._asked[number]

    def tell(self, word: str, value: Any = None) -> None:
        """Say something that wants no answer."""
        if self._transport is not None:
            self._send(0, word, value)

    def close(self) -> None:
        """Leave."""
        if self._transport is not None:
            self._transport.close()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The line is there."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Some of a message, or several."""
        self._data += data
        while len(self._data) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._data[:_LENGTH], "big")
            if len(self._data) < end:
                break
            message = bytes(self._data[_LENGTH:end])
            del self._data[:end]
            self._heard(*pickle.loads(message))  # noqa: S301 - see the module

    def connection_lost(self, exc: Exception | None) -> None:
        """The other end has gone."""
        self._transport = None
        for future in self._asked.values():
            if not future.done():
                future.set_exception(ConnectionResetError("the other process has gone"))
        self._lost()

    def _send(self, number: int, word: str, value: Any) -> None:
        if self._transport is None:
            raise ConnectionResetError("the other process has gone")
        message = pickle.dumps((number, word, value), pickle.HIGHEST_PROTOCOL)
        self._transport.write(len(message).to_bytes(_LENGTH, "big") + message)

    def _heard(self, number: int, word: str, value: Any) -> None:
        if number < 0:
            future = self._asked.get(-number)
            if future is not None and not future.done():
                future.set_result(value) if word == _ANSWER else future.set_exception(RuntimeError(value))
            return
        task = asyncio.ensure_future(self._reply(number, word, value))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, number: int, word: str, value: Any) -> None:
        told = _ANSWER
        try:
            answer = await self._answer(word, value)
        except Exception as error:
            logging.getLogger("parley").exception("a word of the other process could not be answered")
            told, answer = _FAILED, repr(error)
        if number and self._transport is not None:
            self._send(-number, told, answer)


async def line(own: socket.socket, answer: Answer, lost: Callable[[], None]) -> Line:
    """This process's end of a pair of sockets."""
    loop = asyncio.get_running_loop()
    _, made = await loop.create_unix_connection(lambda: Line(answer, lost), sock=own)
    return made
