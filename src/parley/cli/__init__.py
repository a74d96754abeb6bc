"""The command line: one small file per command, all of them imported only when they run."""

from parley.cli.root import main

__all__ = ["main"]
