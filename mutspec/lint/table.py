"""All rules, in the order of the documentation."""

from __future__ import annotations

from mutspec.lint.declarations import (
    implied_seed,
    surprising_number,
    unused_allow,
    unused_block,
    unused_input,
    unused_parameter,
)
from mutspec.lint.effects import no_effect, order_matters, tied_weights
from mutspec.lint.patterns import ambiguous_name, missing_expect, open_prefix, unescaped_dot
from mutspec.lint.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(unescaped_dot),
    Rule(open_prefix),
    Rule(ambiguous_name, sees_more=True),
    Rule(missing_expect),
    Rule(no_effect, sees_more=True),
    Rule(order_matters, sees_more=True),
    Rule(tied_weights, sees_more=True),
    Rule(implied_seed, sees_more=True),
    Rule(surprising_number),
    Rule(unused_parameter),
    Rule(unused_input),
    Rule(unused_block),
    Rule(unused_allow, sees_more=True),
)
"""The rules about plans."""
