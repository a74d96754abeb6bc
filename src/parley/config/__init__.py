"""One YAML file and the environment, read into one Settings; every mistake has a place and a way out.

``document`` and ``build`` read YAML with positions, ``shape`` names every key, ``published`` is its JSON Schema,
``explain`` tells what does not fit, ``providers``, ``models`` and ``edge`` say what it means, ``load`` puts it
together. ``discover`` looks for model servers on this machine and is imported by those who want that.
"""

from parley.config.environment import Discovered, environment
from parley.config.load import Loaded, load, load_text
from parley.config.models import OPERATION_IDS, operation_of
from parley.config.problem import Problem, render
from parley.config.published import schema

__all__ = [
    "OPERATION_IDS",
    "Discovered",
    "Loaded",
    "Problem",
    "environment",
    "load",
    "load_text",
    "operation_of",
    "render",
    "schema",
]
