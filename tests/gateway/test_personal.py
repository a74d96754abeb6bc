"""Members that a key's requests have where they are silent."""

from typing import Any

from gateway.gated import Gated
from gateway.parts import MESSAGES, registration
from parley.gateway.keyring import Entry
from parley.gateway.personal import personal
from parley.gateway.route import Served
from parley.keys import Holder, digest_of
from parley.settings import EXTENSIONS

DEFAULTS = {"temperature": 0.5, "user": "alice", "seed": 3}


class Personal(Gated):
    """A stage where the key ``alice`` has defaults."""

    def __init__(self, members: dict[str, Any], **own: Any) -> None:
        super().__init__(registration("set", "a/m-1", **own))
        holder = Holder(id="alice", name="alice", defaults=members)
        holders = {digest_of(one.id.encode()): one for one in (holder, Holder(id="bob", name="bob"))}
        self.gateway.keyring.fill(holders, exist=True)

    def body(self, key: str, model: str = "set", **members: Any) -> dict[str, Any]:
        self.by(key, model=model, **members)
        return self.sent[-1].body


def entry(**defaults: Any) -> Entry:
    return Entry(Holder(id="k", name="k", defaults=defaults))


def served(**own: Any) -> Served:
    return Served(registration("m", "a/m-1", **own), {})


def test_they_win_over_the_models_defaults_and_lose_to_its_overrides() -> None:
    one = served(defaults={"temperature": 0.1, "top_p": 0.2}, overrides={"seed": 7})
    made = personal(one, entry(**DEFAULTS), "chat")
    # Whose turn it is, and how the targets do, is the model's.
    assert made.registration is one.registration
    assert made._set.defaults == {"temperature": 0.5, "user": "alice", "seed": 3, "top_p": 0.2}
    assert made._set.overrides == {"seed": 7}


def test_the_extension_object_is_merged() -> None:
    own, mine = {EXTENSIONS: {"top_k": 1, "min_p": 0.1}}, {EXTENSIONS: {"top_k": 5}}
    made = personal(served(defaults=own), entry(**mine), "chat")
    assert made._set.defaults == {EXTENSIONS: {"top_k": 5, "min_p": 0.1}}


def test_it_is_made_once() -> None:
    key, one = entry(**DEFAULTS), served()
    assert personal(one, key, "chat") is personal(one, key, "chat")
    assert personal(one, key, "chat") is not one


def test_what_makes_no_text_is_left_alone() -> None:
    one = served()
    assert personal(one, entry(**DEFAULTS), "embeddings") is one
    assert personal(one, entry(**DEFAULTS), "count_tokens") is one
    assert personal(one, entry(), "chat") is one


def test_they_are_sent_where_a_request_is_silent() -> None:
    stage = Personal(DEFAULTS, defaults={"top_p": 0.2}, overrides={"seed": 7})
    sent = stage.body("alice", temperature=1)
    assert (sent["temperature"], sent["user"], sent["seed"], sent["top_p"]) == (1, "alice", 7, 0.2)
    assert "user" not in stage.body("bob")


def test_they_reach_other_dialects() -> None:
    stage = Personal({"temperature": 0.5})
    assert stage.body("alice", path=MESSAGES)["temperature"] == 0.5
