"""What Prometheus and Grafana are given: every metric, label and word in it is one that /metrics really shows."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from fixtures.parley import Start
from fixtures.peer import Told, peer
from parley.failure import KINDS
from parley.gateway.families import FAMILIES
from parley.limits import spoken

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus/parley.rules.yml").read_text())["groups"]
BOARD = json.loads((DEPLOY / "grafana.json").read_text())
ALERTS = {rule["alert"]: rule for group in RULES for rule in group["rules"]}
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [rule["expr"] for rule in ALERTS.values()]
EXPRESSIONS += [target["expr"] for panel in PANELS for target in panel["targets"]]
NAME = re.compile(r"\b(?:parley|gen_ai|process)_\w+")
SELECTED = re.compile(r"\b((?:parley|gen_ai|process)_\w+)\{([^}]*)\}")
TESTED = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPED = re.compile(r"\bby \(([^)]*)\)")
SCRAPED = {"job", "instance", "le"}
ENDINGS = ("_bucket", "_sum", "_count")
# Words that a label may have, where there is a list of them.
WORDS = {
    "outcome": {"ok", "error", "client_abort"},
    "reason": {"rate", "concurrency", "budget", "overload", "fds", "connections"},
    "kind": {"input", "output", "cached", "cache_write", "reasoning", "json", "form", *KINDS},
}


def family(name: str) -> str:
    """The metric that a sample belongs to."""
    short = next((name.removesuffix(end) for end in ENDINGS if name.endswith(end)), name)
    return short if FAMILIES.get(short) and FAMILIES[short].kind == "histogram" else name


def metrics_in(expression: str) -> set[str]:
    labels = {label for one in FAMILIES.values() for label in one.labels}
    return {family(name) for name in NAME.findall(re.sub(r'"[^"]*"', '""', expression)) if name not in labels}


@pytest.fixture(scope="module")
def shown(parley_for_module: Start) -> Iterator[str]:
    """The text of /metrics after requests that went well, failed, were streamed, and were refused."""
    with peer(lambda seen: Told([b"{}"], status=500)) as provider:
        config = {
            "providers": {"broken": {"type": "openai", "base_url": provider.url, "api_key": "sk"}},
            "models": [{"model": "safe", "targets": ["broken/m", "echo/echo"]}],
            "quotas": {"models": {"broken/none": {"requests": 1}}},
        }
        gateway = parley_for_module(config)
        with httpx2.Client(base_url=gateway.url) as http:
            for model in ("echo", "safe", "broken/m", "broken/none", "broken/none", "none"):
                for stream in (False, True):
                    said = {"model": model, "messages": [{"role": "user", "content": "one two"}], "stream": stream}
                    http.post("/v1/chat/completions", json=said)
            yield http.get("/metrics").text


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_and_label_is_shown(shown: str, expression: str) -> None:
    named = metrics_in(expression)
    assert named or "up{" in expression
    for name in named:
        assert f"# TYPE {name} {FAMILIES[name].kind}\n" in shown, name
        if "rate(" + name in expression or "increase(" + name in expression:
            assert FAMILIES[name].kind != "gauge", name
    for name, tests in SELECTED.findall(expression):
        for label, _, value in TESTED.findall(tests):
            assert label in {*FAMILIES[family(name)].labels, *SCRAPED}, (name, label)
            if not value.startswith("$"):
                assert set(value.split("|")) <= WORDS[label], (label, value)
    known = {label for name in named for label in FAMILIES[name].labels} | SCRAPED
    for grouped in GROUPED.findall(expression):
        assert {label.strip() for label in grouped.split(",")} <= known, grouped
    assert [expression.count(one) for one in "([{"] == [expression.count(one) for one in ")]}"]


def test_what_is_shown_has_the_labels_that_are_described(shown: str) -> None:
    seen = set()
    for name, labels in re.findall(r"^(\w+)\{([^}]*)\} ", shown, re.MULTILINE):
        found = set(re.findall(r'(\w+)="', labels)) - {"le"}
        assert found == set(FAMILIES[family(name)].labels), name
        seen.add(family(name))
    assert len(seen) >= 12


def test_mistakes_of_callers_raise_no_alarm() -> None:
    found = re.search(r'kind!~"([^"]*)"', ALERTS["ParleyErrors"]["expr"])
    assert found is not None
    left_out = set(found[1].split("|"))
    assert {kind.code for kind in KINDS.values() if kind.blame == "caller"} <= left_out
    assert not {kind.code for kind in KINDS.values() if kind.blame == "upstream"} & left_out


def test_reasons_are_those_of_the_limits() -> None:
    source = Path(spoken.__file__).read_text()
    assert all(f'"{reason}"' in source for reason in ("rate", "concurrency", "budget"))


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_alerts_say_what_is_the_matter(name: str) -> None:
    rule = ALERTS[name]
    assert name.startswith("Parley")
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert rule["annotations"]["summary"]
    told = " ".join(rule["annotations"].values())
    of_metrics = {label for metric in metrics_in(rule["expr"]) for label in FAMILIES[metric].labels}
    for label in re.findall(r"\$labels\.(\w+)", told):
        assert label in of_metrics | SCRAPED, label
        grouped = GROUPED.findall(rule["expr"])
        assert not grouped or any(label in one for one in grouped), label


def test_the_scrape_reads_the_rules_and_its_path_is_ours(shown: str) -> None:
    scrape: Any = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    assert all((DEPLOY / "prometheus" / name).is_file() for name in scrape["rule_files"])
    (job,) = scrape["scrape_configs"]
    assert (job["job_name"], job["metrics_path"]) == ("parley", "/metrics")
    assert shown


def test_the_board_is_whole() -> None:
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    places = [panel["gridPos"] for panel in BOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    taken = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(taken) == len(set(taken))
    names = {"${datasource}"}
    assert {panel["datasource"]["uid"] for panel in PANELS} == names
    assert {one["name"] for one in BOARD["templating"]["list"]} == {"datasource", "job", "instance"}


@pytest.mark.parametrize("name", [name for name in FAMILIES if not name.startswith("process_")])
def test_every_metric_is_on_its_page(name: str) -> None:
    assert name in (ROOT / "docs/observability.md").read_text()
