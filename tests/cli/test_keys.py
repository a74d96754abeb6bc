"""``parley keys``: what is printed and where, what is refused and how."""

import json
import sqlite3
import stat

import pytest

from parley.cli import keys as command
from parley.cli.keystore import linked, place_of
from parley.cli.root import outcome
from parley.keys import KINDS, digest_of, is_key
from parley.limits import PICO, Ask
from parley.store.counters import exchanges
from parley.store.place import default_url, path_of

SHOWN = {
    "id", "name", "kind", "models", "dialects", "sources", "tags", "rpm", "tpm", "parallel", "budget",
    "budget_period", "priority", "defaults", "spent", "created", "expires", "revoked", "last_used",
}  # fmt: skip


@pytest.fixture
def keys(folder, capsys):
    """Runs ``parley keys`` on a store in the current folder: exit code, stdout, stderr."""

    def run(*args, store="sqlite:///parley.db"):
        where = ["--store", store] if store else []
        code = outcome(["keys", *args, *where])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def rows(folder, statement):
    with sqlite3.connect(folder / "parley.db") as raw:
        found = raw.execute(statement).fetchall()
    raw.close()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_printed_alone_and_once(keys, folder, kind):
    code, out, err = keys("create", "alice", "--kind", kind)
    assert code == 0
    text = out.removesuffix("\n")
    assert is_key(text)
    assert text[7] == kind[0]
    assert "not shown again" in err
    assert text not in err
    assert rows(folder, "SELECT digest FROM key_digests") == [(digest_of(text.encode()),)]
    _, listed, _ = keys("list")
    _, as_json, _ = keys("list", "--json")
    assert text not in listed + as_json
    assert stat.S_IMODE((folder / "parley.db").stat().st_mode) == 0o600


def test_everything_that_is_asked_for_is_kept(keys):
    code, out, _ = keys(
        "create", "alice", "--models", "gpt-*, fast", "--dialects", "openai,gemini", "--sources", "10.0.0.0/8,::1",
        "--expires", "90d", "--tag", "team=blue", "--tag", "cost=a=b", "--json",
    )  # fmt: skip
    assert code == 0
    made = json.loads(out)
    assert set(made) == SHOWN | {"key"}
    assert is_key(made.pop("key"))
    assert (made["name"], made["kind"], made["spent"]) == ("alice", "caller", 0.0)
    assert made["models"] == ["gpt-*", "fast"]
    assert (made["dialects"], made["sources"]) == (["openai", "gemini"], ["10.0.0.0/8", "::1"])
    assert made["tags"] == {"team": "blue", "cost": "a=b"}
    assert [made[name] for name in ("rpm", "revoked", "last_used")] == [None] * 3
    assert made["expires"] > made["created"]
    assert json.loads(keys("list", "--json")[1]) == [made]


def test_an_empty_store_lists_nothing_and_is_not_made(keys, folder):
    assert keys("list") == (0, "", "")
    assert keys("list", "--json")[:2] == (0, "[]\n")
    for args in (["revoke", "alice"], ["rotate", "alice"]):
        code, out, err = keys(*args)
        assert (code, out) == (1, "")
        assert "'alice'" in err
    assert list(folder.iterdir()) == []


def test_revoke_by_name_by_id_and_by_the_key_itself(keys):
    for way in ("name", "id", "key"):
        made = json.loads(keys("create", "alice", "--json")[1])
        code, out, err = keys("revoke", made[way], "--json")
        assert code == 0
        assert json.loads(out)["revoked"] is not None
        assert made["key"] not in out + err
    assert [one["revoked"] is None for one in json.loads(keys("list", "--json")[1])] == [False] * 3
    assert keys("list")[1].count("revoked") == 3
    assert keys("revoke", "alice")[0] == 1
    assert keys("revoke", made["key"])[0] == 1
    assert made["key"] not in keys("revoke", made["key"])[2]


def test_rotate_says_what_becomes_of_the_old_one(keys, folder):
    first = json.loads(keys("create", "alice", "--kind", "admin", "--json")[1])
    code, out, err = keys("rotate", "alice")
    second = out.strip()
    assert (code, is_key(second), second[7]) == (0, True, "a")
    assert second != first["key"]
    assert "does not hold any more" in err
    assert len(rows(folder, "SELECT * FROM key_digests")) == 1
    code, out, err = keys("rotate", "alice", "--grace", "1h", "--json")
    assert json.loads(out)["id"] == first["id"]
    assert "holds until" in err
    assert len(rows(folder, "SELECT * FROM key_digests")) == 2
    assert keys("rotate", "alice", "--grace", "0")[0] == 0


def test_limits_and_defaults_are_kept_and_shown(keys, folder):
    code, out, _ = keys(
        "create", "alice", "--rpm", "60", "--tpm", "90000", "--parallel", "4", "--budget", "12.5", "--budget-period",
        "30d", "--priority", "high", "--default", "temperature=0.2", "--default", "user=alice", "--json",
    )  # fmt: skip
    assert code == 0
    made = json.loads(out)
    assert [made[name] for name in ("rpm", "tpm", "parallel", "budget")] == [60, 90000, 4, 12.5]
    assert (made["budget_period"], made["priority"], made["spent"]) == (30 * 86400, "high", 0.0)
    assert made["defaults"] == {"temperature": 0.2, "user": "alice"}
    del made["key"]
    assert json.loads(keys("list", "--json")[1]) == [made]
    kept = json.loads(rows(folder, "SELECT limits FROM keys")[0][0])
    assert kept["budget"] == 12_500_000_000_000
    rotated = json.loads(keys("rotate", "alice", "--json")[1])
    assert (rotated["rpm"], rotated["budget"]) == (60, 12.5)


def test_what_was_spent_of_a_budget_is_shown(keys, folder):
    made = json.loads(keys("create", "alice", "--budget", "10", "--json")[1])
    with linked(place_of("sqlite:///parley.db")) as link:
        spend = Ask(
            account=f"key:{made['id']}:money:0", process="p", measure="money", limit=10 * PICO, span=0.0, epoch=0.0,
            total=PICO // 4, leases=False,
        )  # fmt: skip
        exchanges(link, [spend])
        exchanges(link, [spend])
    assert json.loads(keys("list", "--json")[1])[0]["spent"] == 0.25
    assert json.loads(keys("rotate", made["id"], "--json")[1])["spent"] == 0.25
    assert json.loads(keys("revoke", made["id"], "--json")[1])["spent"] == 0.25


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["create"], "NAME"),
        (["create", ""], "1 to 128"),
        (["create", " a"], "1 to 128"),
        (["create", "a\nb"], "1 to 128"),
        (["create", "x" * 129], "1 to 128"),
        (["create", "a", "--kind", "root"], "root"),
        (["create", "a", "--models", "x,,y"], "an empty part"),
        (["create", "a", "--dialects", "french"], "openai, anthropic"),
        (["create", "a", "--sources", "10.0.0.1/8"], "10.0.0.1/8"),
        (["create", "a", "--sources", "everywhere"], "everywhere"),
        (["create", "a", "--expires", "soon"], "duration"),
        (["create", "a", "--tag", "blue"], "K=V"),
        (["create", "a", "--tag", "=blue"], "'=blue'"),
        (["create", "a", "--tag", "team=blue", "--tag", "team=red"], "twice"),
        (["create", "a", "--default", "blue"], "K=V"),
        (["create", "a", "--default", "model=x"], "model cannot be set"),
        (["create", "a", "--default", "temperature=warm"], "another type"),
        (["create", "a", "--rpm", "0"], "1"),
        (["create", "a", "--rpm", "many"], "many"),
        (["create", "a", "--budget", "0"], "above 0"),
        (["create", "a", "--budget", "nan"], "above 0"),
        (["create", "a", "--budget", "much"], "US dollars"),
        (["create", "a", "--budget", "1", "--budget-period", "soon"], "duration"),
        (["create", "a", "--budget-period", "30d"], "needs --budget"),
        (["create", "a", "--priority", "vip"], "vip"),
        (["rotate", "a", "--grace", "-1"], "grace"),
        (["list", "--store", "mysql://h"], "sqlite:///FILE"),
        (["list", "--store", "sqlite://"], "in memory"),
        (["frob"], "frob"),
    ],
)
def test_what_is_wrong_is_a_usage_error(keys, folder, args, said):
    code, out, err = keys(*args, store=None if "--store" in args else "sqlite:///parley.db")
    assert (code, out) == (2, "")
    assert said in err
    assert not (folder / "parley.db").exists()


def test_a_key_for_a_name_is_a_mistake_that_is_not_repeated(keys):
    text = keys("create", "alice")[1].strip()
    code, out, err = keys("create", text)
    assert (code, out) == (2, "")
    assert "Revoke it" in err
    assert text not in err


def test_a_name_is_taken_until_it_is_revoked(keys):
    assert keys("create", "alice")[0] == 0
    code, out, err = keys("create", "alice")
    assert (code, out) == (1, "")
    assert "already" in err


def test_the_store_is_the_configurations_or_the_users_own(keys, folder, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    (folder / "my.yaml").write_text("store: sqlite:///mine.db\n")
    assert keys("create", "a", "--config", "my.yaml", store=None)[0] == 0
    assert (folder / "mine.db").exists()
    assert keys("create", "b", store=None)[0] == 0
    own = path_of(default_url())
    assert own is not None
    assert own.is_relative_to(folder)
    assert own.exists()
    (folder / "parley.yaml").write_text("store: sqlite:///mine.db\n")
    assert [one["name"] for one in json.loads(keys("list", "--json", store=None)[1])] == ["a"]
    assert [one["name"] for one in json.loads(keys("list", "--json", store=f"sqlite:///{own}")[1])] == ["b"]


def test_a_store_that_is_none_is_told(keys, folder):
    (folder / "parley.db").write_bytes(b"no database at all" * 100)
    for args in (["list"], ["create", "a"], ["revoke", "a"]):
        code, out, err = keys(*args)
        assert (code, out) == (1, "")
        assert "not a database" in err
    assert keys("create", "a", store="sqlite:///no/such/folder.db")[0] == 1


def test_the_kinds_are_those_of_the_gateway():
    assert command.KINDS == KINDS
