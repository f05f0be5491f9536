"""Trials: mutants are made, evaluated on data, held against their base, and leave a `Result`.

`jobs` runs them for Hydra, `direct` for Python. `reports` are made of results alone, so they can be redrawn without
models, Keras or Hydra; nothing here but `direct` knows of them.
"""
