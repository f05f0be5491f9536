"""Versioned recipes: what stands beside a plan in a repository, such as its tests.

What may not enter: printing and exit codes. Each package or module in it is one thing that recipes have.
"""
