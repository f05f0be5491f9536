"""Evaluating mutants: losses and metrics, agreement with the base, each in one pass over the data."""
