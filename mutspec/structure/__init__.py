"""Architectures as values that can be edited: networks, layers as plans describe them, and the shapes that result.

What may not enter: Keras, NumPy, files, the steps of plans, and the values of weights.
"""
