"""A change of where limits are counted waits for a restart, and whoever asks for the reload is told."""

import json
import urllib.request

import yaml

from fixtures.parley import Start

MODELS = {"models": [{"model": "one", "targets": ["echo/echo"]}]}
QUOTAS = {"all": {"requests": {"minute": 1000}}}
PROBLEM = {"kind": "restart", "message": "quotas.counters has changed; it takes a restart"}


def test_the_reload_tells_of_counters_that_wait_for_a_restart(parley_server: Start) -> None:
    gateway = parley_server({"quotas": QUOTAS, **MODELS})
    gateway.path.write_text(yaml.safe_dump({"quotas": {"counters": "store", **QUOTAS}, **MODELS}))
    asked = urllib.request.Request(f"http://127.0.0.1:{gateway.port}/admin/api/reload", method="POST")
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert json.load(answer) == {"status": "loaded", "problems": [PROBLEM]}
