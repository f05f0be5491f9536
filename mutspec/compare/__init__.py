"""Comparisons of models: their structures, their values, and what a plan is expected to change.

What may not enter: executors.
"""
