"""Which places answer for a name, whatever comes and goes."""

from collections.abc import Mapping

import pytest

from nodes.parts import CHAT, directory, entry, register, shared
from parley.nodes import Directory, Facts, Offer
from parley.nodes.directory import NOWHERE, PLACES
from parley.nodes.names import Named, read
from parley.relay import can
from parley.settings import Provider, Registration, Settings, Target

NAME = "node/p/m"


def answered(made: Directory, operation: str, name: str = NAME) -> list[str]:
    """The endpoints that would be asked, the numbers of workers left out."""
    found = made.find(operation, name)
    providers = made._settings.providers
    targets = () if found is None else found.targets
    asked = [providers[to.provider] for to in targets if can(providers[to.provider], operation)]
    return sorted(endpoint.partition("#")[0] for provider in asked for endpoint in provider.endpoints)


def offer(**facts: object) -> Offer:
    return Offer(**{"project": "p", "model": "m", **facts})


@pytest.mark.parametrize(
    "named",
    [
        Named("p", "m"),
        Named("a/b", "Qwen/Qwen2-7B"),
        Named("50%", "x#y", "node#1", "c/d"),
        Named("%2F", "%23", "n"),
        Named("p", "m", "n", "%25"),
    ],
)
def test_names_are_read_as_they_are_written(named: Named) -> None:
    assert read(named.text) == named
    assert named.text.partition("/")[0] == "node"


@pytest.mark.parametrize("name", ["m", "node/", "node/p", "node/p/", "node//m", "node/p/m#a#b#c", "nodes/p/m"])
def test_other_names_are_none_of_these(name: str) -> None:
    assert read(name) is None


def test_a_worker_answers_for_its_kind_alone() -> None:
    made = directory(entry(), entry("draw", kind=1, url="http://127.0.0.1:1/i"))
    assert answered(made, "chat") == [CHAT]
    assert answered(made, "responses") == [CHAT]
    assert answered(made, "image_generation") == []
    assert answered(made, "image_generation", "node/p/draw") == ["http://127.0.0.1:1/i"]
    assert made.find("chat", "node/p/none") is None


def test_a_plain_name_is_enough_where_one_project_has_it() -> None:
    made = directory(entry())
    assert answered(made, "chat", "m") == [CHAT]
    register(made, entry(project="q"))
    assert made.find("chat", "m") is None
    made.changed(made.registry.remove([("q", "m", "")]))
    assert answered(made, "chat", "m") == [CHAT]


def test_a_target_of_the_configuration_is_there_before_its_worker() -> None:
    registration = Registration(model="big", targets=(Target("node", "p/m", 3), Target("echo", "echo")))
    made = directory(settings=Settings(registrations={("*", "big"): registration}))
    adopted = made._settings.registrations[("*", "big")]
    assert [to.name for to in adopted.targets] == ["node/p/m"] * 3 + ["echo/echo"]
    assert [to.weight for to in adopted.targets] == [3, 3, 3, 1]
    chat = made._settings.providers[adopted.targets[0].provider]
    assert chat.endpoints == NOWHERE
    assert chat.label == "node/p"
    register(made, entry())
    assert made._settings.providers[chat.name].endpoints[0].startswith(CHAT)
    made.changed(made.registry.remove([("p", "m", "")]))
    assert made._settings.providers[chat.name].endpoints == NOWHERE


def test_what_left_the_rotation_is_nowhere() -> None:
    made = directory(entry())
    found = made.find("chat", NAME)
    assert found is not None
    made.registry.places("p", "m")[0].ok = False
    made.changed({("p", "m")})
    assert made._settings.providers[found.targets[0].provider].endpoints == NOWHERE
    assert made.find("chat", NAME) is not None


def test_a_changed_provider_is_told_and_one_that_did_not_change_stays() -> None:
    made = directory(entry())
    told: list[tuple[Provider, Mapping[str, int]]] = []
    made.renew = lambda provider, loads: told.append((provider, loads))
    found = made.find("chat", NAME)
    assert found is not None
    before = made._settings.providers[found.targets[0].provider]
    made.heard(Facts(node="n2", offers=(offer(in_flight=4),)))
    register(made, entry())
    (first, loads), (second, _) = told
    assert loads == {"node://n2/chat/p/m/": 4}
    assert set(first.endpoints) == {*before.endpoints, "node://n2/chat/p/m/"}
    assert second is first


def test_names_are_forgotten_only_where_a_model_came_or_went() -> None:
    made = directory(entry())
    forgotten: list[str] = []
    made.forget = lambda: forgotten.append("x")
    register(made, entry(), entry(cid="b"))
    made.heard(Facts(node="n2", offers=(offer(in_flight=1),)))
    made.heard(Facts(node="n2", offers=(offer(in_flight=2),)))
    assert forgotten == []
    register(made, entry(cid="c", kind=2))
    assert forgotten == ["x"]
    made.heard(Facts(node="n2", offers=(offer(model="new"),)))
    made.lost("n2")
    assert forgotten == ["x"] * 3


def test_a_node_that_is_lost_is_asked_no_more() -> None:
    made = directory(entry())
    made.heard(Facts(node="n2", offers=(offer(), offer(model="far"))))
    assert answered(made, "chat") == [CHAT, "node://n2/chat/p/m/"]
    assert answered(made, "chat", "far") == ["node://n2/chat/p/far/"]
    made.lost("n2")
    assert answered(made, "chat") == [CHAT]
    assert made.find("chat", "far") is None
    assert made.nodes == {}


def test_our_own_facts_are_not_taken_for_anothers() -> None:
    made = directory()
    made.heard(Facts(node="n1", offers=(offer(),)))
    assert made.find("chat", NAME) is None


def test_a_pinned_name_asks_one_node_and_one_place() -> None:
    made = directory(entry(cid="a"), entry(cid="b", url="http://127.0.0.1:2/b"))
    made.heard(Facts(node="n2", offers=(offer(cid="a"),)))
    assert answered(made, "chat", f"{NAME}#n1") == [CHAT, "http://127.0.0.1:2/b"]
    assert answered(made, "chat", f"{NAME}#n1#b") == ["http://127.0.0.1:2/b"]
    assert answered(made, "chat", f"{NAME}#n2") == ["node://n2/chat/p/m/"]
    assert answered(made, "chat", f"{NAME}#n2#a") == ["node://n2/chat/p/m/a"]
    assert made.find("chat", f"{NAME}#n2#b") is None
    assert made.plain(f"{NAME}#n2#a") == NAME
    found = made.find("chat", f"{NAME}#n1#b")
    assert found is not None
    assert (found.model, {to.name for to in found.targets}) == (NAME, {NAME})


def test_the_best_places_are_looked_at_and_no_more() -> None:
    made = directory()
    for number in range(100):
        made.heard(Facts(node=f"n{number:03}", offers=(offer(in_flight=abs(number - 50)),)))
    spots = made.spots(0, Named("p", "m"))
    assert len(spots) == PLACES
    assert [spot.load[0] for spot in spots] == sorted(abs(number - 50) for number in range(100))[:PLACES]


def test_of_two_with_the_same_load_the_nearer_one_is_first() -> None:
    made = directory()
    made.heard(Facts(node="far", offers=(offer(latency=0.1),)), 0.5)
    made.heard(Facts(node="near", offers=(offer(latency=0.2),)), 0.1)
    made.heard(Facts(node="away", offers=(offer(ok=False),)), 0.0)
    assert [spot.endpoint for spot in made.spots(0, Named("p", "m"))] == [
        "node://near/chat/p/m/",
        "node://far/chat/p/m/",
    ]


def test_shared_models_are_offered_and_no_others() -> None:
    made = directory(entry(), settings=shared("fast"))
    made.busy = lambda model: 7
    offers = made.own().offers
    assert {(one.project, one.model) for one in offers} == {("p", "m"), ("parley", "fast")}
    assert {one.in_flight for one in offers if one.project == "parley"} == {7}
    assert made.here("chat", "parley", "fast") == "fast"
    assert made.here("chat", "parley", "own") is None
    assert made.here("chat", "p", "m") == "node/p/m#n1"
    assert made.here("chat", "p", "m", "other") is None
    assert made.here("image_generation", "p", "m") is None
    assert made.here("embeddings", "p", "m") is None
    found = made.find("chat", "node/parley/fast")
    assert found is not None
    assert found.model == "fast"
    assert made.find("chat", "node/parley/own") is None


def test_a_worker_out_of_rotation_is_offered_to_nobody() -> None:
    made = directory(entry())
    made.registry.places("p", "m")[0].ok = False
    assert made.own().offers == ()


def test_listeners_hear_of_what_is_ours() -> None:
    made = directory()
    heard: list[int] = []
    made.listeners.append(lambda: heard.append(1))
    register(made, entry())
    made.heard(Facts(node="n2", offers=(offer(),)))
    assert heard == [1]


def test_providers_of_models_that_went_are_dropped() -> None:
    made = directory(entry())
    made.find("chat", NAME)
    made.find("chat", f"{NAME}#n1")
    assert len(made._settings.providers) == 2
    made.changed(made.registry.remove([("p", "m", "")]))
    assert made._settings.providers == {}
    assert made.names() == []
