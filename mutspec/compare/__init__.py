"""Compares models: their structures and values, and what a plan is expected to change.

What may not enter: executors.
"""
