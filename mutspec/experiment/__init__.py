"""Trials: a mutant is made, evaluated on data and compared with its base, and leaves a `Result`.

`jobs` runs trials for Hydra, `in_process` for Python. `data` has the data sources, `evaluation` the losses and metrics,
`search` the bisection for breaking points. `reports` are made of results alone, so they can be drawn again without
models, Keras or Hydra. What may not enter: the command line; reports, except in `jobs` and `in_process`.
"""
