"""Evaluating mutants: losses, metrics and agreement with the base, in one pass over the data.

What may not enter: Hydra, plans, and how mutants are made.
"""
