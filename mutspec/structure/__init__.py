"""Architectures as values that can be edited: networks, layers as plans write them, and the shapes that follow.

All of it is data about Keras; nothing here imports Keras, NumPy or a file. What may not enter: plans' steps, weights.
"""
