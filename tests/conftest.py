"""Fixtures for everything: each module of tests/fixtures brings its own."""

import signal

from hypothesis import HealthCheck, settings

# A shell's job in the background ignores it, and so would every program that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long values take to be made up is a matter of the machine.
settings.register_profile("busy", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("busy")

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
