"""The linter: what is allowed in a plan but rarely meant, and what `mutspec validate --fix` writes otherwise.

A rule is a function with a name, a summary and a reason. It looks at a plan, and at the program where there is a model.
What may not enter: values of weights, and the kinds of files that models come in.
"""

from mutspec.lint.check import findings, unknown_rules
from mutspec.lint.rule import Rule
from mutspec.lint.table import RULES

__all__ = ["RULES", "Rule", "findings", "unknown_rules"]
