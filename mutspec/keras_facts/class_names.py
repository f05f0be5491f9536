"""Names of Keras's layer classes: those without weights, those that no table can describe, aliases, and bases.

Checked against Keras 3.15 by `tests/keras_facts/test_classes.py`.
"""

from __future__ import annotations

from collections.abc import Mapping


def _each(names: str, bases: tuple[str, ...] = ("Layer",)) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(names.split(), bases)


WEIGHTLESS: Mapping[str, tuple[str, ...]] = {
    **_each("InputLayer Identity Lambda Masking Activation ActivityRegularization"),
    **_each("ELU LeakyReLU ReLU Softmax ThresholdedReLU"),
    **_each("Add Average Concatenate Dot Maximum Minimum Multiply Subtract"),
    **_each("AlphaDropout Dropout GaussianDropout GaussianNoise"),
    **_each("SpatialDropout1D SpatialDropout2D SpatialDropout3D", ("Dropout", "Layer")),
    **_each("UnitNormalization"),
    **_each("AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D MaxPooling2D MaxPooling3D"),
    **_each("AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D"),
    **_each("AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D"),
    **_each("GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D"),
    **_each("GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D"),
    **_each("Cropping1D Cropping2D Cropping3D Flatten Permute RepeatVector Reshape"),
    **_each("UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D"),
    **_each("CategoryEncoding HashedCrossing Hashing MelSpectrogram Rescaling Resizing CenterCrop"),
    **_each("AugMix AutoContrast ContrastLimitedAdaptiveHistogramEqualization CutMix Equalization MaxNumBoundingBoxes"),
    **_each("MixUp RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop"),
    **_each("RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue"),
    **_each("RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness"),
    **_each("RandomShear"),
    **_each("RandomTranslation RandomZoom Solarization"),
    # only in Keras 2
    **_each("TFOpLambda SlicingOpLambda ClassMethod"),
}
"""Classes without weights in a file, and their base classes. Seeds are not in files."""

TRAINING_ONLY = frozenset(
    {
        *_each("ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise"),
        *_each("SpatialDropout1D SpatialDropout2D SpatialDropout3D"),
        *_each("AugMix CutMix MixUp RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter"),
        *_each("RandomContrast RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale"),
        *_each("RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation"),
        *_each("RandomSharpness RandomShear RandomTranslation RandomZoom Solarization"),
    }
)
"""Classes that act only in training. When a model predicts, they return their input unchanged."""

UNKNOWN: Mapping[str, tuple[str, ...]] = {
    **_each("Discretization IntegerLookup JaxLayer Pipeline StringLookup TFSMLayer TextVectorization"),
    **_each("TorchModuleWrapper Wrapper"),
    "FlaxLayer": ("JaxLayer", "Layer"),
    "Layer": (),
}
"""Classes whose variables depend on more than their config, or are not weights. They are read as `var0`, `var1`, …."""

ALIASES: Mapping[str, str] = {
    "GroupedQueryAttention": "GroupQueryAttention",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "Deconvolution2D": "Conv2DTranspose",
    "Model": "Functional",
}
"""Other names of classes in files."""

MODELS: Mapping[str, tuple[str, ...]] = {"Functional": ("Model", "Layer"), "Sequential": ("Model", "Layer")}
"""Keras's model classes, and their base classes."""

MODEL_MODULES: Mapping[str, str] = {"Functional": "keras.src.models.functional", "Sequential": "keras"}
"""The modules that Keras writes for its model classes."""

STORED_NAMES: Mapping[str, str] = {"GroupQueryAttention": "GroupedQueryAttention", "Model": "Functional"}
"""Classes whose stored paths are made from another name than the one in the config."""

FORMER_CLASS = "former_class"
"""The key for the original class name in an entry of Keras 2 that was converted to the form of Keras 3. Stored paths
are made from that name (`sync_batch_normalization`)."""

HOLD_CODE = frozenset({"FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper"})
"""Classes whose layers hold or load code."""

TAKES_LIST = frozenset(
    {
        "Add", "AdditiveAttention", "Attention", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply",
        "Subtract",
    }
)  # fmt: skip
"""Classes that Keras calls on a list of tensors."""

FORGETS_FROZEN = frozenset(_each("ConvLSTM1D ConvLSTM2D ConvLSTM3D GroupQueryAttention MultiHeadAttention"))
"""Classes whose weights are trained although the config has `trainable: false`: the layers in them do not get it."""

TAKES_TRAINING = TRAINING_ONLY - {"ActivityRegularization"} | {
    *_each("AdditiveAttention Attention AutoContrast BatchNormalization Bidirectional CenterCrop Dense EinsumDense"),
    *_each("ContrastLimitedAdaptiveHistogramEqualization ConvLSTM1D ConvLSTM2D ConvLSTM3D Equalization GRU GRUCell"),
    *_each("GroupQueryAttention LSTM LSTMCell MaxNumBoundingBoxes MultiHeadAttention RNN RandomCrop Resizing"),
    *_each("SimpleRNN SimpleRNNCell SpectralNormalization StackedRNNCells TimeDistributed"),
}
"""Classes whose call takes `training`."""
