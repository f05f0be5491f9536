"""Lowering: what steps need to become expressions: contexts, base classes, amounts, units, and the fold over a plan.

What may not enter: NumPy, TensorFlow, files, and any single op.
"""
