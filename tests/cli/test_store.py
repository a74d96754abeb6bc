"""``parley store`` and what ``parley serve`` does with a damaged file: what is printed, what is refused."""

import json

import pytest

from parley.cli.root import outcome

URL = "sqlite:///parley.db"


@pytest.fixture
def told(folder, capsys):
    """Runs ``parley`` in an empty folder: exit code, stdout, stderr."""

    def run(*args):
        code = outcome(list(args))
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def damaged(told, folder):
    """A store with a key in it and a damaged page."""
    assert told("keys", "create", "alice", "--store", URL)[0] == 0
    path = folder / "parley.db"
    data = bytearray(path.read_bytes())
    data[-4096:] = b"\xa5" * 4096
    path.write_bytes(data)
    return path


def test_a_sound_store_is_said_to_be_sound(told, folder):
    told("keys", "create", "alice", "--store", URL)
    before = (folder / "parley.db").read_bytes()
    code, out, err = told("store", "check", "--store", URL)
    assert (code, out) == (0, "")
    assert "is sound" in err
    assert json.loads(told("store", "check", "--store", URL, "--json")[1]) == {
        "store": str(folder / "parley.db"),
        "sound": True,
        "problem": None,
    }
    code, _, err = told("store", "recover", "--store", URL)
    assert code == 0
    assert "nothing was changed" in err
    assert (folder / "parley.db").read_bytes() == before


def test_a_damaged_one_is_told_and_recovered(told, damaged, folder):
    before = damaged.read_bytes()
    code, out, err = told("store", "check", "--store", URL, "--json")
    assert code == 1
    assert json.loads(out)["sound"] is False
    assert "parley store recover" in err
    assert damaged.read_bytes() == before
    code, out, err = told("store", "recover", "--store", URL)
    assert (code, out) == (0, "")
    assert "keys 1" in err
    (aside,) = folder.glob("parley.db.damaged-*")
    assert str(aside) in err
    assert aside.read_bytes() == before
    assert told("store", "check", "--store", URL)[0] == 0
    assert [one["name"] for one in json.loads(told("keys", "list", "--store", URL, "--json")[1])] == ["alice"]


def test_nobody_is_served_from_a_damaged_one(told, damaged):
    before = damaged.read_bytes()
    code, out, err = told("serve", "--no-discover", "--store", URL)
    assert (code, out) == (1, "")
    first = json.loads(err.splitlines()[0])
    assert (first["event"], first["file"]) == ("store.corrupt", str(damaged))
    assert "--recover" in err
    assert damaged.read_bytes() == before


def test_one_of_which_nothing_is_left_stays_as_it_is(told, folder):
    (folder / "parley.db").write_bytes(b"no database " * 1000)
    for args in (["store", "recover"], ["serve", "--no-discover", "--recover"]):
        code, _, err = told(*args, "--store", URL)
        assert code == 1
        assert "Restore a copy" in err
    assert [one.name for one in folder.iterdir()] == ["parley.db"]


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["store", "check", "--store", URL], 1, "there is no store"),
        (["store", "check", "--store", "postgresql://u:geheim@h/db"], 2, "the server has its own tools"),
        (["store", "recover", "--store", "sqlite://"], 2, "in memory"),
        (["serve", "--recover", "--no-discover", "--store", "postgresql://u:geheim@h/db"], 2, "recovers by itself"),
        (["keys", "list", "--store", "postgresql://u:geheim@127.0.0.1:1/db"], 1, "is not available"),
        (["keys", "list", "--store", "postgresql://u:geheim@h"], 2, "postgresql://USER:PASSWORD@HOST/DATABASE"),
    ],
)
def test_what_cannot_be_done_is_told_without_a_password(told, folder, args, code, said):
    found, out, err = told(*args)
    assert (found, out) == (code, "")
    assert said in err
    assert "geheim" not in err
    assert list(folder.iterdir()) == []


def test_the_package_that_is_missing_is_named(told, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = told("keys", "list", "--store", "postgresql://u:geheim@h/db")
    assert code == 2
    assert "pip install 'parley[postgres]'" in err
    assert "geheim" not in err
