"""Reports, diffs and inspections as values, each with its forms: JSON, text, and markdown.

What may not enter: executors, and the values of weights.
"""
