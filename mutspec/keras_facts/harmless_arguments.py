"""Arguments of layers on which neither output shapes nor weights depend, as tables: nobody needs to be asked for these.

Other arguments may be changed in place, too, if shapes and weights are found to stay the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from mutspec.keras_facts.layer_arguments import arguments_of


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_EVERYWHERE = _names(
    """
    activation recurrent_activation activity_regularizer trainable seed
    rate dropout recurrent_dropout stddev l1 l2
    momentum renorm_momentum renorm_clipping epsilon synchronized
    negative_slope max_value threshold alpha
    unit_forget_bias zero_output_for_mask use_cudnn flash_attention
    normalize interpolation fill_mode fill_value antialias logit_soft_cap
    """
)

_ENDINGS = ("_initializer", "_regularizer", "_constraint")

_OF_CLASS: Mapping[str, frozenset[str]] = {
    # In other classes `scale` decides whether there is a weight of that name.
    "Rescaling": _names("scale offset"),
    "RandomElasticTransform": _names("scale"),
    "RandomErasing": _names("scale"),
    "RandomPerspective": _names("scale"),
    "RandomFlip": _names("mode"),
    "SpectralNormalization": _names("power_iterations"),
}

_FACTORS = ("factor", "_factor")
"""The ends of arguments that set the strength of an augmentation layer."""

_AUGMENTATION = ("Random", "AugMix", "CutMix", "MixUp", "RandAugment", "AutoContrast", "Solarization", "Equalization")


def changes_no_shape(class_name: str, key: str) -> bool:
    """Returns whether output shapes, weights and calls of a class do not depend on an argument.

    Arguments:
        class_name: a class of Keras; any other text for another class, of which only `trainable` is known.
        key: the argument.
    """
    arguments = arguments_of(class_name)
    if arguments is None:
        return key == "trainable"
    if key not in arguments:
        return False
    if key in _EVERYWHERE or key.endswith(_ENDINGS) or key in _OF_CLASS.get(class_name, ()):
        return True
    return class_name.startswith(_AUGMENTATION) and (key.endswith(_FACTORS) or key == "value_range")


NOT_SET: Mapping[str, str] = {
    "name": "use `rename_layer`",
    "dtype": "use `set_dtype_policy`",
    **dict.fromkeys(
        ("layer", "backward_layer", "cell", "cells"),
        "name the layer in it by its path to set its arguments, or use `replace_layer`",
    ),
}
"""Arguments that are never set in place, with what to do instead."""

_TRAINING_ONLY = _names("trainable seed dropout recurrent_dropout activity_regularizer")
"""Arguments that matter only in training, in whichever class they are."""


def acts_in_training_only(key: str) -> bool:
    """Returns whether an argument does not change what a built layer predicts, whatever its class."""
    return key in _TRAINING_ONLY or key.endswith(_ENDINGS)
