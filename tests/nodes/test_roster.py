"""What is believed of other nodes, and when they have to be told something."""

from hypothesis import given
from hypothesis import strategies as st

from parley.nodes.facts import Facts, Offer
from parley.nodes.presence import Presence
from parley.nodes.roster import Clash, Heard, Lost, Roster
from parley.nodes.telling import LOADS, SETTLE, Telling


def roster(**more: object) -> Roster:
    return Roster("me", "my run", "my key", 45.0, **more)  # type: ignore[arg-type]


def said(
    node: str = "a", at: float = 1.0, run: str = "r", slot: int = 0, load: int = 0, model: str = "m", **more: object
) -> Presence:
    facts = Facts(node=node, since=1.0, offers=(Offer(project="p", model=model, in_flight=load),), key="k")
    return Presence(facts, run, slot, at, **more)  # type: ignore[arg-type]


def test_only_what_is_new_is_news() -> None:
    found = roster()
    assert isinstance(found.heard(said(), "k", 0.0), Heard)
    assert found.heard(said(at=2.0), "k", 15.0) is None
    assert isinstance(found.heard(said(at=3.0, load=1), "k", 16.0), Heard)


def test_a_silent_node_is_gone_within_the_ttl() -> None:
    found = roster()
    found.heard(said(), "k", 0.0)
    found.heard(said("b"), "k", 10.0)
    assert found.expired(43.9) == []
    assert found.next_end() == 44.0
    assert found.expired(44.0) == [Lost("a")]
    assert found.key_of("a") is None
    assert found.expired(54.0) == [Lost("b")]


def test_old_words_mean_nothing() -> None:
    found = roster()
    found.heard(said(at=5.0), "k", 0.0)
    assert found.heard(said(at=4.0, load=9), "k", 1.0) is None
    assert found.heard(said(at=5.0, load=9), "k", 1.0) is None
    found.expired(100.0)
    assert found.heard(said(at=5.0), "k", 101.0) is None
    assert len(found) == 0
    assert isinstance(found.heard(said(at=6.0), "k", 102.0), Heard)
    assert found.refused == {"old": 3}


def test_a_goodbye() -> None:
    found = roster()
    found.heard(said(at=1.0), "k", 0.0)
    assert found.heard(said(at=0.5, leaves=True), "k", 1.0) is None
    assert found.heard(said(at=2.0, leaves=True, run="another"), "k", 1.0) is None
    assert found.heard(said(at=2.0, leaves=True), "k", 1.0) == Lost("a")
    assert found.heard(said(at=1.5), "k", 2.0) is None
    assert isinstance(found.heard(said(at=3.0), "k", 2.0), Heard)


def test_no_other_key_speaks_for_a_node_that_is_alive() -> None:
    found = roster()
    found.heard(said(), "k", 0.0)
    assert found.heard(said(at=9.0, model="evil"), "other", 1.0) is None
    assert found.heard(said(at=9.0, leaves=True), "other", 1.0) is None
    assert found.key_of("a") == "k"
    found.expired(50.0)
    assert isinstance(found.heard(said(at=10.0), "other", 51.0), Heard)


def test_our_own_id() -> None:
    found = roster()
    found.since = 2.0
    mine = said("me", run="my run")
    assert found.heard(mine, "my key", 0.0) is None
    # The one that was there before us stays; nobody yields to another key.
    assert found.heard(said("me", run="older"), "my key", 0.0) == Clash(yields=False)
    found.since = 0.5
    assert found.heard(said("me", run="younger"), "my key", 0.0) == Clash(yields=True)
    assert found.heard(said("me", run="x"), "another key", 0.0) == Clash(yields=True)
    assert len(found) == 0


def test_the_processes_of_a_node_are_added_up() -> None:
    found = roster()
    found.heard(said(slot=0, load=2), "k", 0.0)
    news = found.heard(said(slot=1, load=3), "k", 5.0)
    assert isinstance(news, Heard)
    assert [offer.in_flight for offer in news.facts.offers] == [5]
    news = found.expired(44.5)
    assert [offer.in_flight for offer in news[0].facts.offers] == [3]  # type: ignore[union-attr]
    assert found.expired(49.0) == [Lost("a")]


def test_a_new_start_forgets_the_old_processes() -> None:
    found = roster()
    found.heard(said(slot=0, load=2), "k", 0.0)
    found.heard(said(slot=1, load=3), "k", 0.0)
    news = found.heard(said(slot=0, load=1, run="again", at=2.0), "k", 1.0)
    assert [offer.in_flight for offer in news.facts.offers] == [1]  # type: ignore[union-attr]


def test_latency_is_both_ways_to_the_servers() -> None:
    found = roster()
    found.rtt = 0.010
    news = found.heard(said(rtt=0.020), "k", 0.0)
    assert news == Heard(said().facts, 0.030)
    assert found.heard(said(rtt=0.021, at=2.0), "k", 0.0) is None
    assert isinstance(found.heard(said(rtt=0.100, at=3.0), "k", 0.0), Heard)


def test_who_is_trusted_and_what_they_may_offer() -> None:
    found = roster(trust=("good",), allow={"p": ("good",)})
    assert found.heard(said(), "bad", 0.0) is None
    news = found.heard(said(), "good", 0.0)
    # Offers are by what the words say of their key only because the reader put the signer's there.
    assert news == Heard(Facts(node="a", since=1.0, key="k"), None)


@given(st.permutations([said(at=float(at), load=at, leaves=at == 4) for at in range(1, 8)]))
def test_the_order_of_words_does_not_matter(words: list[Presence]) -> None:
    """Whatever comes late, the newest is believed in the end."""
    found = roster()
    last = None
    for word in words:
        last = found.heard(word, "k", 0.0) or last
    assert isinstance(last, Heard)
    assert last.facts.offers[0].in_flight == 7


def facts(load: int = 0, *models: str) -> Facts:
    return Facts(node="a", offers=tuple(Offer(project="p", model=model, in_flight=load) for model in models))


def test_when_to_speak() -> None:
    telling = Telling(15.0)
    assert telling.due == 0.0
    telling.told(facts(0, "m"), 100.0)
    assert telling.due == 115.0
    assert telling.changed(facts(0, "m"), 101.0) == 115.0
    # Models at once, loads once a second at most.
    assert telling.changed(facts(1, "m"), 100.2) == 100.0 + LOADS
    assert telling.changed(facts(1, "m", "n"), 100.3) == 100.3 + SETTLE
    # What is due stays due, though it changes again.
    assert telling.changed(facts(1, "n"), 100.33) == 100.3 + SETTLE
    telling.told(facts(1, "n"), 100.35)
    assert telling.changed(facts(2, "n"), 105.0) == 105.0 + SETTLE
    telling.told(facts(2, "n"), 105.05)
    telling.again(105.1)
    assert telling.due == 106.05
