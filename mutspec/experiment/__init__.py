"""The Hydra application: compose a plan, mutate, evaluate, sweep; and what people read afterwards.

A job leaves a `Result`; reports are made of results alone, so they can be redrawn without models, Keras or Hydra.
"""
