"""Layers without weights that Keras makes inside other layers, and saves an empty group for, as data.

They are in no config. Checked against Keras 3.15 by `tests/keras_facts/test_hidden_layers.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

_ATTENTION = {"_dropout_layer": "dropout", "_softmax": "softmax"}
_AUGMENTATIONS = (
    "auto_contrast equalization random_brightness random_color_degeneration random_contrast random_posterization "
    "random_rotation random_sharpness random_shear random_translation solarization"
)
_AUGMENTING = {name: name for name in _AUGMENTATIONS.split()}

HIDDEN_LAYERS: Mapping[str, Mapping[str, str]] = {
    "MultiHeadAttention": _ATTENTION,
    "GroupQueryAttention": _ATTENTION,
    "AugMix": _AUGMENTING,
    "RandAugment": _AUGMENTING,
}
"""The attributes that hold such layers, by class, each with the automatic name of its layer. Keras numbers these names
in the order in which a process makes the layers: `softmax`, `softmax_1`, …."""
