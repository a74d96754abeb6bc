"""Which lane a request takes, and what happens when it fails: pure, with time and randomness passed in.

Fleet        the state all requests share; ``course`` begins a request
  Course     one request: ``next`` says Try, Wait or GiveUp; it is told how each try ended
  Lane       target, provider, endpoint, key: where a Try goes
  Health     one provider for metrics, from ``Fleet.snapshot``
Policy       the numbers: breaker, parking, backoff, retry budget

Inside: order (strategies), place and health (what is known of a provider), retry (what one request has
learnt), survey (what is left to it), budget. Operators read docs/routing.md.
"""

from parley.plan.course import Course, GiveUp, Step, Wait
from parley.plan.fleet import Fleet, Health
from parley.plan.order import Rand
from parley.plan.place import Lane, Try
from parley.plan.policy import Policy

__all__ = ["Course", "Fleet", "GiveUp", "Health", "Lane", "Policy", "Rand", "Step", "Try", "Wait"]
