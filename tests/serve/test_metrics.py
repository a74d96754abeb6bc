"""The numbers of several processes as one, and their text."""

import re
from bisect import bisect_left

import pytest

from gateway.parts import Stage
from parley.gateway.families import FAMILIES, Family
from parley.gateway.genai import SECOND_BOUNDS, TOKEN_BOUNDS
from parley.gateway.measures import OTHER, Measures, Series, label
from parley.gateway.metrics import Curve, Metrics
from parley.ir import Usage
from parley.serve.metrics import Snapshot, exposition, merged, snapshot, worst
from parley.settings import Registration, Settings, Target
from serve.parts import Door

REQUESTS = "parley_requests_total"
DURATION = "gen_ai_server_request_duration_seconds"
NAMED = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")


def curve(*counts: float) -> list[float]:
    return [*counts, *[0.0] * (len(SECOND_BOUNDS) + 1 - len(counts)), sum(counts)]


def test_counters_and_histograms_are_added() -> None:
    one = Snapshot({(REQUESTS, "a", "ok", ""): 2.0}, {(DURATION, "chat", "p", "m", ""): curve(1, 2)})
    two = Snapshot(
        {(REQUESTS, "a", "ok", ""): 3.0, (REQUESTS, "b", "ok", ""): 1.0}, {(DURATION, "chat", "p", "m", ""): curve(1)}
    )
    both = merged([one, two])
    assert both.values == {(REQUESTS, "a", "ok", ""): 5.0, (REQUESTS, "b", "ok", ""): 1.0}
    assert both.curves == {(DURATION, "chat", "p", "m", ""): [*curve(2, 2)[:-1], 4.0]}
    assert one.curves == {(DURATION, "chat", "p", "m", ""): curve(1, 2)}


@pytest.mark.parametrize(
    ("name", "several", "one"),
    [
        ("parley_streams_open", (2.0, 3.0), 5.0),
        ("parley_loop_lag_seconds", (0.2, 0.1), 0.2),
        ("parley_config_loaded_timestamp_seconds", (7.0, 5.0), 5.0),
        ("parley_breaker_state", (2.0, 1.0, 0.0), 1.0),
        ("parley_breaker_state", (0.0, 2.0), 2.0),
    ],
)
def test_gauges_are_merged_each_in_its_way(name: str, several: tuple[float, ...], one: float) -> None:
    assert merged(Snapshot({(name,): value}) for value in several).values == {(name,): one}


def test_open_is_worse_than_half_open() -> None:
    assert worst([0, 2]) == 2
    assert worst([2, 1, 0]) == 1


def test_what_has_ended_leaves_its_counters_only() -> None:
    shown = Snapshot(
        {(REQUESTS, "a", "ok", ""): 2.0, ("parley_streams_open",): 4.0}, {(DURATION, "c", "p", "m", ""): curve(1)}
    )
    assert shown.counters().values == {(REQUESTS, "a", "ok", ""): 2.0}
    assert shown.counters().curves == shown.curves


def test_the_text_says_what_everything_is() -> None:
    body, kind = exposition(Snapshot({(REQUESTS, "a", "ok", ""): 2.0}, {(DURATION, "chat", "p", "m", ""): curve(1, 2)}))
    lines = body.decode().splitlines()
    assert kind.startswith("text/plain")
    helped = {line.split(" ", 3)[2] for line in lines if line.startswith("# HELP ")}
    assert helped == set(FAMILIES)
    assert not [line for line in lines if line.startswith("# HELP ") and len(line.split(" ", 3)) < 4]
    assert f'{REQUESTS}{{dialect="a",kind="",outcome="ok"}} 2.0' in lines
    named = ",".join(f'{name}="{value}"' for name, value in zip(NAMED, ("chat", "p", "m"), strict=True))
    assert f'{DURATION}_bucket{{error_type="",{named},le="0.01"}} 1.0' in lines
    assert f'{DURATION}_bucket{{error_type="",{named},le="81.92"}} 3.0' in lines
    assert f'{DURATION}_bucket{{error_type="",{named},le="+Inf"}} 3.0' in lines
    assert f'{DURATION}_count{{error_type="",{named}}} 3.0' in lines
    assert "parley_ledger_dropped_total 0.0" in lines


@pytest.mark.parametrize(("name", "family"), list(FAMILIES.items()))
def test_names_follow_the_customs(name: str, family: Family) -> None:
    assert re.fullmatch("[a-z_]+", name)
    assert (family.kind == "counter") == name.endswith("_total")
    assert bool(family.bounds) == (family.kind == "histogram")
    assert list(family.bounds) == sorted(set(family.bounds))


async def test_one_process_tells_of_itself() -> None:
    house = Door().house
    house.gateway.metrics.count(REQUESTS, "openai_chat", "ok", "")
    house.gateway.metrics.gauges["parley_messages_backlog", "s"] = lambda: 7
    house.log_dropped = lambda: 3
    values = snapshot(house).values
    assert values[(REQUESTS, "openai_chat", "ok", "")] == 1
    assert values[("parley_messages_backlog", "s")] == 7
    assert values[("parley_log_dropped_total",)] == 3
    assert values[("process_resident_memory_bytes",)] > 1 << 20
    assert values[("process_cpu_seconds_total",)] > 0


class Place:
    """What Measures asks of a gateway."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()


@pytest.fixture
def place() -> Place:
    registration = Registration(model="fast", targets=(Target("p", "m"),))
    return Place(Settings(registrations={("*", "fast"): registration}, offered=("near/tiny",)))


def test_a_request_is_counted_by_operation_provider_and_model(place: Place) -> None:
    usage = Usage(input=100, output=11, cached=60, reasoning=5)
    Measures(place).series("chat", "p", "fast", "").add(2.0, 0.5, 1.0, usage, 3_000_000)  # type: ignore[arg-type]
    made, curves = place.metrics.counts, {key: curve.values for key, curve in place.metrics.curves.items()}
    series = ("chat", "p", "fast")
    assert made == {
        ("parley_tokens_total", "p", "fast", "input", "exact"): 100,
        ("parley_tokens_total", "p", "fast", "output", "exact"): 11,
        ("parley_tokens_total", "p", "fast", "cached", "exact"): 60,
        ("parley_tokens_total", "p", "fast", "reasoning", "exact"): 5,
        ("parley_cost_usd_total", "p", "fast"): 3_000_000,
    }
    assert curves[(DURATION, *series, "")][-1] == 2.0
    assert curves[("gen_ai_client_operation_duration_seconds", *series, "")][-1] == 1.5
    assert curves[("gen_ai_server_time_to_first_token_seconds", *series)][-1] == 1.0
    assert curves[("gen_ai_server_time_per_output_token_seconds", *series)][-1] == pytest.approx(0.1)
    tokens = curves[("gen_ai_client_token_usage", *series, "input")]
    assert (tokens[-1], tokens[TOKEN_BOUNDS.index(256.0)]) == (100, 1)


def test_what_callers_make_up_has_one_label(place: Place) -> None:
    measures = Measures(place)  # type: ignore[arg-type]
    for number in range(3000):
        measures.series("chat", "p", f"p/{number}", "")
    assert {key[3] for key in place.metrics.curves} == {OTHER}
    assert label(place.settings, "chat", "near/tiny") == "near/tiny"
    assert label(place.settings, "chat", "fast") == "fast"


def test_an_unknown_price_is_no_price_of_nothing(place: Place) -> None:
    measures = Measures(place)  # type: ignore[arg-type]
    for cost in (None, 5):
        measures.series("chat", "p", "fast", "").add(2.0, 0.0, 0.0, Usage(1, 1, estimated=True), cost)
    assert place.metrics.counts[("parley_cost_unknown_total", "p", "fast")] == 1
    assert place.metrics.counts[("parley_cost_usd_total", "p", "fast")] == 5
    assert place.metrics.counts[("parley_tokens_total", "p", "fast", "input", "estimated")] == 2
    assert sum(place.metrics.curves[("gen_ai_client_token_usage", "chat", "p", "fast", "input")].values) == 0


def test_what_no_provider_was_asked_is_not_a_providers() -> None:
    stage = Stage()
    measures = stage.gateway.measures = Measures(stage.gateway)
    _, ear = stage.ask("nobody")
    assert ear.status == 404
    assert stage.gateway.metrics.curves == {}
    assert stage.counts == {("parley_requests_total", "openai", "error", "model_not_found"): 1}
    stage.ask()
    stage.sent[0].whole()
    assert measures.series("chat", "a", "one", "") is measures.series("chat", "a", "one", "")
    assert {key[2] for key in stage.gateway.metrics.curves} == {"a"}


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 9.0])
@pytest.mark.parametrize("before", [0.0, 1.5, 2.5, 9.0])
def test_a_value_falls_into_its_bucket_whatever_came_before(before: float, value: float) -> None:
    bounds = (1.0, 2.0, 4.0)
    curve = Curve(bounds)
    curve.put(before)
    curve.put(value)
    wanted = [0.0] * 5
    for one in (before, value):
        wanted[bisect_left(bounds, one)] += 1
    assert curve.values == [*wanted[:4], before + value]


def test_a_new_configuration_names_new_models(place: Place) -> None:
    measures = Measures(place)  # type: ignore[arg-type]
    measures.series("chat", "p", "later", "")
    later = Registration(model="later", targets=(Target("p", "m"),))
    place.settings = Settings(registrations={("chat", "later"): later})
    measures.series("chat", "p", "later", "")
    assert {key[3] for key in place.metrics.curves} == {OTHER, "later"}


def test_where_a_route_is_counted_is_looked_up_once() -> None:
    stage, asked = Stage(), []

    class Watched(Measures):
        def series(self, operation: str, provider: str, model: str, kind: str) -> Series:
            asked.append((operation, provider, model, kind))
            return super().series(operation, provider, model, kind)

    stage.gateway.measures = Watched(stage.gateway)
    for number in range(3):
        stage.ask()
        stage.sent[number].whole()
    assert asked == [("chat", "a", "one", "")]
    assert stage.counts["parley_requests_total", "openai", "ok", ""] == 3
    curve = stage.gateway.metrics.curves[(DURATION, "chat", "a", "one", "")]
    assert sum(curve.values[:-1]) == 3
