"""Fixtures for everything: each module of tests/fixtures brings its own."""

pytest_plugins = [
    "fixtures.brokers",
    "fixtures.counting",
    "fixtures.faults",
    "fixtures.garbage",
    "fixtures.llama",
    "fixtures.local",
    "fixtures.nats",
    "fixtures.parley",
    "fixtures.patience",
    "fixtures.postgres",
    "fixtures.redis",
    "fixtures.rigs",
]
