"""When there is a gate, and what is said of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.parts import Stage
from parley.gateway.toll import Meters
from parley.keys import Holder, KeyLimits, digest_of
from parley.limits import Admission, Quota, Quotas
from parley.serve.limiting import Limiting
from parley.store import Store

ONE_A_MINUTE = Quotas(all=Quota(requests=((1, 60.0),)))


def change(stage: Stage, limiting: Limiting, **settings: Any) -> None:
    stage.gateway.adopt(replace(stage.gateway.settings, **settings), stage.gateway.upstreams)
    limiting.look()


def test_without_limits_there_is_none() -> None:
    stage = Stage()
    limiting = Limiting(stage.gateway, None)
    limiting.look()
    assert stage.gateway.gate is None
    assert limiting.problems() == []


@pytest.mark.parametrize("settings", [{"quotas": ONE_A_MINUTE}, {"admission": Admission(5)}])
def test_it_comes_with_the_configuration_and_stays(settings: dict[str, Any]) -> None:
    stage = Stage()
    limiting = Limiting(stage.gateway, None)
    change(stage, limiting, **settings)
    made = stage.gateway.gate
    assert made is not None
    change(stage, limiting, quotas=Quotas(), admission=Admission())
    assert stage.gateway.gate is made
    for _ in range(2):
        stage.ask()
    assert len(stage.sent) == 2


def test_it_comes_with_a_key_that_has_limits() -> None:
    stage = Stage()
    limiting = Limiting(stage.gateway, None)
    for limits, there in ((None, False), (KeyLimits(rpm=1), True)):
        stage.gateway.keyring.fill({digest_of(b"k"): Holder(id="k", name="k", limits=limits)}, exist=True)
        limiting.look()
        assert (stage.gateway.gate is not None) == there
    asked = [stage.ask(headers=[(b"x-api-key", b"k")])[1] for _ in range(2)]
    assert asked[1].status == 429


def test_another_place_to_count_takes_a_restart() -> None:
    stage = Stage(quotas=ONE_A_MINUTE)
    limiting = Limiting(stage.gateway, None)
    limiting.look()
    change(stage, limiting, quotas=replace(ONE_A_MINUTE, counters="store"))
    assert [problem["kind"] for problem in limiting.problems()] == ["restart"]


@pytest.mark.parametrize(
    ("said", "several", "leases"),
    [("", False, False), ("", True, True), ("memory", True, False), ("store", False, True)],
)
async def test_who_counts_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, several: bool, leases: bool
) -> None:
    import asyncio

    made: list[Sequence[Any]] = []

    def meters(process: str, **how: Any) -> Meters:
        made.append((how["told"], how["leases"]))
        return Meters(process, **how)

    monkeypatch.setattr("parley.serve.limiting.Meters", meters)
    store = Store(f"sqlite:///{tmp_path / 'parley.db'}", asyncio.get_running_loop())
    stage = Stage(quotas=replace(ONE_A_MINUTE, counters=said))
    limiting = Limiting(stage.gateway, store, several=several)
    limiting.look()
    assert made == [(True, leases)]
    await limiting.close()
    await store.close()
