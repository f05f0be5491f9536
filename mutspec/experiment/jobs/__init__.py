"""The Hydra application: a call is composed, its jobs are launched, watched, and gone on with.

Nothing that makes or evaluates mutants is here, and nothing else in `experiment` knows of Hydra's configurations.
"""
