"""Coupled channels: which channels of which layers belong together, and how weights follow when these change.

Each index along an axis of a tensor or weight has a label. Rules for each class say how the labels of a layer's inputs,
outputs and weights are related (`keras_facts/layer_axes.py`, and the modules here for layers that rearrange axes).
Labels that must come and go together form a group: one channel, wherever it is. A substitution says what comes in the
place of each group: nothing, the same, or several. From it follow an index map for each axis of each weight, and the
arguments of each layer.

The room knows networks. It knows neither the steps of plans nor the values of weights.
"""
