"""Architectures as values that can be edited: networks, layers as plans describe them, and the shapes that result.

Nothing here imports Keras or NumPy, or reads files. What may not enter: the steps of plans, and weights.
"""
