"""The kernels of the primitives on NumPy, and what only they need. Compiling loads none of it."""
