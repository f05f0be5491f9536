"""Defaults and aliases of Keras's initializers, regularizers, constraints and activations. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LAYER_DEFAULTS: Mapping[str, Any] = {"trainable": True, "dtype": "float32"}
INPUT_DEFAULTS: Mapping[str, Any] = {"sparse": False, "ragged": False, "optional": False, "dtype": "float32"}
"""The defaults of arguments that every layer has, and of an InputLayer."""

FUNCTION_ALIASES: Mapping[str, str] = {"swish": "silu", "hard_swish": "hard_silu"}
"""Aliases of activations in Keras."""

VARIANCE_SCALING: Mapping[str, tuple[float, str, str]] = {
    "GlorotNormal": (1.0, "fan_avg", "truncated_normal"),
    "GlorotUniform": (1.0, "fan_avg", "uniform"),
    "HeNormal": (2.0, "fan_in", "truncated_normal"),
    "HeUniform": (2.0, "fan_in", "uniform"),
    "LecunNormal": (1.0, "fan_in", "truncated_normal"),
    "LecunUniform": (1.0, "fan_in", "uniform"),
}
"""Initializers that are a VarianceScaling, which Keras before 2.2.3 wrote: its scale, mode and distribution."""

INITIALIZER_ALIASES: Mapping[str, str] = {
    "normal": "RandomNormal",
    "uniform": "RandomUniform",
    "one": "Ones",
    "zero": "Zeros",
    "IdentityInitializer": "Identity",
    "OrthogonalInitializer": "Orthogonal",
    "STFTInitializer": "STFT",
}
"""Aliases of initializers in Keras."""

OBJECT_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "Constant": {"value": 0.0},
    "Identity": {"gain": 1.0},
    "Orthogonal": {"gain": 1.0, "seed": None},
    "RandomNormal": {"mean": 0.0, "stddev": 0.05, "seed": None},
    "RandomUniform": {"minval": -0.05, "maxval": 0.05, "seed": None},
    "TruncatedNormal": {"mean": 0.0, "stddev": 0.05, "seed": None},
    "VarianceScaling": {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal", "seed": None},
    "L1": {"l1": 0.01},
    "L2": {"l2": 0.01},
    "L1L2": {"l1": 0.0, "l2": 0.0},
    "OrthogonalRegularizer": {"factor": 0.01, "mode": "rows"},
    "MaxNorm": {"max_value": 2, "axis": 0},
    "MinMaxNorm": {"min_value": 0.0, "max_value": 1.0, "rate": 1.0, "axis": 0},
    "UnitNorm": {"axis": 0},
}
"""The defaults of arguments of initializers, regularizers and constraints."""
