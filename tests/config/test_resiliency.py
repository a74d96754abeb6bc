"""What is said of mistakes in ``Resiliency`` documents that stop nothing: told of by line and field, and served."""

from pathlib import Path
from typing import Any

import pytest

from config.test_components import component, provider, read
from parley.config.components.importing import Components
from parley.config.document import separately

HEAD = "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {name: r}\nspec:\n"
RIGHT = """\
  policies:
    timeouts: {short: 7s, DefaultTimeoutPolicy: 500ms}
    retries:
      some: {policy: constant, duration: 5s, maxRetries: 3, matching: {httpStatusCodes: "429, 500-503"}}
      more: {policy: Exponential, maxInterval: 15s, maxRetries: -1, matching: {gRPCStatusCodes: "2,4"}}
    circuitBreakers: {breaker: {maxRequests: 1, interval: 0s, timeout: 30s, trip: consecutiveFailures >= 5}}
  targets:
    apps: {app: {timeout: elsewhere}}
    components:
      c: {outbound: {timeout: short, retry: some, circuitBreaker: breaker}}
      store: {inbound: {timeout: short}, outbound: {retry: more}}
scopes: [parley]
"""
STATE = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: store}\nspec: {type: state.redis}\n"
DOUBTFUL = {
    "way to try again": ("  policies: {retries: {x: {policy: sometimes}}}", '"sometimes" is not a way to try again'),
    "policies": ("  policies: []", "policies is a mapping"),
    "targets": ("  targets: none", "targets is a mapping"),
    "kind of policies": ("  policies: {timeout: {}}", 'unknown key "timeout"'),
    "policies of a kind": ("  policies: {retries: 3}", "retries is a mapping"),
    "component": ("  targets: {components: {other: {}}}", 'there is no component "other"'),
    "policy": ("  targets: {components: {d: {outbound: {timeout: nope}}}}", 'there is no policy "nope" under timeouts'),
    "no name": ("  targets: {components: {d: {outbound: {retry: [a]}}}}", "there is no policy \"['a']\" under retries"),
    "way": ("  targets: {components: {c: {outbond: {}}}}", 'unknown key "outbond"'),
    "member": ("  targets: {components: {c: {outbound: {retries: x}}}}", 'unknown key "retries"'),
    "timeout": ("  policies: {timeouts: {t: 5 parsecs}}", '"5 parsecs" is not a duration'),
    "no timeout": ("  policies: {timeouts: {t: 0s}}", '"0s" is not a duration'),
    "pause": ("  policies: {retries: {x: {duration: -1s}}}", '"-1s" is not a duration'),
    "tries": ("  policies: {retries: {x: {maxRetries: many}}}", '"many" is not a whole number'),
    "matching": ("  policies: {retries: {x: {matching: '500'}}}", "matching is a mapping"),
    "statuses": ("  policies: {retries: {x: {matching: {httpStatusCodes: '503-500'}}}}", '"503-500" is neither'),
    "member of a policy": ("  policies: {retries: {x: {maxRetry: 3}}}", 'unknown key "maxRetry"'),
    "rule": ("  policies: {circuitBreakers: {b: {trip: requests > 5}}}", 'the rule "requests > 5" is not one'),
    "rest": ("  policies: {circuitBreakers: {b: {timeout: soon}}}", '"soon" is not a duration'),
}


def told(tmp_path: Path, policies: str) -> tuple[Any, list[Any]]:
    """What was loaded, and what is amiss."""
    loaded = read(tmp_path, HEAD + policies, component("c", "openai", key="k"), STATE)
    return loaded, [*loaded.problems, *loaded.rejected, *loaded.absent]


def test_of_a_right_document_nothing_is_said(tmp_path: Path) -> None:
    loaded, amiss = told(tmp_path, RIGHT)
    assert amiss == []
    assert provider(loaded.settings, "c").timeouts.total == 7.0


@pytest.mark.parametrize(("policies", "message"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_mistake_is_told_of_with_its_place(tmp_path: Path, policies: str, message: str) -> None:
    loaded, amiss = told(tmp_path, policies)
    one = next(one for one in amiss if one.message.startswith(message))
    assert one.file.endswith("components/all.yaml")
    assert one.line == HEAD.count("\n") + 1
    assert one.source == policies
    assert set(loaded.settings.components) == {"c"}
    assert not loaded.rejected


def test_what_a_component_asks_for_is_told_of_once(tmp_path: Path) -> None:
    policies = (
        "  policies: {timeouts: {t: soon}}\n"
        "  targets: {components: {c: {outbound: {timeout: t, retry: nope, circuitBreaker: [b]}}}}\n"
    )
    _, amiss = told(tmp_path, policies)
    assert sorted(one.message for one in amiss) == [
        '"soon" is not a duration',
        "there is no policy \"['b']\" under circuitBreakers",
        'there is no policy "nope" under retries',
    ]
    assert [one.line for one in sorted(amiss, key=lambda one: one.message)] == [5, 6, 6]


def test_scopes_that_are_no_list_are_a_mistake(tmp_path: Path) -> None:
    _, [one] = told(tmp_path, "  policies: {}\nscopes: parley\n")
    assert (one.message, one.line) == ("expected a list", 6)


def test_documents_for_other_apps_are_not_looked_at(tmp_path: Path) -> None:
    assert told(tmp_path, "  policies: []\nscopes: [other]\n")[1] == []


def imported(*documents: str) -> list[str]:
    found = Components()
    for text in documents:
        for document in separately(text, "all.yaml"):
            found.add(document)
    found.written()
    return [f"{where}: {message}" for where, message in found.notes]


def test_an_import_tells_of_them_too() -> None:
    told = imported(component("c", "openai", key="k"), HEAD + "  policies: {timeouts: {t: soon}, retries: 3}\n")
    assert told[-2:] == ['all.yaml:5:28: "soon" is not a duration', "all.yaml:5:44: retries is a mapping"]
