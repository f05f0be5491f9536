"""Lowering: from a plan's steps to expressions. Contexts, base classes, amounts, units, and the fold over a plan.

What may not enter: NumPy, TensorFlow, files, and any single op.
"""
