"""A broker that does not know us: the commands end as with any key that is refused, and never tell the password."""

from collections.abc import Iterator

import pytest

from fixtures.brokers import Nats, Rabbit, RedisStreams
from parley.cli.root import outcome

WRONG = "wr0ng-passw0rd"


class GuardedNats(Nats):
    def command(self) -> list[str]:
        return [*super().command(), "--user", "u", "--pass", "right"]


class GuardedRedis(RedisStreams):
    def command(self) -> list[str]:
        return [*super().command(), "--requirepass", "right"]


@pytest.fixture(scope="module")
def nats() -> Iterator[Nats]:
    made = GuardedNats()
    yield made
    made.close()


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisStreams]:
    made = GuardedRedis()
    yield made
    made.close()


def refused(capsys: pytest.CaptureFixture[str], *command: str) -> None:
    assert outcome([*command, "--no-discover"]) == 4
    out, err = capsys.readouterr()
    assert (out, err.startswith("Error: ")) == ("", True)
    assert WRONG not in err


@pytest.mark.parametrize("account", [f"u:{WRONG}@", ""])
@pytest.mark.parametrize("option", ["", "?jetstream=Q"])
def test_nats(
    nats: Nats,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    account: str,
    option: str,
) -> None:
    monkeypatch.setenv("NATS_SERVER_URL", f"nats://{account}127.0.0.1:{nats.port}")
    refused(capsys, "publish", f"nats://q{option}", "{}")
    refused(capsys, "consume", f"nats://q{option}", "-n", "1")


@pytest.mark.parametrize("account", [f":{WRONG}@", f"u:{WRONG}@", ""])
def test_redis(
    redis: RedisStreams, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], account: str
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://{account}127.0.0.1:{redis.port}")
    refused(capsys, "publish", "redis://q", "{}")
    refused(capsys, "consume", "redis://q", "-n", "1")


@pytest.mark.parametrize("account", [f"guest:{WRONG}@", f"nobody:{WRONG}@"])
def test_rabbit(
    rabbit_broker: Rabbit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], account: str
) -> None:
    monkeypatch.setenv("RABBIT_SERVER_URL", f"amqp://{account}127.0.0.1:{rabbit_broker.port}/")
    refused(capsys, "publish", "rabbit://?routing_key=q", "{}")
    refused(capsys, "consume", "rabbit://q", "-n", "1")
