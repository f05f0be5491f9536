"""What Keras writes into the config of a layer, and what it leaves out. Pure data.

A layer's config states all arguments of its constructor, except those below. Checked against Keras 3.15 by
`tests/keras_facts/test_written_configs.py`.
"""

from __future__ import annotations

from collections.abc import Mapping


def _classes(names: str) -> frozenset[str]:
    return frozenset(names.split())


def _by_key(table: Mapping[str, str]) -> Mapping[str, frozenset[str]]:
    return {key: _classes(names) for keys, names in table.items() for key in keys.split()}


EVERY_CLASS = "*"

LEFT_OUT: Mapping[str, frozenset[str]] = _by_key(
    {
        # written only where a layer has been changed in a process: given weights, adapters of LoRA, quantisation
        "weights lora_rank lora_alpha gptq_unpacked_column_size": EVERY_CLASS,
        # choices of an implementation, which Keras forgets
        "use_cudnn flash_attention": EVERY_CLASS,
        "fill_value": "MaxNumBoundingBoxes",
        "seed": "SimpleRNN RandomGrayscale",
        "sparse": "CategoryEncoding",
        "trainable": "HashedCrossing",
        "gain": "Identity",
    }
)
"""Arguments that Keras does not write, by the classes of layers and initializers."""

NEWER_THAN_3_6: Mapping[str, frozenset[str]] = _by_key(
    {
        "quantization_config": "Dense EinsumDense Embedding ReversibleEmbedding",
        "renorm renorm_clipping renorm_momentum": "BatchNormalization",
        "use_gate sliding_window": "GroupQueryAttention MultiHeadAttention",
        "seed": "GroupQueryAttention",
        "oov_method salt": "IntegerLookup StringLookup",
        "value_range": "RandomContrast",
        "antialias": "Resizing",
        "ragged": "InputLayer",
        "input_axes output_axes": "GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform "
        "VarianceScaling",
    }
)
"""Arguments that Keras 3.15 writes and Keras 3.6 refuses, by the classes of layers and initializers.

Where a plan does not state them they are left out, so that older versions load the mutant too. Keras then uses the
defaults, which are what it would have written."""

NEW_IN_3_11: Mapping[str, tuple[str, ...]] = {
    "ConvertToTensor": ("ragged",),
    "OnesLike": ("dtype",),
    "ZerosLike": ("dtype",),
}
"""Arguments that operations of masks have since Keras 3.11, which none of them needs. Since then, all operations with
arguments state a name too."""

STATES_NO_REGULARIZER = _classes(
    """
    Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose DepthwiseConv1D DepthwiseConv2D SeparableConv1D
    SeparableConv2D ConvLSTM1D ConvLSTM2D ConvLSTM3D GRU LSTM SimpleRNN EinsumDense Embedding ReversibleEmbedding
    GroupQueryAttention MultiHeadAttention
    """
)
"""Classes that write `activity_regularizer` even if there is none. The others write it only if there is one."""

NAMES_ITS_DTYPE = _classes(
    "InputLayer SpatialDropout1D SpatialDropout2D SpatialDropout3D Discretization HashedCrossing"
)
"""Classes that write the name of their dtype, and not a policy."""

WRITTEN_BY_KERAS_ALONE = _classes(
    "Discretization HashedCrossing Hashing IntegerLookup MelSpectrogram StringLookup TextVectorization"
)
"""Classes whose constructors change their arguments in ways that are in no table. A config that Keras has written is
complete; one of a plan is not."""

DRAWN_BY_KERAS: Mapping[str, str] = {"RandomCrop": "seed"}
"""Arguments that Keras draws where they are not stated, by class. It leaves the seeds of other classes open."""

BUILT_WHEN_MADE = _classes(
    """
    Activation ActivityRegularization AlphaDropout AveragePooling1D AveragePooling2D AveragePooling3D Dropout ELU
    GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D Identity InputLayer LeakyReLU Masking MaxPooling1D
    MaxPooling2D MaxPooling3D ReLU Reshape Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D UnitNormalization
    """
)
"""Classes that need no shapes to be built. Keras writes no `build_config` for them."""

BUILD_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("GroupQueryAttention", "MultiHeadAttention"), ("query", "value", "key")),
    **dict.fromkeys(
        ("Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GRU", "LSTM", "RNN", "SimpleRNN"),
        ("sequences", "initial_state"),
    ),
}
"""Arguments of a call whose shapes such a class is built for, in the order of the call. Other classes are built for the
first argument alone."""

TRAINING_BY_DEFAULT: Mapping[str, bool] = {
    **dict.fromkeys(
        sorted(
            _classes(
                """
                AdditiveAttention AlphaDropout Attention ConvLSTM1D ConvLSTM2D ConvLSTM3D Dropout GRU GRUCell
                GaussianDropout GaussianNoise LSTM LSTMCell RNN SimpleRNN SimpleRNNCell SpatialDropout1D
                SpatialDropout2D SpatialDropout3D SpectralNormalization StackedRNNCells
                """
            )
        ),
        False,
    ),
    **dict.fromkeys(
        sorted(
            _classes(
                """
                AugMix AutoContrast CenterCrop ContrastLimitedAdaptiveHistogramEqualization CutMix Equalization
                MaxNumBoundingBoxes MixUp RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter
                RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur
                RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation
                RandomSaturation RandomSharpness RandomShear RandomTranslation RandomZoom Resizing Solarization
                """
            )
        ),
        True,
    ),
}
"""The default of `training` where it is not None. Keras writes it into calls in a graph."""
