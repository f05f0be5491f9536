"""Architectures as values that can be edited: networks, layers as plans write them, and the shapes that follow.

What may not enter: Keras, NumPy, files, the steps of plans, and the values of weights.
"""
