"""Other settings while requests are under way."""

from typing import Any

from msgspec.structs import replace

from gateway.parts import BUSY, DONE, STOP, WORD, HandUpstream, Stage, provider, registration
from parley.settings import Limits, Rejected, Settings


def adopt(stage: Stage, *registrations: Any, providers: Any = (), **more: Any) -> None:
    """Serve what there was and what is given; what is given wins."""
    before = stage.gateway.settings
    changed = replace(
        before,
        providers={**before.providers, **{one.name: one for one in providers}},
        registrations={**before.registrations, **{(one.endpoint, one.model): one for one in registrations}},
        **more,
    )
    stage.gateway.adopt(changed, stage.gateway.upstreams)


def test_the_next_request_goes_by_the_new_settings_and_the_one_under_way_by_the_old() -> None:
    stage = Stage()
    _, first = stage.ask("one", stream=True)
    adopt(stage, registration("one", "b/m-9"), providers=[provider("a", endpoints=("http://other.example/v1",))])
    _, second = stage.ask("one")
    assert [sent.call.to.origin for sent in stage.sent] == ["http://a.example", "http://b.example"]
    assert stage.sent[1].body["model"] == "m-9"
    stage.sent[1].whole()
    stage.sent[0].stream(WORD, STOP, DONE)
    assert (first.status, second.status) == (200, 200)
    assert first.heard[-1] == ("finish", False)
    stage.quiet()


def test_what_is_gone_is_gone_for_the_next_request_only() -> None:
    stage = Stage()
    _, under_way = stage.ask("two")
    stage.gateway.adopt(Settings(providers={"b": provider("b")}), stage.gateway.upstreams)
    stage.sent[0].fail(BUSY)
    assert stage.sent[1].call.to.origin == "http://b.example"
    stage.sent[1].whole()
    assert under_way.status == 200
    _, late = stage.ask("two")
    assert (late.status, late.error["code"]) == (404, "model_not_found")
    stage.quiet()


def test_a_provider_that_lost_the_operation_meanwhile() -> None:
    stage = Stage()
    _, ear = stage.ask("two")
    adopt(stage, providers=[provider("b", paths={"embeddings": "/embeddings"})])
    stage.sent[0].fail(BUSY)
    assert (ear.status, ear.error["code"]) == (503, "no_upstream")
    assert "provider b" in ear.error["message"]
    assert len(stage.sent) == 1
    stage.quiet()


def test_a_provider_that_uses_another_transport_now() -> None:
    stage = Stage()
    upstreams: Any = stage.gateway.upstreams
    _, ear = stage.ask("two")
    upstreams["other"] = other = HandUpstream()
    adopt(stage, providers=[provider("b", transport="other")])
    stage.sent[0].fail(BUSY)
    other.sent[0].whole()
    assert ear.status == 200
    stage.quiet()


def test_limits_and_log_follow() -> None:
    stage = Stage()
    stage.ask("one", stream=True)
    stage.sent[0].begin()
    stage.sent[0].say(WORD)
    adopt(stage, limits=Limits(streams=1), log_requests=False)
    _, ear = stage.ask("one", stream=True)
    assert (ear.status, ear.error["code"]) == (503, "overloaded")
    assert stage.records == []


def test_files_that_were_left_out_are_counted_each_time() -> None:
    stage = Stage(rejected=(Rejected("no", "a.yaml", 1, 1), Rejected("nor this", "a.yaml", 2, 1)))
    name = ("parley_config_rejected_total",)
    assert stage.counts[name] == 1
    adopt(stage, rejected=(Rejected("no", "a.yaml"), Rejected("no", "b.yaml")))
    assert stage.counts[name] == 3
    adopt(stage, rejected=())
    assert stage.counts[name] == 3
