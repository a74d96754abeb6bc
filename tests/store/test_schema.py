"""Where a store is, and the steps by which its schema is made."""

from pathlib import Path
from typing import Any

import pytest

from parley.store import steps, worker
from parley.store.link import SqliteLink
from parley.store.place import path_of, place_of


@pytest.mark.parametrize(
    "wrong",
    [
        *("mysql://x/y", "sqlite:", "sqlite:///", "parley.db", "sqlite:///a?mode=ro", ""),
        *("postgresql://user:secret@host", "postgresql:///", "postgresql+psycopg://h/db"),
    ],
)
def test_what_is_no_store_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="sqlite:///FILE") as caught:
        place_of(wrong)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "right",
    [
        "postgresql://user:s%2Fecret@host/db",
        "postgres://user:s%2Fecret@host:5432/db?sslmode=require",
        "postgresql://user:s%2Fecret@one:1,two:2/db?target_session_attrs=read-write",
        "postgresql://user@/db?host=/run/postgresql&password=s%2Fecret",
    ],
)
def test_a_server_shows_no_password(right: str) -> None:
    place = place_of(right)
    assert (place.path, place.exists, place.shared) == (None, True, True)
    for shown in (str(place), repr(place), place.covered("it said s/ecret and s%2Fecret")):
        assert "ecret" not in shown
    assert "s%2Fecret" in place.server


def test_paths_are_relative_or_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert path_of("sqlite:///parley.db") == tmp_path / "parley.db"
    assert path_of("sqlite:////srv/a%20b.db") == Path("/srv/a b.db")
    assert path_of("sqlite:///:memory:") is None


def test_the_chain_of_steps_is_in_order_and_keeps_its_beginning() -> None:
    assert [step.number for step in steps.STEPS] == list(range(1, len(steps.STEPS) + 1))
    assert steps.STEPS[0].name == "responses and conversations"


def test_a_step_added_later_is_applied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def names() -> list[str]:
        link = SqliteLink(tmp_path / "db", 1.0)
        link.migrate()
        found = [row[0] for row in link.rows("SELECT name FROM parley_schema ORDER BY number")]
        link.close()
        return found

    (tmp_path / "db").touch()
    before = [step.name for step in steps.STEPS]
    assert names() == before
    later = steps.Step(
        len(steps.STEPS) + 1, "later", lambda connection: connection.exec_driver_sql("CREATE TABLE later (x)") and None
    )
    longer = (*steps.STEPS, later)
    monkeypatch.setattr("parley.store.statements.STEPS", longer)
    monkeypatch.setattr(steps.migrate, "__defaults__", (longer,))
    assert names() == [*before, "later"]
    assert names() == [*before, "later"]
    monkeypatch.undo()
    with pytest.raises(worker.Away, match="newer version"):
        names()


def test_a_step_that_fails_leaves_the_schema_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(connection: Any) -> None:
        connection.exec_driver_sql("CREATE TABLE half (x)")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(
        steps.migrate, "__defaults__", ((*steps.STEPS, steps.Step(len(steps.STEPS) + 1, "broken", broken)),)
    )
    (tmp_path / "db").touch()
    link = SqliteLink(tmp_path / "db", 1.0)
    with pytest.raises(worker.Away, match="No space left"):
        link.migrate()
    assert link.rows("SELECT name FROM sqlite_master") == []
    link.close()
