"""Limits and budgets: how much may be asked for, in requests, tokens, places at one time and money. Pure. See
docs/limits.md.

quota   what the operator writes: quotas, admission
rule    one limit of somebody, over some time
meter   a rule as one process keeps it: what is left, what is held
bank    what processes that count together agree on: leases
spoken  a refusal in words, header lines
"""

from parley.limits.bank import Answer, Ask, State, exchange
from parley.limits.meter import MONEY, REQUESTS, TOKENS, Meter, meter_of
from parley.limits.quota import Admission, Quota, Quotas
from parley.limits.rule import PICO, Rule, rules_of

__all__ = [
    "MONEY",
    "PICO",
    "REQUESTS",
    "TOKENS",
    "Admission",
    "Answer",
    "Ask",
    "Meter",
    "Quota",
    "Quotas",
    "Rule",
    "State",
    "exchange",
    "meter_of",
    "rules_of",
]
