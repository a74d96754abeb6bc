"""What every place where processes count together has to do."""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from parley.failure import Failure
from parley.limits import Answer, Ask


class Counting(Protocol):
    """A place."""

    def exchange(self, asks: Sequence[Ask], then: Any) -> None:
        """See parley.gateway.gate.Counters."""


def ask(account: str, process: str, **more: Any) -> Ask:
    """A question of a process about an account that holds 100."""
    measure = account.split(":")[2]
    span = float(account.split(":")[3])
    epoch = 0.0 if measure in ("money", "parallel") else None
    return Ask(**{
        "account": account, "process": process, "measure": measure, "limit": 100, "span": span, "epoch": epoch, **more
    })  # fmt: skip


async def told(place: Counting, *asks: Ask) -> Sequence[Answer] | Failure:
    """The answers."""
    future: asyncio.Future[Sequence[Answer] | Failure] = asyncio.get_running_loop().create_future()
    place.exchange(asks, future.set_result)
    return await asyncio.wait_for(future, 120)


async def granted(place: Counting, *asks: Ask) -> list[int]:
    """How much was leased."""
    answers = await told(place, *asks)
    assert not isinstance(answers, Failure)
    return [answer.granted for answer in answers]


async def counts_together(first: Counting, second: Counting) -> None:
    """Two processes at one place."""
    money, places, rate = "key:k:money:0", "all::parallel:0", "tag:a=b:tokens:60"
    assert await granted(first, ask(money, "a", least=60)) == [60]
    assert await granted(second, ask(money, "b", least=30, step=30)) == [30]
    assert await granted(second, ask(money, "b", keep=30, least=20, step=20)) == [0]
    # What was used stays used, what is given back can be had.
    assert await granted(first, ask(money, "a", total=40, keep=0)) == [0]
    assert await granted(second, ask(money, "b", keep=30, least=30, step=10)) == [30]
    assert await granted(second, ask(places, "b", least=100), ask(rate, "b", least=70)) == [100, 70]
    assert await granted(first, ask(places, "a", least=1), ask(rate, "a", least=40, step=10)) == [0, 30]
    answers = await told(first, ask(rate, "a", keep=30))
    assert not isinstance(answers, Failure)
    left = answers[0].left
    assert left is not None
    assert 50 < left <= 60


async def counts_exactly(places: Sequence[Counting], rounds: int) -> None:
    """Many at once, each of which takes one at a time until nothing is left."""
    account = "key:busy:requests:3600"

    async def one(number: int) -> int:
        taken = 0
        for _ in range(rounds):
            taken += sum(
                await granted(
                    places[number], ask(account, f"p{number}", total=taken, least=1), ask(account, "idle", least=0)
                )
            )
        return taken

    assert sum(await asyncio.gather(*(one(number) for number in range(len(places))))) == 100
