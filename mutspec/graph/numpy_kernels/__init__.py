"""The kernels that compute the primitives with NumPy, and what only they need.

Compiling a plan imports none of it. What may not enter: plans, YAML, Keras, files.
"""
