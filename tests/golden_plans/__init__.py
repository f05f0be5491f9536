"""Plans, models and what became of them, kept for good: nothing in `plans` or `models` ever changes, it only grows.

Each op has a plan `plans/<op>.yaml`, and so has each part of the language. Beside a plan there is a record of its
mutant, `plans/<op>.json`. docs/stability.md says what it guards, and what to do where a record no longer holds.

    python -m tests.golden_plans --write

records the mutants of plans that have no record. It changes no record that is there.
"""
