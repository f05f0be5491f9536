"""Versioned recipes: what a repository keeps beside its plans, so that they do the same years later.

What may not enter: how plans are applied, and the command line.
"""
