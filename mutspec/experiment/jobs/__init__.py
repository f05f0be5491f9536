"""The Hydra application: it composes a call, launches its jobs, watches them, and resumes a sweep.

What may not enter: code that makes or evaluates mutants. Nothing else in `experiment` knows Hydra's configurations.
"""
