"""Lowering: what turns steps into expressions: contexts, base classes of ops, amounts, units, and `compile`.

What may not enter: NumPy, TensorFlow, files, and any single op.
"""
