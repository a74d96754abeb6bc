"""One YAML file and the environment, read into one Settings; every mistake has a place and a way out.

``document`` and ``build`` read YAML with positions, ``shape`` names every key, ``published`` is its JSON Schema,
``fitting`` brings values into their shape, ``explain`` tells what does not fit. ``providers``, ``models`` (with
``members`` and ``local``) and ``edge`` say what it means. ``include`` and ``pieces`` bring in files of registrations,
``pairs`` makes each {endpoint, model} of them, ``load`` puts it together. ``imported`` reads configurations of other
programs. ``discover`` looks for model servers on this machine and is imported by those who want that.
"""

from parley.config.environment import Discovered, environment
from parley.config.load import Loaded, load, load_text
from parley.config.models import operation_of
from parley.config.problem import Problem, render
from parley.config.published import schema

__all__ = [
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
