"""Reads a live Keras model: its spec, and the variable of each tensor."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mutspec.errors import EnvironmentProblem, ModelError
from mutspec.model.build import build_spec
from mutspec.model.live.backend import import_keras
from mutspec.model.live.inner_objects import description_by_layers
from mutspec.model.live.saved_paths import saved
from mutspec.model.spec import ModelSpec


@dataclass(frozen=True)
class LiveModel:
    """A Keras model and its spec.

    Arguments:
        model: the keras.Model itself.
        spec: its spec, which is equal to that of a file saved from it.
        variables: the Keras variable of each tensor, by canonical path.
        config: the serialised model, as in config.json.
    """

    model: Any = field(repr=False)
    spec: ModelSpec
    variables: Mapping[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)


def variables_of(model: Any) -> list[Any]:
    """Returns all variables of a keras.Model; nothing for any other object."""
    keras = sys.modules.get("keras")  # without Keras there are no models
    return list(model.variables) if keras is not None and isinstance(model, keras.Model) else []


def read_live(model: Any) -> LiveModel:
    """Reads a live Keras model. No value is read or changed.

    Arguments:
        model: a built keras.Model.

    Raises:
        ModelError: the model is not built, or has content that mutspec does not support.
        EnvironmentProblem: Keras is not installed.
    """
    try:
        keras = import_keras()
    except ImportError as error:
        raise EnvironmentProblem(
            f"Keras cannot be imported ({error})", hint="install mutspec[tensorflow], or work on the model's file"
        ) from None
    if not isinstance(model, keras.Model):
        what = "None" if model is None else f"an object of type {type(model).__name__}"
        raise ModelError(f"{what} is not a Keras 3 model", hint="pass a keras.Model")
    if not model.built:
        raise ModelError(
            f"the model `{model.name}` has no weights yet", hint="first call it on some data, or build() it"
        )
    config = _config_of(model, keras)
    layers, variables = saved(model)
    stored = {path: (tuple(variable.shape), str(variable.dtype)) for path, variable in variables.items()}
    build = build_spec(config, stored, description_by_layers(layers, variables))
    return LiveModel(model, build.spec, {tensor: variables[path] for tensor, path in build.stored.items()}, config)


def _config_of(model: Any, keras: Any) -> Mapping[str, Any]:
    """Returns the serialised model. Without a config it consists of the class."""
    try:
        config: Mapping[str, Any] = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    except (NotImplementedError, TypeError, ValueError) as error:
        from keras.src.models.functional import Functional

        if isinstance(model, keras.Sequential | Functional):
            raise ModelError(
                f"Keras cannot serialise the model `{model.name}` ({error})", hint="give its layers a get_config"
            ) from None
        kind = type(model)
        return {"module": kind.__module__, "class_name": kind.__name__, "config": {}}
    return config
