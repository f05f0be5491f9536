"""The arguments of Keras's layer classes, with their defaults. Pure data.

Checked against Keras 3.15 by `tests/keras_facts/test_keras_arguments.py`; other versions may lack some.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from mutspec.keras_facts.class_names import HOLD_CODE


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a class's constructor: required, or with a default."""

    is_required: bool
    default: Any = None


BASE_ARGUMENTS: Mapping[str, Argument] = {
    "name": Argument(is_required=False),
    "trainable": Argument(is_required=False, default=True),
    "dtype": Argument(is_required=False),
    "activity_regularizer": Argument(is_required=False),
}
"""The arguments of nearly every class: `**base` below."""

_SIGNATURES = """
Activation(activation, **base)
ActivityRegularization(l1=0.0, l2=0.0, **base)
AdaptiveAveragePooling1D(output_size, data_format=None, **base)
AdaptiveAveragePooling2D(output_size, data_format=None, **base)
AdaptiveAveragePooling3D(output_size, data_format=None, **base)
AdaptiveMaxPooling1D(output_size, data_format=None, **base)
AdaptiveMaxPooling2D(output_size, data_format=None, **base)
AdaptiveMaxPooling3D(output_size, data_format=None, **base)
Add(**base)
AdditiveAttention(use_scale=True, dropout=0.0, **base)
AlphaDropout(rate, noise_shape=None, seed=None, **base)
Attention(use_scale=False, score_mode='dot', dropout=0.0, seed=None, **base)
AugMix(value_range=(0, 255), num_chains=3, chain_depth=3, factor=0.3, alpha=1.0, all_ops=True,
    interpolation='bilinear', seed=None, data_format=None, **base)
AutoContrast(value_range=(0, 255), **base)
Average(**base)
AveragePooling1D(pool_size, strides=None, padding='valid', data_format=None, **base)
AveragePooling2D(pool_size, strides=None, padding='valid', data_format=None, **base)
AveragePooling3D(pool_size, strides=None, padding='valid', data_format=None, **base)
BatchNormalization(axis=-1, momentum=0.99, epsilon=0.001, center=True, scale=True, beta_initializer='zeros',
    gamma_initializer='ones', moving_mean_initializer='zeros', moving_variance_initializer='ones',
    beta_regularizer=None, gamma_regularizer=None, beta_constraint=None, gamma_constraint=None, renorm=False,
    renorm_clipping=None, renorm_momentum=0.99, synchronized=False, **base)
Bidirectional(layer, merge_mode='concat', weights=None, backward_layer=None, **base)
CategoryEncoding(num_tokens=None, output_mode='multi_hot', sparse=False, **base)
CenterCrop(height, width, data_format=None, **base)
Concatenate(axis=-1, **base)
ContrastLimitedAdaptiveHistogramEqualization(value_range=(0, 255), clip_limit=4.0, tile_grid_size=(8, 8),
    data_format=None, **base)
Conv1D(filters, kernel_size, strides=1, padding='valid', data_format=None, dilation_rate=1, groups=1, activation=None,
    use_bias=True, kernel_initializer='glorot_uniform', bias_initializer='zeros', kernel_regularizer=None,
    bias_regularizer=None, kernel_constraint=None, bias_constraint=None, **base)
Conv1DTranspose(filters, kernel_size, strides=1, padding='valid', output_padding=None, data_format=None,
    dilation_rate=1, activation=None, use_bias=True, kernel_initializer='glorot_uniform', bias_initializer='zeros',
    kernel_regularizer=None, bias_regularizer=None, kernel_constraint=None, bias_constraint=None, **base)
Conv2D(filters, kernel_size, strides=(1, 1), padding='valid', data_format=None, dilation_rate=(1, 1), groups=1,
    activation=None, use_bias=True, kernel_initializer='glorot_uniform', bias_initializer='zeros',
    kernel_regularizer=None, bias_regularizer=None, kernel_constraint=None, bias_constraint=None, **base)
Conv2DTranspose(filters, kernel_size, strides=(1, 1), padding='valid', output_padding=None, data_format=None,
    dilation_rate=(1, 1), activation=None, use_bias=True, kernel_initializer='glorot_uniform',
    bias_initializer='zeros', kernel_regularizer=None, bias_regularizer=None, kernel_constraint=None,
    bias_constraint=None, **base)
Conv3D(filters, kernel_size, strides=(1, 1, 1), padding='valid', data_format=None, dilation_rate=(1, 1, 1), groups=1,
    activation=None, use_bias=True, kernel_initializer='glorot_uniform', bias_initializer='zeros',
    kernel_regularizer=None, bias_regularizer=None, kernel_constraint=None, bias_constraint=None, **base)
Conv3DTranspose(filters, kernel_size, strides=(1, 1, 1), padding='valid', data_format=None, output_padding=None,
    dilation_rate=(1, 1, 1), activation=None, use_bias=True, kernel_initializer='glorot_uniform',
    bias_initializer='zeros', kernel_regularizer=None, bias_regularizer=None, kernel_constraint=None,
    bias_constraint=None, **base)
ConvLSTM1D(filters, kernel_size, strides=1, padding='valid', data_format=None, dilation_rate=1, activation='tanh',
    recurrent_activation='sigmoid', use_bias=True, kernel_initializer='glorot_uniform',
    recurrent_initializer='orthogonal', bias_initializer='zeros', unit_forget_bias=True, kernel_regularizer=None,
    recurrent_regularizer=None, bias_regularizer=None, kernel_constraint=None, recurrent_constraint=None,
    bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, seed=None, return_sequences=False, return_state=False,
    go_backwards=False, stateful=False, **base)
ConvLSTM2D(filters, kernel_size, strides=1, padding='valid', data_format=None, dilation_rate=1, activation='tanh',
    recurrent_activation='sigmoid', use_bias=True, kernel_initializer='glorot_uniform',
    recurrent_initializer='orthogonal', bias_initializer='zeros', unit_forget_bias=True, kernel_regularizer=None,
    recurrent_regularizer=None, bias_regularizer=None, kernel_constraint=None, recurrent_constraint=None,
    bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, seed=None, return_sequences=False, return_state=False,
    go_backwards=False, stateful=False, **base)
ConvLSTM3D(filters, kernel_size, strides=1, padding='valid', data_format=None, dilation_rate=1, activation='tanh',
    recurrent_activation='sigmoid', use_bias=True, kernel_initializer='glorot_uniform',
    recurrent_initializer='orthogonal', bias_initializer='zeros', unit_forget_bias=True, kernel_regularizer=None,
    recurrent_regularizer=None, bias_regularizer=None, kernel_constraint=None, recurrent_constraint=None,
    bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, seed=None, return_sequences=False, return_state=False,
    go_backwards=False, stateful=False, **base)
Cropping1D(cropping=(1, 1), **base)
Cropping2D(cropping=((0, 0), (0, 0)), data_format=None, **base)
Cropping3D(cropping=((1, 1), (1, 1), (1, 1)), data_format=None, **base)
CutMix(factor=1.0, seed=None, data_format=None, **base)
Dense(units, activation=None, use_bias=True, kernel_initializer='glorot_uniform', bias_initializer='zeros',
    kernel_regularizer=None, bias_regularizer=None, kernel_constraint=None, bias_constraint=None, lora_rank=None,
    lora_alpha=None, quantization_config=None, **base)
DepthwiseConv1D(kernel_size, strides=1, padding='valid', depth_multiplier=1, data_format=None, dilation_rate=1,
    activation=None, use_bias=True, depthwise_initializer='glorot_uniform', bias_initializer='zeros',
    depthwise_regularizer=None, bias_regularizer=None, depthwise_constraint=None, bias_constraint=None, **base)
DepthwiseConv2D(kernel_size, strides=(1, 1), padding='valid', depth_multiplier=1, data_format=None,
    dilation_rate=(1, 1), activation=None, use_bias=True, depthwise_initializer='glorot_uniform',
    bias_initializer='zeros', depthwise_regularizer=None, bias_regularizer=None, depthwise_constraint=None,
    bias_constraint=None, **base)
Discretization(bin_boundaries=None, num_bins=None, epsilon=0.01, output_mode='int', sparse=False, dtype=None,
    name=None)
Dot(axes, normalize=False, **base)
Dropout(rate, noise_shape=None, seed=None, **base)
ELU(alpha=1.0, **base)
EinsumDense(equation, output_shape, activation=None, bias_axes=None, kernel_initializer='glorot_uniform',
    bias_initializer='zeros', kernel_regularizer=None, bias_regularizer=None, kernel_constraint=None,
    bias_constraint=None, lora_rank=None, lora_alpha=None, gptq_unpacked_column_size=None, quantization_config=None,
    **base)
Embedding(input_dim, output_dim, embeddings_initializer='uniform', embeddings_regularizer=None,
    embeddings_constraint=None, mask_zero=False, weights=None, lora_rank=None, lora_alpha=None,
    quantization_config=None, **base)
Equalization(value_range=(0, 255), bins=256, data_format=None, **base)
Flatten(data_format=None, **base)
GRU(units, activation='tanh', recurrent_activation='sigmoid', use_bias=True, kernel_initializer='glorot_uniform',
    recurrent_initializer='orthogonal', bias_initializer='zeros', kernel_regularizer=None, recurrent_regularizer=None,
    bias_regularizer=None, kernel_constraint=None, recurrent_constraint=None, bias_constraint=None, dropout=0.0,
    recurrent_dropout=0.0, seed=None, return_sequences=False, return_state=False, go_backwards=False, stateful=False,
    unroll=False, reset_after=True, use_cudnn='auto', **base)
GRUCell(units, activation='tanh', recurrent_activation='sigmoid', use_bias=True, kernel_initializer='glorot_uniform',
    recurrent_initializer='orthogonal', bias_initializer='zeros', kernel_regularizer=None, recurrent_regularizer=None,
    bias_regularizer=None, kernel_constraint=None, recurrent_constraint=None, bias_constraint=None, dropout=0.0,
    recurrent_dropout=0.0, reset_after=True, seed=None, **base)
GaussianDropout(rate, seed=None, **base)
GaussianNoise(stddev, seed=None, **base)
GlobalAveragePooling1D(data_format=None, keepdims=False, **base)
GlobalAveragePooling2D(data_format=None, keepdims=False, **base)
GlobalAveragePooling3D(data_format=None, keepdims=False, **base)
GlobalMaxPooling1D(data_format=None, keepdims=False, **base)
GlobalMaxPooling2D(data_format=None, keepdims=False, **base)
GlobalMaxPooling3D(data_format=None, keepdims=False, **base)
GroupNormalization(groups=32, axis=-1, epsilon=0.001, center=True, scale=True, beta_initializer='zeros',
    gamma_initializer='ones', beta_regularizer=None, gamma_regularizer=None, beta_constraint=None,
    gamma_constraint=None, **base)
GroupQueryAttention(head_dim, num_query_heads, num_key_value_heads, dropout=0.0, use_bias=True, sliding_window=None,
    flash_attention=None, kernel_initializer='glorot_uniform', bias_initializer='zeros', kernel_regularizer=None,
    bias_regularizer=None, kernel_constraint=None, bias_constraint=None, use_gate=False, seed=None, **base)
HashedCrossing(num_bins, output_mode='int', sparse=False, **base)
Hashing(num_bins, mask_value=None, salt=None, output_mode='int', sparse=False, **base)
Identity(**base)
IntegerLookup(max_tokens=None, num_oov_indices=1, mask_token=None, oov_token=-1, vocabulary=None,
    vocabulary_dtype='int64', idf_weights=None, invert=False, output_mode='int', sparse=False,
    pad_to_max_tokens=False, oov_method='floormod', salt=None, **base)
LSTM(units, activation='tanh', recurrent_activation='sigmoid', use_bias=True, kernel_initializer='glorot_uniform',
    recurrent_initializer='orthogonal', bias_initializer='zeros', unit_forget_bias=True, kernel_regularizer=None,
    recurrent_regularizer=None, bias_regularizer=None, kernel_constraint=None, recurrent_constraint=None,
    bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, seed=None, return_sequences=False, return_state=False,
    go_backwards=False, stateful=False, unroll=False, use_cudnn='auto', **base)
LSTMCell(units, activation='tanh', recurrent_activation='sigmoid', use_bias=True, kernel_initializer='glorot_uniform',
    recurrent_initializer='orthogonal', bias_initializer='zeros', unit_forget_bias=True, kernel_regularizer=None,
    recurrent_regularizer=None, bias_regularizer=None, kernel_constraint=None, recurrent_constraint=None,
    bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, seed=None, **base)
LayerNormalization(axis=-1, epsilon=0.001, center=True, scale=True, beta_initializer='zeros',
    gamma_initializer='ones', beta_regularizer=None, gamma_regularizer=None, beta_constraint=None,
    gamma_constraint=None, **base)
LeakyReLU(negative_slope=0.3, **base)
Masking(mask_value=0.0, **base)
MaxNumBoundingBoxes(max_number, fill_value=-1, **base)
MaxPooling1D(pool_size=2, strides=None, padding='valid', data_format=None, **base)
MaxPooling2D(pool_size=(2, 2), strides=None, padding='valid', data_format=None, **base)
MaxPooling3D(pool_size=(2, 2, 2), strides=None, padding='valid', data_format=None, **base)
Maximum(**base)
MelSpectrogram(fft_length=2048, sequence_stride=512, sequence_length=None, window='hann', sampling_rate=16000,
    num_mel_bins=128, min_freq=20.0, max_freq=None, power_to_db=True, top_db=80.0, mag_exp=2.0, min_power=1e-10,
    ref_power=1.0, **base)
Minimum(**base)
MixUp(alpha=0.2, data_format=None, seed=None, **base)
MultiHeadAttention(num_heads, key_dim, value_dim=None, dropout=0.0, use_bias=True, output_shape=None,
    attention_axes=None, sliding_window=None, flash_attention=None, kernel_initializer='glorot_uniform',
    bias_initializer='zeros', kernel_regularizer=None, bias_regularizer=None, kernel_constraint=None,
    bias_constraint=None, use_gate=False, seed=None, **base)
Multiply(**base)
Normalization(axis=-1, mean=None, variance=None, invert=False, **base)
PReLU(alpha_initializer='Zeros', alpha_regularizer=None, alpha_constraint=None, shared_axes=None, **base)
Permute(dims, **base)
RMSNormalization(axis=-1, epsilon=1e-06, **base)
RNN(cell, return_sequences=False, return_state=False, go_backwards=False, stateful=False, unroll=False,
    zero_output_for_mask=False, **base)
RandAugment(value_range=(0, 255), num_ops=2, factor=0.5, interpolation='bilinear', seed=None, data_format=None,
    **base)
RandomBrightness(factor, value_range=(0, 255), seed=None, **base)
RandomColorDegeneration(factor, value_range=(0, 255), data_format=None, seed=None, **base)
RandomColorJitter(value_range=(0, 255), brightness_factor=None, contrast_factor=None, saturation_factor=None,
    hue_factor=None, seed=None, data_format=None, **base)
RandomContrast(factor, value_range=(0, 255), seed=None, **base)
RandomCrop(height, width, seed=None, data_format=None, **base)
RandomElasticTransform(factor=1.0, scale=1.0, interpolation='bilinear', fill_mode='reflect', fill_value=0.0,
    value_range=(0, 255), seed=None, data_format=None, **base)
RandomErasing(factor=1.0, scale=(0.02, 0.33), fill_value=None, value_range=(0, 255), seed=None, data_format=None,
    **base)
RandomFlip(mode='horizontal_and_vertical', seed=None, data_format=None, **base)
RandomGaussianBlur(factor=1.0, kernel_size=3, sigma=1.0, value_range=(0, 255), data_format=None, seed=None, **base)
RandomGrayscale(factor=0.5, data_format=None, seed=None, **base)
RandomHue(factor, value_range=(0, 255), data_format=None, seed=None, **base)
RandomInvert(factor=1.0, value_range=(0, 255), seed=None, data_format=None, **base)
RandomPerspective(factor=1.0, scale=1.0, interpolation='bilinear', fill_value=0.0, seed=None, data_format=None,
    **base)
RandomPosterization(factor, value_range=(0, 255), data_format=None, seed=None, **base)
RandomRotation(factor, fill_mode='reflect', interpolation='bilinear', seed=None, fill_value=0.0, data_format=None,
    **base)
RandomSaturation(factor, value_range=(0, 255), data_format=None, seed=None, **base)
RandomSharpness(factor, value_range=(0, 255), data_format=None, seed=None, **base)
RandomShear(x_factor=0.0, y_factor=0.0, interpolation='bilinear', fill_mode='reflect', fill_value=0.0,
    data_format=None, seed=None, **base)
RandomTranslation(height_factor, width_factor, fill_mode='reflect', interpolation='bilinear', seed=None,
    fill_value=0.0, data_format=None, **base)
RandomZoom(height_factor, width_factor=None, fill_mode='reflect', interpolation='bilinear', seed=None, fill_value=0.0,
    data_format=None, **base)
ReLU(max_value=None, negative_slope=0.0, threshold=0.0, **base)
RepeatVector(n, **base)
Rescaling(scale, offset=0.0, **base)
Reshape(target_shape, **base)
Resizing(height, width, interpolation='bilinear', crop_to_aspect_ratio=False, pad_to_aspect_ratio=False,
    fill_mode='constant', fill_value=0.0, antialias=False, data_format=None, **base)
ReversibleEmbedding(input_dim, output_dim, tie_weights=True, embeddings_initializer='uniform',
    embeddings_regularizer=None, embeddings_constraint=None, mask_zero=False, reverse_dtype=None, logit_soft_cap=None,
    **base)
STFTSpectrogram(mode='log', frame_length=256, frame_step=None, fft_length=None, window='hann', periodic=False,
    scaling='density', padding='valid', expand_dims=False, data_format=None, **base)
SeparableConv1D(filters, kernel_size, strides=1, padding='valid', data_format=None, dilation_rate=1,
    depth_multiplier=1, activation=None, use_bias=True, depthwise_initializer='glorot_uniform',
    pointwise_initializer='glorot_uniform', bias_initializer='zeros', depthwise_regularizer=None,
    pointwise_regularizer=None, bias_regularizer=None, depthwise_constraint=None, pointwise_constraint=None,
    bias_constraint=None, **base)
SeparableConv2D(filters, kernel_size, strides=(1, 1), padding='valid', data_format=None, dilation_rate=(1, 1),
    depth_multiplier=1, activation=None, use_bias=True, depthwise_initializer='glorot_uniform',
    pointwise_initializer='glorot_uniform', bias_initializer='zeros', depthwise_regularizer=None,
    pointwise_regularizer=None, bias_regularizer=None, depthwise_constraint=None, pointwise_constraint=None,
    bias_constraint=None, **base)
SimpleRNN(units, activation='tanh', use_bias=True, kernel_initializer='glorot_uniform',
    recurrent_initializer='orthogonal', bias_initializer='zeros', kernel_regularizer=None, recurrent_regularizer=None,
    bias_regularizer=None, kernel_constraint=None, recurrent_constraint=None, bias_constraint=None, dropout=0.0,
    recurrent_dropout=0.0, return_sequences=False, return_state=False, go_backwards=False, stateful=False,
    unroll=False, seed=None, **base)
SimpleRNNCell(units, activation='tanh', use_bias=True, kernel_initializer='glorot_uniform',
    recurrent_initializer='orthogonal', bias_initializer='zeros', kernel_regularizer=None, recurrent_regularizer=None,
    bias_regularizer=None, kernel_constraint=None, recurrent_constraint=None, bias_constraint=None, dropout=0.0,
    recurrent_dropout=0.0, seed=None, **base)
Softmax(axis=-1, **base)
Solarization(addition_factor=0.0, threshold_factor=0.0, value_range=(0, 255), seed=None, **base)
SpatialDropout1D(rate, seed=None, name=None, dtype=None)
SpatialDropout2D(rate, data_format=None, seed=None, name=None, dtype=None)
SpatialDropout3D(rate, data_format=None, seed=None, name=None, dtype=None)
SpectralNormalization(layer, power_iterations=1, **base)
StackedRNNCells(cells, **base)
StringLookup(max_tokens=None, num_oov_indices=1, mask_token=None, oov_token='[UNK]', vocabulary=None,
    idf_weights=None, invert=False, output_mode='int', pad_to_max_tokens=False, sparse=False, encoding='utf-8',
    salt=None, **base)
Subtract(**base)
TextVectorization(max_tokens=None, standardize='lower_and_strip_punctuation', split='whitespace', ngrams=None,
    output_mode='int', output_sequence_length=None, pad_to_max_tokens=False, vocabulary=None, idf_weights=None,
    sparse=False, ragged=False, encoding='utf-8', **base)
TimeDistributed(layer, **base)
UnitNormalization(axis=-1, **base)
UpSampling1D(size=2, **base)
UpSampling2D(size=(2, 2), data_format=None, interpolation='nearest', **base)
UpSampling3D(size=(2, 2, 2), data_format=None, **base)
ZeroPadding1D(padding=1, data_format=None, **base)
ZeroPadding2D(padding=(1, 1), data_format=None, **base)
ZeroPadding3D(padding=((1, 1), (1, 1), (1, 1)), data_format=None, **base)
"""

_PASSED_ON: Mapping[str, tuple[Any, str]] = {
    "zero_output_for_mask": (False, "LSTM GRU SimpleRNN ConvLSTM1D ConvLSTM2D ConvLSTM3D"),
    "unroll": (False, "ConvLSTM1D ConvLSTM2D ConvLSTM3D"),
    "rms_scaling": (False, "LayerNormalization"),
    "seed": (None, "AdditiveAttention"),
    "data_format": (None, "AutoContrast MaxNumBoundingBoxes RandomBrightness RandomContrast Solarization"),
    "quantization_config": (None, "ReversibleEmbedding"),
    "vocabulary_size": (None, "IntegerLookup StringLookup TextVectorization"),
    "oov_method": ("floormod", "StringLookup"),
}
"""Arguments that classes take through their `**kwargs`: by argument, its default and the classes."""

_NOT_TAKEN: Mapping[str, str] = {"activity_regularizer": "ActivityRegularization IntegerLookup StringLookup"}
"""Arguments that classes do not take, although their `**kwargs` seem to allow it."""

NEEDED_TO_LOAD: Mapping[str, tuple[str, ...]] = {
    "Rescaling": ("offset",),
    "TextVectorization": ("standardize", "split", "ngrams"),
}
"""Arguments with defaults that a config must state nevertheless, because the class's `from_config` reads them."""

LAYER_ARGUMENTS = frozenset({"layer", "backward_layer", "cell", "cells"})
"""The arguments of wrappers that are layers themselves."""

INPUT_ARGUMENTS: Mapping[str, None] = dict.fromkeys(
    ("batch_input_shape", "batch_shape", "batch_size", "dtype", "name", "optional", "ragged", "shape", "sparse")
)
"""The arguments of an InputLayer."""

CHOOSES_DTYPE = frozenset(
    {"Discretization", "HashedCrossing", "Hashing", "IntegerLookup", "StringLookup", "TextVectorization"}
)
"""Classes whose other arguments decide whether they output whole numbers, texts or floats, and so their dtype."""

CLASS_ALIASES: Mapping[str, str] = {
    **{f"Convolution{count}D": f"Conv{count}D" for count in (1, 2, 3)},
    **{f"Convolution{count}DTranspose": f"Conv{count}DTranspose" for count in (1, 2, 3)},
    **{f"SeparableConvolution{count}D": f"SeparableConv{count}D" for count in (1, 2)},
    **{f"MaxPool{count}D": f"MaxPooling{count}D" for count in (1, 2, 3)},
    **{f"AvgPool{count}D": f"AveragePooling{count}D" for count in (1, 2, 3)},
    **{f"GlobalMaxPool{count}D": f"GlobalMaxPooling{count}D" for count in (1, 2, 3)},
    **{f"GlobalAvgPool{count}D": f"GlobalAveragePooling{count}D" for count in (1, 2, 3)},
    "GroupedQueryAttention": "GroupQueryAttention",
}
"""Aliases of classes in Keras."""

NOT_IN_PLANS: Mapping[str, str] = {
    **dict.fromkeys(sorted(HOLD_CODE), "it runs code, but a plan holds only data"),
    "InputLayer": "it is an input of the model, and computes nothing",
    "Layer": "it does nothing by itself",
    "Wrapper": "it does nothing by itself",
    "Pipeline": "insert its layers one by one",
    **dict.fromkeys(
        ("Functional", "Model", "Sequential"), "write it in Keras's form, {class_name: …, config: {layers: […], …}}"
    ),
}
"""Classes that a plan cannot add to a model with `type: …`, and the reasons."""


@cache
def _classes() -> Mapping[str, Mapping[str, Argument]]:
    """Returns the arguments of each class, parsed from the signatures, which are Python calls."""
    classes = {call.func.id: _read(call) for call in _calls()}
    for name, (default, owners) in _PASSED_ON.items():
        for owner in owners.split():
            classes[owner][name] = Argument(is_required=False, default=default)
    for name, owners in _NOT_TAKEN.items():
        for owner in owners.split():
            del classes[owner][name]
    return classes


def _calls() -> list[Any]:
    return [statement.value for statement in ast.parse(_SIGNATURES).body if isinstance(statement, ast.Expr)]


def _read(call: ast.Call) -> dict[str, Argument]:
    arguments = {name.id: Argument(is_required=True) for name in call.args if isinstance(name, ast.Name)}
    for keyword in call.keywords:
        if keyword.arg is not None:
            arguments[keyword.arg] = Argument(is_required=False, default=ast.literal_eval(keyword.value))
        else:
            arguments |= BASE_ARGUMENTS
    return arguments


def known_classes() -> tuple[str, ...]:
    """Returns the classes that a plan can name."""
    return tuple(_classes())


def arguments_of(class_name: str) -> Mapping[str, Argument] | None:
    """Returns the arguments of a class of Keras; None if a plan cannot name it."""
    return _classes().get(class_name)


@cache
def defaults_of(class_name: str) -> Mapping[str, Any]:
    """Returns the defaults of the arguments of a class of Keras, without `name`; nothing if a plan cannot name it."""
    arguments = arguments_of(class_name) or {}
    return {key: each.default for key, each in arguments.items() if not each.is_required and key != "name"}
