"""Builds models from a configuration and weights that mutspec reads: files of Keras 2, and weights without a model.

Keras 3's own loader of Keras 2's files reads weights by order, and needs losses and optimizers to load anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from mutspec.errors import ModelError, Problem
from mutspec.model.code import code_in
from mutspec.model.live.backend import import_keras
from mutspec.model.live.keras_errors import said
from mutspec.model.live.live_model import read_live
from mutspec.model.live.process_wide import building_alone
from mutspec.model.live.quiet import without_advice
from mutspec.model.live.rebuild import matched, refresh
from mutspec.model.loading.by_keras import OWN_LAYERS, Loaded, uncompiled
from mutspec.model.old_configs import other_functions
from mutspec.model.spec import TensorSpec
from mutspec.own_modules import keras_imports_no_stray_module
from mutspec.text.words import listed

Model = Any


def build_from_file(
    shown: str,
    config: Mapping[str, Any],
    training: str | None,
    tensors: tuple[TensorSpec, ...],
    value: Callable[[TensorSpec], Any],
    *,
    is_old: bool,
    unsafe: bool = False,
) -> Loaded:
    """Builds a model from its configuration, and sets every weight.

    Arguments:
        shown: what to call its file.
        config: the serialised model, in Keras 3's form. If code must not run, it has been checked for that already.
        training: the `training_config` of an `.h5` file; None if it has none.
        tensors: its weights.
        value: returns the value of each, as a flat array.
        is_old: whether Keras 2 wrote it. Otherwise it holds weights alone, and nothing about training.
        unsafe: whether code in it (Lambda layers) may run.

    Returns:
        The model, compiled if Keras 3 can revive its loss, optimizer and metrics; warnings of what it lacks.

    Raises:
        ModelError: Keras 3 cannot build it, or what it builds has other weights.
    """
    keras = import_keras()
    entry = {key: each for key, each in config.items() if key not in ("build_config", "compile_config")}
    with building_alone(), without_advice():
        try:
            with keras_imports_no_stray_module():
                model = keras.saving.deserialize_keras_object(json.loads(json.dumps(entry)), safe_mode=not unsafe)
        except Exception as error:  # Keras, or a user's class, may raise anything here
            raise ModelError(f"Keras cannot build the model in {shown}: {said(error)}", hint=OWN_LAYERS) from error
        if not isinstance(model, keras.Model) or not model.built:
            raise ModelError(
                f"the model in {shown} does not say what it is called on, so that Keras 3 cannot build it",
                hint="steps on weights work on the file as it is",
            )
        variables = matched(read_live(model), tensors, f"in {shown}")
        for tensor in tensors:
            variable = variables[tensor.path]
            variable.assign(value(tensor).reshape(tuple(variable.shape)))
        refresh(model)
        if not is_old:
            return Loaded(model)
        return Loaded(model, (*_other_functions(shown, config), *_compile(model, shown, config, training)))


def _other_functions(shown: str, config: Mapping[str, Any]) -> tuple[Problem, ...]:
    layers = other_functions(config)
    if not layers:
        return ()
    return (
        Problem(
            f"{shown} is of Keras 2, whose hard_sigmoid is x/5 + 0.5 between 0 and 1; Keras 3 computes x/6 + 0.5 in "
            f"{listed(layers)}, so that predictions differ",
            hint="predictions are to be compared with those of the model in Keras 3",
            is_warning=True,
        ),
    )


def _compile(model: Model, shown: str, config: Mapping[str, Any], training: str | None) -> tuple[Problem, ...]:
    """Compiles a model as its file says; what of that is lost."""
    stated: Any = config.get("compile_config")
    if not training and not stated:
        return ()
    try:
        if training:
            stated = json.loads(training)
            if stated.get("optimizer_config") is None:
                return ()
        if code := code_in(stated):
            raise ValueError(f"{code}, which is not run")
        with keras_imports_no_stray_module():
            if training:
                _compile_as_h5(model, stated)
            else:
                model.compile_from_config({key: each for key, each in stated.items() if each is not None})
                if not model.compiled:  # Keras only warns of what it cannot revive
                    raise ValueError("Keras 3 does not know what they name")
    except Exception as error:  # Keras, or a user's loss, may raise anything here
        with suppress(Exception):
            model.optimizer = None
        part, name = _unrevived(stated) if training and isinstance(stated, dict) else ("one of them", "")
        return (uncompiled(shown, error, part, is_of_keras=_is_of_keras(name)),)
    return (
        Problem(
            f"the state of the optimizer in {shown} is of Keras 2, and is not taken over",
            hint="training the mutant goes on with a fresh state",
            is_warning=True,
        ),
    )


_OF_KERAS_2 = frozenset({"LossScaleOptimizer", "LossScaleOptimizerV3", "MeanMetricWrapper", "LossFunctionWrapper"}) | {
    "mse",
    "mae",
    "mape",
    "msle",
    "bce",
    "kld",
    "acc",
    "accuracy",
    "ce",
    "crossentropy",
}
"""Names of Keras's own that its modules do not show."""

_PARTS: Mapping[str, str] = {
    "optimizer_config": "the optimizer",
    "loss": "the loss",
    "metrics": "the metric",
    "weighted_metrics": "the weighted metric",
}


def _unrevived(stated: Mapping[str, Any]) -> tuple[str, str]:
    """Tells which part of a `training_config` Keras 3 cannot revive, as words, and the name that it has there."""
    from keras.src.legacy.saving import saving_utils

    for key, label in _PARTS.items():  # the optimizer is needed each time, and so comes first
        name, others = _first_name(stated.get(key)), dict.fromkeys(_PARTS.keys() - {key, "optimizer_config"})
        try:
            saving_utils.compile_args_from_training_config(json.loads(json.dumps({**stated, **others})))
        except Exception:  # as above
            return f"{label} `{name}`", name
    return "one of them", ""


def _first_name(value: Any) -> str:
    """Returns the first name in a part of a `training_config`: of a class, or of a function."""
    while not isinstance(value, str):
        if isinstance(value, Mapping):
            value = value.get("class_name") or next(iter(value.values()), "")
        else:
            value = next(iter(value), "") if isinstance(value, list) else ""
    return value.rpartition(">")[2]


def _is_of_keras(name: str) -> bool:
    keras = import_keras()
    rooms = (keras.losses, keras.metrics, keras.optimizers)
    return bool(name) and (name in _OF_KERAS_2 or any(hasattr(room, name) for room in rooms))


def _compile_as_h5(model: Model, stated: Mapping[str, Any]) -> None:
    from keras.src.legacy.saving import saving_utils
    from keras.src.saving import serialization_lib

    with serialization_lib.SafeModeScope(True):
        model.compile(**saving_utils.compile_args_from_training_config(stated))
        saving_utils.try_build_compiled_arguments(model)
