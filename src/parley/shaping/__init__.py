"""What we do to the texts of models on this machine: roles, templates, and what is cut out of an answer.

Shaper      stop strings, cut patterns and trims over a text that comes in pieces
Template    a prompt written by a template (Jinja, or the older one with dots)
with_roles  words put in front of messages

Patterns and templates need the packages of the extra ``local``. Source: extension contract 1.4.
"""

from parley.shaping.cut import pattern_problem
from parley.shaping.roles import with_roles
from parley.shaping.shaper import Shaper
from parley.shaping.template import Template, template_problem

__all__ = ["Shaper", "Template", "pattern_problem", "template_problem", "with_roles"]
