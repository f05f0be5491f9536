"""What Keras's layer classes do with masks, and the operations that Keras records for masks, as data.

Checked against Keras 3.15 by `tests/keras_facts/test_masks.py`. Sources: `Layer.__call__` (steps 6 to 8) and the
`compute_mask` of each class. Since Keras 3.12 they are the same; before, Concatenate had other operations. Files of
Keras 3.6 and 3.10 state implicit masks, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from mutspec.keras_facts.classes import KNOWN_CLASSES, is_keras_class, plain_class_name

Config = Mapping[str, Any]


class MaskRule(StrEnum):
    """What a layer's outputs have as masks."""

    DROPS = "no mask"
    PASSES = "the mask of the first input"
    PASSES_SEQUENCES = "the mask of the first input, if the layer returns sequences"
    NOT_EQUAL_TO_VALUE = "where any feature differs from `mask_value`"
    NOT_ZERO = "where the input is not 0, if `mask_zero`"
    EITHER = "where one of the inputs is not masked; no mask if one of the inputs has none"
    JOINED = "the masks of the inputs, joined as the inputs are"
    QUERY = "the mask of the query"


def _each(names: str, rule: MaskRule) -> dict[str, MaskRule]:
    return dict.fromkeys(names.split(), rule)


_RULES: Mapping[str, MaskRule] = {
    **_each("Activation ELU LeakyReLU PReLU ReLU Softmax", MaskRule.PASSES),
    **_each("ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise", MaskRule.PASSES),
    **_each("SpatialDropout1D SpatialDropout2D SpatialDropout3D", MaskRule.PASSES),
    **_each("BatchNormalization GroupNormalization LayerNormalization UnitNormalization", MaskRule.PASSES),
    **_each("Dense Identity Normalization Rescaling TimeDistributed", MaskRule.PASSES),
    **_each("Equalization", MaskRule.PASSES),  # its `compute_output_spec` returns the tensor that it is called on
    **_each("GroupQueryAttention MultiHeadAttention", MaskRule.PASSES),
    **_each("Bidirectional ConvLSTM1D ConvLSTM2D ConvLSTM3D GRU LSTM RNN SimpleRNN", MaskRule.PASSES_SEQUENCES),
    **_each("Masking", MaskRule.NOT_EQUAL_TO_VALUE),
    **_each("Embedding", MaskRule.NOT_ZERO),
    **_each("Add Average Maximum Minimum Multiply Subtract", MaskRule.EITHER),
    **_each("Concatenate", MaskRule.JOINED),
    **_each("AdditiveAttention Attention", MaskRule.QUERY),
    **_each("ThresholdedReLU", MaskRule.PASSES),  # only in Keras 2, and in Keras 3's legacy layers
}
"""The rules of classes. Keras's other classes drop a mask: they have no `supports_masking`, or compute no mask."""

_SEQUENCES = ("sequences", "initial_state", "mask", "training")
_ATTENTION = ("inputs", "mask", "training", "return_attention_scores", "use_causal_mask")
_MODEL = ("inputs", "training", "mask")
_QUERIES = ("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask")

_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "AdditiveAttention": _ATTENTION,
    "Attention": _ATTENTION,
    "BatchNormalization": _MODEL,
    "Bidirectional": _SEQUENCES,
    "ConvLSTM1D": _SEQUENCES,
    "ConvLSTM2D": _SEQUENCES,
    "ConvLSTM3D": _SEQUENCES,
    "Functional": _MODEL,
    "GRU": _SEQUENCES,
    "GlobalAveragePooling1D": ("inputs", "mask"),
    "GroupQueryAttention": _QUERIES,
    "LSTM": _SEQUENCES,
    "Lambda": ("inputs", "mask", "training"),
    "MultiHeadAttention": _QUERIES,
    "Pipeline": _MODEL,
    "RNN": _SEQUENCES,
    "Sequential": _MODEL,
    "SimpleRNN": _SEQUENCES,
    "Softmax": ("inputs", "mask"),
    "TimeDistributed": _MODEL,
}
"""The first parameters of `call` in classes that take masks. A mask is for the parameter whose name it begins with;
`mask` is for the only parameter that is a tensor, or a structure of tensors."""

_NUMPY = "keras.src.ops.numpy"

MASK_OPERATIONS: Mapping[str, str] = {
    "Any": _NUMPY,
    "Concatenate": _NUMPY,
    "ConvertToTensor": "keras.src.ops.core",
    "ExpandDims": _NUMPY,
    "LogicalOr": _NUMPY,
    "NotEqual": _NUMPY,
    "OnesLike": _NUMPY,
    "ZerosLike": _NUMPY,
}
"""The operations that Keras records when it computes masks, and their modules."""


MODEL: Config = {"module": "keras", "class_name": "Functional", "config": {}}
"""A serialised model. All models take masks in one way; Keras computes none for their outputs when it builds a model
around them."""


def config_of(entry: Config) -> Config:
    """Returns the config of a serialised layer. A damaged file may have anything else in its place."""
    found = entry.get("config")
    return found if isinstance(found, Mapping) else {}


def is_mask_parameter(name: str) -> bool:
    """Returns whether a parameter of `call` is one that Keras fills in with the mask of another one."""
    return name == "mask" or (name.endswith("_mask") and name not in ("attention_mask", "use_causal_mask"))


def mask_rule_of(entry: Config) -> MaskRule | None:
    """Returns what a serialised layer does with masks. None if only its code tells: a class of the user's own."""
    name, config = plain_class_name(entry), config_of(entry)
    if not is_keras_class(entry) or name not in KNOWN_CLASSES:
        return None
    if name == "Lambda" and config.get("mask") is not None:
        return None
    return _RULES.get(name, MaskRule.DROPS)


def makes_mask(entry: Config) -> bool:
    """Returns whether the outputs of a serialised layer have a mask although its inputs have none."""
    name, config = plain_class_name(entry), config_of(entry)
    return is_keras_class(entry) and (name == "Masking" or (name == "Embedding" and bool(config.get("mask_zero"))))


def mask_parameters_of(entry: Config) -> tuple[str, ...]:
    """Returns the first parameters of a serialised layer's `call`, if they are known to include masks; else nothing."""
    return _PARAMETERS.get(plain_class_name(entry), ()) if is_keras_class(entry) else ()
