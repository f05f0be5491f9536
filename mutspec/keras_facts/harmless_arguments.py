"""Which arguments of a layer can be changed in place: those that change neither its outputs' shapes nor its weights.

An argument that is not listed is refused, as it may change shapes, weights, or how the layer can be called: `mask_zero`
and `mask_value` because the masks that follow from them are calls of their own in a model's config, `stateful` and
`unroll` because they ask for known batch sizes and lengths, `dtype` because stored weights have one.
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
    unit_forget_bias go_backwards zero_output_for_mask use_cudnn flash_attention
    normalize interpolation fill_mode fill_value antialias logit_soft_cap
    """
)

_ENDINGS = ("_initializer", "_regularizer", "_constraint")

_OF_CLASS: Mapping[str, frozenset[str]] = {
    # In other classes `scale` says whether there is a weight of that name.
    "Rescaling": _names("scale offset"),
    "RandomElasticTransform": _names("scale"),
    "RandomErasing": _names("scale"),
    "RandomPerspective": _names("scale"),
    "RandomFlip": _names("mode"),
    "SpectralNormalization": _names("power_iterations"),
}

_FACTORS = ("factor", "_factor")
"""How strongly an augmentation layer augments."""

_AUGMENTATION = ("Random", "AugMix", "CutMix", "MixUp", "RandAugment", "AutoContrast", "Solarization", "Equalization")


def changes_no_shape(class_name: str, key: str) -> bool:
    """Whether an argument of a class can be changed without changing output shapes, weights or how it is called.

    Arguments:
        class_name: a class of Keras; any other text for a class that is not, of which nothing but `trainable` is known.
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


def why_refused(key: str) -> str:
    """What to do instead, for an argument that cannot be changed in place."""
    if key == "name":
        return "use `rename_layer`"
    return "it may change shapes, weights or how the layer is called; use `replace_layer`"
