import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from parley.config import Problem
from parley.serve import watching
from parley.serve.reload import FIXED, Reload, settled
from parley.serve.rereading import Reading
from parley.serve.watching import Files, emptied, folders_of, look, look_back, words
from parley.settings import Provider, Registration, Settings, Target, Telemetry
from serve.parts import Door


def touch(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_look_sees_every_kind_of_change(tmp_path: Path) -> None:
    path = touch(tmp_path / "a.yaml")
    files = Files((str(path), str(tmp_path / "gone")))
    looks = [look(files)]
    assert looks[0] == look(files)
    touch(path, "longer")
    looks.append(look(files))
    os.utime(path, ns=(1, 1))
    looks.append(look(files))
    touch(tmp_path / "b").replace(path)
    looks.append(look(files))
    touch(tmp_path / "gone")
    looks.append(look(files))
    path.unlink()
    looks.append(look(files))
    assert len(set(looks)) == 6


def test_a_look_follows_patterns(tmp_path: Path) -> None:
    files = Files((), ((str(tmp_path), "m/*.yaml"), (str(tmp_path), "folder")))
    assert look(files) == ()
    touch(tmp_path / "m" / "a.yaml")
    touch(tmp_path / "m" / "a.txt")
    touch(tmp_path / "folder" / "b.yml")
    assert [Path(path).name for path, _ in look(files)] == ["a.yaml", "b.yml"]


def test_an_empty_file_and_a_later_one_are_told_apart(tmp_path: Path) -> None:
    files = Files((str(touch(tmp_path / "a", "")), str(tmp_path / "gone")))
    assert emptied(look(files))
    changed = os.stat(tmp_path / "a").st_ctime
    assert look_back(files, changed - 1) == ()
    assert look_back(files, changed + 1) == look(files)
    touch(tmp_path / "a")
    assert not emptied(look(files))


def test_folders_of_links_and_of_what_is_not_there_yet(tmp_path: Path) -> None:
    touch(tmp_path / "real" / "v1" / "a.yaml")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "current").symlink_to(tmp_path / "real" / "v1")
    (tmp_path / "entry.yaml").symlink_to("links/current/a.yaml")
    (tmp_path / "round").symlink_to("round")
    found = folders_of(Files((str(tmp_path / "entry.yaml"), str(tmp_path / "round"))))
    expected = [tmp_path, tmp_path / "links", tmp_path / "links" / "current", tmp_path / "real" / "v1"]
    assert {str(path) for path in expected} <= set(found)
    assert str(tmp_path / "real") not in found
    found = folders_of(Files((), ((str(tmp_path), "real/later/*.yaml"),)))
    assert set(found) == {str(tmp_path / "real")}
    before = folders_of(Files((str(tmp_path / "x" / "a"),)))
    (tmp_path / "x").mkdir()
    assert folders_of(Files((str(tmp_path / "x" / "a"),))) != before


def provider(**changed: Any) -> Provider:
    return Provider(name="a", type="openai", wire="openai_chat", endpoints=("http://h",), paths={}, **changed)


def test_what_is_equal_stays_the_same_object() -> None:
    def made(weight: int) -> Settings:
        targets = (Target("a", "m", weight),)
        one, two = Registration(model="one", targets=(Target("a", "m"),)), Registration(model="two", targets=targets)
        return Settings(
            providers={"a": provider(), "b": provider(keys=(str(weight),))},
            registrations={("*", "one"): one, ("*", "two"): two},
        )

    before, wanted = made(1), made(2)
    found = settled(before, wanted)
    assert found.providers["a"] is before.providers["a"]
    assert found.providers["b"] is wanted.providers["b"]
    assert found.registrations["*", "one"] is before.registrations["*", "one"]
    assert found.registrations["*", "two"] is wanted.registrations["*", "two"]


@pytest.mark.parametrize("name", FIXED)
def test_what_is_set_up_once_stays(name: str) -> None:
    before = Settings()
    telemetry = Telemetry("http://127.0.0.1:4318")
    wanted = Settings(listen=("127.0.0.1:1",), store="sqlite:///other.db", log_requests=False, telemetry=telemetry)
    assert getattr(wanted, name) != getattr(before, name)
    assert getattr(settled(before, wanted), name) == getattr(before, name)
    assert not settled(before, wanted).log_requests


class Scripted:
    """Reads nothing: says what it is told to, and counts."""

    def __init__(self, path: Path) -> None:
        self.files = Files((str(path),))
        self.first = look(self.files)
        self.readings = 0
        self.during: list[Any] = []
        self.problems: tuple[Problem, ...] = ()

    def __call__(self) -> Reading:
        self.readings += 1
        if self.during:
            self.during.pop(0)()
        return Reading(settings=Settings(), problems=self.problems, files=self.files)


class Watch:
    def __init__(self, path: Path) -> None:
        self.source = Scripted(path)
        self.house = Door().house
        self.lines: list[bytes] = []
        self.reload = Reload(self.house, dict(self.house.gateway.upstreams), self.source, self.lines.append)
        self.pauses: list[float] = []
        self.meanwhile: list[Any] = []
        self.reload.pause = self.pause

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if self.meanwhile:
            self.meanwhile.pop(0)()


@pytest.fixture
async def watch(tmp_path: Path) -> Watch:
    made = Watch(touch(tmp_path / "a.yaml"))
    await made.reload.check()
    assert (made.source.readings, made.pauses) == (0, [])
    return made


async def test_quick_writes_are_one_reload(watch: Watch, tmp_path: Path) -> None:
    path = touch(tmp_path / "a.yaml", "0")
    watch.meanwhile = [lambda number=number: touch(path, "x" * number) for number in range(2, 6)]
    await watch.reload.check()
    assert (watch.source.readings, len(watch.pauses)) == (1, 5)
    await watch.reload.check()
    assert watch.source.readings == 1


async def test_an_empty_file_is_given_time(watch: Watch, tmp_path: Path) -> None:
    path = touch(tmp_path / "a.yaml", "")
    watch.meanwhile = [lambda: touch(path, "models: []")]
    await watch.reload.check()
    assert watch.source.readings == 1
    assert watch.pauses[0] > 5 * watch.pauses[1]


async def test_a_change_while_it_is_read_is_read_too(watch: Watch, tmp_path: Path) -> None:
    path = touch(tmp_path / "a.yaml", "0")
    watch.source.during = [lambda: touch(path, "other")]
    await watch.reload.check()
    assert watch.source.readings == 2
    await watch.reload.check()
    assert watch.source.readings == 2


async def test_what_comes_back_before_it_was_read_is_no_change(watch: Watch, tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    (tmp_path / "a.yaml").rename(aside)
    before = watch.house.gateway.settings
    watch.meanwhile = [lambda: aside.rename(tmp_path / "a.yaml")]
    await watch.reload.check()
    assert watch.house.gateway.settings is before or watch.source.readings == 1
    assert watch.house.problems() == []


async def test_a_fault_of_ours_ends_nothing(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    before = watch.house.gateway.settings

    def broken() -> None:
        raise RuntimeError("a bug")

    watch.source.during = [broken]
    reading = await watch.reload.load("asked")
    assert [problem.message for problem in reading.problems] == ["the configuration could not be read"]
    assert watch.house.gateway.settings is before
    assert caplog.text.count("RuntimeError: a bug") == 1
    assert (await watch.reload.load("asked")).problems == ()
    assert watch.house.problems() == []


async def test_nothing_is_taken_over_while_draining(watch: Watch) -> None:
    before = watch.house.gateway.settings
    watch.house.draining = True
    await watch.reload.load("asked")
    assert watch.house.gateway.settings is before


async def test_a_system_that_tells_nothing_is_asked_in_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_many(*folders: str, **given: Any) -> Any:
        raise OSError("too many watches")

    monkeypatch.setattr("watchfiles.awatch", too_many)
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.0)
    heard: list[str] = []
    told = words({str(tmp_path): (1,)}, heard.append)
    for _ in range(3):
        await anext(told)
    await told.aclose()
    assert heard == ["too many watches"]


async def test_trouble_is_told_once(watch: Watch) -> None:
    for reason in ("one", "one", "two"):
        watch.reload._troubled(reason)
    assert [b"one" in line for line in watch.lines] == [True, False]


async def test_word_comes_of_what_happens_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 60.0)
    told = words(folders_of(Files((str(tmp_path / "a"),))), pytest.fail)
    waiting = asyncio.ensure_future(anext(told))
    async with asyncio.timeout(30):
        while not waiting.done():
            # Whether it listens already cannot be seen from outside.
            touch(tmp_path / "a")
            await asyncio.sleep(0.02)
    assert waiting.result() is None
    await told.aclose()
