"""Streams beside everything else that a gateway has: keys, limits and budgets, a configuration that changes, several
processes, and subjects of NATS with nothing behind them."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.children import eventually
from fixtures.counting import Counting
from fixtures.parley import Gateway, Start
from fixtures.rigs import Rig, rig_for
from parley.io.brokers import Brokers
from parley.streams.address import address_of
from real.test_keys import told
from real.test_messaging import Answers, asking, config, environment, messages, queue_made, send

MODELS = [{"model": name, "targets": ["echo/echo"]} for name in ("fast", "slow")]


def asks(number: int, key: str = "", model: str = "fast") -> dict[str, Any]:
    """One request, by that key."""
    metadata = {"n": number, **({"parley_key": key} if key else {})}
    body = {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    return asking(number, metadata=metadata, body=body)


@pytest.fixture
async def nats(request: pytest.FixtureRequest) -> Rig:
    made = rig_for("nats", request)
    await queue_made(made)
    return made


async def answered(rig: Rig, *asked: dict[str, Any]) -> list[tuple[int, str]]:
    """Status and code of each, asked one after the other."""
    found = []
    for one in asked:
        await send(rig, [one])
        answers = Answers(rig)
        await answers.read(1, 60)
        ((answer,),) = answers.got.values()
        assert answer["metadata"] == {"n": one["metadata"]["n"]}
        error = answer["body"].get("error") or {}
        found.append((answer["status_code"], error.get("code", "")))
    return found


async def test_keys_limits_and_budgets_hold_for_messages(
    nats: Rig, parley_server: Start, parley_python: str, tmp_path: Path
) -> None:
    store = f"sqlite:///{tmp_path}/parley.db"

    def make(name: str, *more: str) -> str:
        return str(told(parley_python, tmp_path, "create", name, *more, "--json", "--store", store)["key"])

    limited = make("limited", "--rpm", "1")
    poor = make("poor", "--budget", "1")
    bound = make("bound", "--models", "fast")
    given = config(nats, attempts=1) | {
        "store": store, "models": MODELS, "auth": {"required": True},
        # Each token costs a dollar.
        "prices": {"echo/echo": {"input": 1e6, "output": 1e6}},
    }  # fmt: skip
    gateway = parley_server(given, env=dict(nats.env))
    found = await answered(
        nats,
        asks(1), asks(2, limited), asks(3, limited), asks(4, bound), asks(5, bound, "slow"), asks(6, "wrong"),
        asks(7, poor), asks(8, poor),
    )  # fmt: skip
    # Without a key a stream is trusted as its operator is.
    assert found[0] == (200, "")
    assert found[1:3] == [(200, ""), (429, "rate_limited")]
    assert found[3] == (200, "")
    assert found[4][0] in (403, 404)
    assert found[5] == (401, "unauthorized")
    assert found[7][1] == "budget_exceeded"
    assert all(key not in "\n".join(gateway.stderr_lines()) for key in (limited, poor, bound))


async def test_a_stream_asks_by_its_own_key(
    nats: Rig, parley_server: Start, parley_python: str, tmp_path: Path
) -> None:
    store = f"sqlite:///{tmp_path}/parley.db"
    told(parley_python, tmp_path, "create", "team", "--models", "fast", "--json", "--store", store)
    given = config(nats, key="team", attempts=1) | {"store": store, "models": MODELS, "auth": {"required": True}}
    parley_server(given, env=dict(nats.env))
    found = await answered(nats, asks(1), asks(2, model="slow"))
    assert found[0] == (200, "")
    assert found[1][0] in (403, 404)


async def test_streams_come_and_go_with_the_configuration(
    nats: Rig, request: pytest.FixtureRequest, parley_server: Start
) -> None:
    other = rig_for("nats", request)
    await queue_made(other)
    gateway = parley_server(config(nats), env=dict(nats.env))
    await send(nats, [asking(number) for number in range(20)])
    first = Answers(nats)
    await first.read(20, 60)

    def change(rig: Rig, name: str) -> None:
        changed = yaml.safe_load(gateway.path.read_text()) | config(rig, name=name)
        gateway.path.write_text(yaml.safe_dump(changed))

    change(other, "two")
    await send(other, [asking(number) for number in range(20)])
    second = Answers(other)
    await second.read(20, 90)
    # Nobody reads the first one any more, and what nobody reads is not told of.
    eventually(lambda: 'stream="one"' not in gateway.metrics(), 30, "it is gone from the metrics")
    await send(nats, [asking(number) for number in range(20, 40)])
    change(nats, "one")
    await first.read(40, 90)
    assert set(first.got) == set(range(40))
    assert first.doubled == second.doubled == 0


async def test_processes_share_a_stream(nats: Rig, parley_server: Start) -> None:
    gateway = parley_server(config(nats), env=dict(nats.env), args=("--workers", "2"))
    await send(nats, [asking(number) for number in range(200)])
    answers = Answers(nats)
    await answers.read(200, 90)
    assert set(answers.got) == set(range(200))
    assert answers.doubled == 0
    eventually(lambda: messages(gateway, "answered") == 200, 30, "all are counted")


@pytest.mark.parametrize("place", ["store", "redis"])
async def test_an_answer_is_remembered_by_other_processes(
    nats: Rig, parley_server: Start, counting: Counting, redis_server: Any, tmp_path: Path, place: str
) -> None:
    """The second gateway knows what the first one answered; what was not answered well enough is known too."""
    where = place if place == "store" else redis_server.url(redis_server.fresh())
    given = config(nats, identity="id", remember=where) | {
        "store": f"sqlite:///{tmp_path}/parley.db",
        "providers": {"up": {"type": "openai", "base_url": counting.url, "api_key": "k"}},
        "models": [{"model": "echo", "targets": ["up/m"]}],
    }
    first = parley_server(given, env=dict(nats.env))
    await send(nats, [asking(1, metadata={"n": 1, "id": "same"})])
    answers = Answers(nats)
    await answers.read(1, 60)
    first.signal(signal.SIGKILL)
    first.child.process.wait(30)
    second = parley_server(given, env=dict(nats.env))
    await send(nats, [asking(2, metadata={"n": 2, "id": "same"}), asking(3, metadata={"n": 3, "id": "other"})])
    await answers.read(3, 60)
    assert [answers.got[number][0]["status_code"] for number in (1, 2, 3)] == [200] * 3
    assert answers.got[1][0]["body"] == answers.got[2][0]["body"]
    assert counting.asked == {"say 1": 1, "say 3": 1}
    # On a busy machine a broker may deliver one of them again.
    assert messages(second, "duplicate") >= 1


async def test_paths_whose_answers_are_streams_are_answered_whole(nats: Rig, parley_server: Start) -> None:
    turns = [{"role": "user", "content": "hi"}]
    service, adapter = "/api/mlpgate/account/a/model/s", "/api/adapters/openai"
    streamed = {"model": "a/s", "messages": turns, "stream": True}
    asked = [
        asking(0, path=f"{service}/predict-with-config-v2-stream?x=1", body={"data": json.dumps({"messages": turns})}),
        asking(1, path=f"{adapter}/chat/completions", body=streamed),
        asking(2, path=f"{adapter}-direct/chat/completions", body=streamed),
        asking(3, path="/v1beta/models/a%2Fs:streamGenerateContent", body={"contents": [{"parts": [{"text": "hi"}]}]}),
    ]
    parley_server(config(nats) | {"models": [{"model": "a/s", "targets": ["echo/echo"]}]}, env=dict(nats.env))
    await send(nats, asked)
    answers = Answers(nats)
    await answers.read(4, 60)
    found = [answers.got[number][0] for number in range(4)]
    assert [one["status_code"] for one in found] == [200] * 4
    assert [one["body"]["choices"][0]["message"]["content"] for one in found[:3]] == ["hi"] * 3
    assert found[3]["body"]["candidates"][0]["content"]["parts"] == [{"text": "hi"}]


class Plain:
    """A subject without a stream, and where its answers go; both end here."""

    def __init__(self, rig: Rig) -> None:
        self.asked = f"nats://plain.q.{rig.requests.partition('?')[0].rpartition('.')[2]}"
        self.told = self.asked.replace("plain.q", "plain.a")
        self.rig = rig

    def config(self, **more: Any) -> dict[str, Any]:
        stream = {"name": "plain", "requests": self.asked, "responses": self.told, "max_handlers": 8, **more}
        return {"streams": [stream]}


async def test_a_plain_subject_is_answered_as_long_as_somebody_listens(nats: Rig, parley_server: Start) -> None:
    plain = Plain(nats)
    with environment(nats):
        brokers = Brokers()
        reading = await brokers.subscription(address_of(plain.told, "requests", {}, nats.env), 10)
        sending = await brokers.topic(address_of(plain.asked, "responses", {}, nats.env))
    got: dict[int, int] = {}

    async def read(wanted: set[int]) -> None:
        async with asyncio.timeout(60):
            while not wanted <= set(got):
                for message in await reading.receive(10):
                    number = json.loads(message.body)["metadata"]["n"]
                    got[number] = got.get(number, 0) + 1

    try:
        # Nobody listens: it is lost, and nobody is told.
        await sending.send(json.dumps(asking(0)).encode(), {})
        # Both are in one group, so that each message has one answer.
        both = plain.config(requests=f"{plain.asked}?queue=gateways")
        gateways = [parley_server(both, env=dict(nats.env)) for _ in range(2)]
        listens(gateways)
        for number in range(1, 41):
            await sending.send(json.dumps(asking(number)).encode(), {})
        await read(set(range(1, 41)))
        eventually(lambda: sum(messages(one, "answered") for one in gateways) == 40, 30, "all are counted")
        assert 0 not in got
        assert set(got.values()) == {1}
    finally:
        await reading.close()
        await sending.close()


async def test_processes_of_one_gateway_answer_a_plain_subject_once(nats: Rig, parley_server: Start) -> None:
    """There is no group there: each process that listened would get every message."""
    plain = Plain(nats)
    with environment(nats):
        brokers = Brokers()
        reading = await brokers.subscription(address_of(plain.told, "requests", {}, nats.env), 10)
        sending = await brokers.topic(address_of(plain.asked, "responses", {}, nats.env))
    got: list[int] = []

    async def read() -> None:
        got.extend(json.loads(message.body)["metadata"]["n"] for message in await reading.receive(10))

    try:
        gateway = parley_server(plain.config(), env=dict(nats.env), args=("--workers", "2"))
        eventually(lambda: "\nparley_workers 2.0" in gateway.metrics(), 30, "both serve")
        async with asyncio.timeout(60):
            # What is sent before anybody listens is lost.
            while got.count(0) < 3:
                await sending.send(json.dumps(asking(0)).encode(), {})
                await read()
            # The last one goes out when all before it were answered, by whoever listens.
            for numbers in (range(1, 21), range(21, 22)):
                for number in numbers:
                    await sending.send(json.dumps(asking(number)).encode(), {})
                while not set(numbers) <= set(got):
                    await read()
        assert sorted(number for number in got if number) == list(range(1, 22))
    finally:
        await reading.close()
        await sending.close()


def listens(gateways: list[Gateway]) -> None:
    """Until they have opened their streams."""
    for gateway in gateways:
        eventually(lambda one=gateway: 'parley_messages_backlog{stream="plain"}' in one.metrics(), 30, "it is served")
        eventually(gateway.ready, 30, "and open")


async def test_a_message_whose_answer_does_not_fit_harms_no_other(nats: Rig, parley_server: Start) -> None:
    """Its metadata are nearly all that the server takes."""
    gateway = parley_server(config(nats, max_handlers=2), env=dict(nats.env))

    def asks_with(letters: int) -> bytes:
        return json.dumps({"path": "/v1/n", "metadata": {"n": 0, "a": "y" * letters}, "body": {}}).encode()

    # With some bytes for the headers it has on its way.
    big = asks_with(1024 * 1024 - 64 - len(asks_with(0)))
    with environment(nats):
        topic = await Brokers().topic(address_of(nats.ask, "responses", {}, nats.env))
        try:
            await topic.send(big, {})
        finally:
            await topic.close()
    await send(nats, [asking(number) for number in range(1, 11)])
    answers = Answers(nats)
    await answers.read(11, 90)
    assert set(answers.got) == set(range(1, 11))
    ((answer,),) = answers.without.values()
    assert (answer["status_code"], answer["metadata"]) == (502, None)
    assert gateway.ready()


async def test_a_key_that_is_none_is_not_the_operators(
    nats: Rig, parley_server: Start, parley_python: str, tmp_path: Path
) -> None:
    store = f"sqlite:///{tmp_path}/parley.db"
    told(parley_python, tmp_path, "create", "anybody", "--json", "--store", store)
    given = config(nats, max_handlers=1) | {"store": store, "models": MODELS, "auth": {"required": True}}
    parley_server(given, env=dict(nats.env))
    keys: list[Any] = [5, "", None, [], "wrong"]
    await send(nats, [asking(number, metadata={"n": number, "parley_key": key}) for number, key in enumerate(keys)])
    answers = Answers(nats)
    await answers.read(len(keys), 60)
    assert [answers.got[number][0]["status_code"] for number in range(len(keys))] == [401] * len(keys)
