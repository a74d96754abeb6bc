"""Fixtures for everything: each module of tests/fixtures brings its own."""

pytest_plugins = ["fixtures.faults", "fixtures.llama", "fixtures.local", "fixtures.parley"]
