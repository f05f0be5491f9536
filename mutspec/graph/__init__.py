"""The execution graph: primitive ops in SSA form, how they are scheduled, and the kernels that compute them.

What may not enter: plans, YAML, Keras, files. Only `kernels` and `masks` import NumPy, so that compiling needs none.
"""
