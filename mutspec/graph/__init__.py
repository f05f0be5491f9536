"""The execution graph: primitive ops in SSA form, their schedule, and the kernels that compute them.

What may not enter: plans, YAML, Keras, files. Only `numpy_kernels` imports NumPy, so that compiling does not need it.
"""
