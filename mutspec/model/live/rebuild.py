"""Rebuilds a Keras model from a config, with given values."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from mutspec.errors import ModelError, Problem
from mutspec.keras_facts.class_names import FORGETS_FROZEN
from mutspec.model.code import code_in
from mutspec.model.live.keras_errors import UNSAFE, first_line
from mutspec.model.live.live_model import LiveModel, read_live
from mutspec.model.live.optimizer import carry_optimizer
from mutspec.model.live.process_wide import building_alone
from mutspec.model.live.quiet import without_advice
from mutspec.model.old_operations import readable_by
from mutspec.model.spec import ModelSpec, TensorSpec
from mutspec.own_modules import keras_imports_no_stray_module

Model = Any


@dataclass(frozen=True)
class Rebuilt:
    """A model that was rebuilt.

    Arguments:
        model: the keras.Model.
        warnings: warnings about training state of the base that was lost.
    """

    model: Model
    warnings: tuple[Problem, ...]


def rebuild(
    base: LiveModel,
    config: Mapping[str, Any],
    tensors: Sequence[TensorSpec],
    value: Callable[[TensorSpec], Any],
    seed: int = 0,
    *,
    why_not_kept: Mapping[str, str] | None = None,
    unsafe: bool = False,
) -> Rebuilt:
    """Builds a model from its config, and sets every weight.

    Other parts of the base are copied where they still fit: the vocabularies of lookup layers, the compilation, and the
    optimizer's state for each weight that is kept.

    Arguments:
        base: the model that it is made from. It is not changed.
        config: the serialised model, as in config.json.
        tensors: all tensors of the new model, in model order. Those whose origin is a tensor of the base are kept.
        value: returns the value of a tensor as a flat array; None for values that Keras initialises.
        seed: the seed for Keras's initializers.
        why_not_kept: what warnings of lost state say of tensors that are not of the base, by path. By default, that
            they are new.
        unsafe: whether code in the config (Lambda layers) may run.

    Raises:
        ModelError: Keras cannot build the model, or builds it with other weights; or it holds code that may not run.
    """
    refuse_sharing(base.spec)
    with _drawing_from(seed):
        model = _built(base, config, unsafe=unsafe)
    _freeze(model)
    variables = matched(read_live(model), tensors, f"`{base.spec.name}`")
    for tensor in tensors:
        variable, wanted = variables[tensor.path], value(tensor)
        if wanted is not None:
            variable.assign(wanted.reshape(tuple(variable.shape)))
    refresh(model)
    _copy_assets(base.model, model)
    kept = [(base.variables[each.origin], variables[each.path]) for each in tensors if each.origin in base.variables]
    reasons = [(variables[path], why) for path, why in (why_not_kept or {}).items()]
    with building_alone(), without_advice():
        return Rebuilt(model, tuple(carry_optimizer(base.model, model, kept, reasons)))


def _freeze(model: Model) -> None:
    """Freezes what the config says is frozen, in classes that Keras makes with weights that are trained."""
    for layer in model._flatten_layers():
        names = {kind.__name__ for kind in type(layer).__mro__ if kind.__module__.startswith("keras.")}
        if names & FORGETS_FROZEN and not layer.trainable:
            # It goes on to the layers in it, but TensorFlow's `__setattr__` does nothing if the value is the old one.
            layer.trainable = True
            layer.trainable = False


@contextmanager
def _drawing_from(seed: int) -> Iterator[None]:
    """Seeds initializers that have no seed, and restores the user's random numbers."""
    with building_alone():
        state = random.getstate()
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)


def refuse_sharing(spec: ModelSpec) -> None:
    """Refuses a model that shares layers with a model inside it, because a config cannot express that.

    Raises:
        ModelError: it shares layers.
    """
    shared = next((layer for layer in spec.layers if layer.aliases), None)
    if shared is not None:
        raise ModelError(
            f"`{shared.path}` is shared with `{shared.aliases[0]}` in another model, and Keras would rebuild it as "
            "two layers",
            hint="mutate its weights in place (in_place=True, or mutated(…)), or in its file",
        )


def _built(base: LiveModel, config: Mapping[str, Any], *, unsafe: bool) -> Model:
    import keras

    name = base.spec.name
    if not config.get("config"):
        raise ModelError(
            f"the model `{name}` has no config to build the mutant from",
            hint="give its class a get_config, or mutate it in place: in_place=True, or mutated(…)",
        )
    if not unsafe and (code := code_in(config)):
        raise ModelError(
            f"in the model `{name}`, {code}, which is not run by default",
            hint=f"if you trust it, use {UNSAFE}; or mutate it in place: in_place=True, or mutated(…)",
        )
    try:
        with keras_imports_no_stray_module(), without_advice():
            model = keras.saving.deserialize_keras_object(
                dict(readable_by(keras.version(), config)),
                custom_objects=dict(custom_classes(base.model)),
                safe_mode=not unsafe,
            )
    except Exception as error:  # Keras, or a user's class, may raise anything here
        raise ModelError(
            f"Keras cannot build the model `{name}` from its config: {first_line(error)}",
            hint="check the get_config and from_config of its classes",
        ) from error
    if not model.built:
        raise ModelError(
            f"the model `{name}`, rebuilt from its config, has no weights",
            hint="give its class a build(), or mutate it in place: in_place=True, or mutated(…)",
        )
    return model


def is_registered(name: str) -> bool:
    """Returns whether Keras's registry has an object of the user's own with this name."""
    import keras

    return keras.saving.get_registered_object(name) is not None


def custom_classes(model: Model) -> Mapping[str, type]:
    """Returns the classes of a model's layers that are not Keras's, by their names in configs."""
    from keras.saving import get_registered_name

    found: dict[str, type] = {}
    for layer in model._flatten_layers():
        kind = type(layer)
        if not kind.__module__.startswith(("keras.", "tensorflow.")):
            found |= {kind.__name__: kind, get_registered_name(kind): kind}
    return found


def matched(live: LiveModel, tensors: Sequence[TensorSpec], shown: str) -> Mapping[str, Any]:
    """Returns the new model's variables by the paths of the given tensors.

    If the paths differ, because a class's get_config leaves out the layer's name, they are matched by their order.
    """
    wanted, found = {tensor.path: tensor for tensor in tensors}, live.spec.tensor_by_path
    if wanted.keys() == live.variables.keys():
        pairs = [(tensor, found[path]) for path, tensor in wanted.items()]
    else:
        pairs = list(zip(tensors, live.spec.tensors, strict=False))
    same = len(tensors) == len(live.spec.tensors)
    unlike = next((one for one, other in pairs if _is_unlike(one, other)), None)
    if not same or unlike is not None:
        what = f"has {len(live.spec.tensors)} weights instead of {len(tensors)}"
        what = f"has another `{unlike.path}`" if unlike is not None and same else what
        raise ModelError(
            f"the model {shown}, rebuilt from its config, {what}",
            hint="check the get_config and build of its classes; or mutate it in place: in_place=True, or mutated(…)",
        )
    return {one.path: live.variables[other.path] for one, other in pairs}


def _is_unlike(one: TensorSpec, other: TensorSpec) -> bool:
    are_known = one.has_role and other.has_role
    return one.shape != other.shape or (are_known and one.role != other.role)


def _copy_assets(source: Model, target: Model) -> None:
    """Copies data of layers that is neither config nor weights: the vocabularies of adapted lookup layers."""
    for old, new in _pairs(source, target):
        if hasattr(type(old), "save_assets") and type(old).save_assets is not _default_save_assets():
            with TemporaryDirectory() as folder:
                old.save_assets(folder)
                new.load_assets(folder)


def refresh(model: Model) -> None:
    """Updates values that layers compute from their weights when they are loaded."""
    for layer in model._flatten_layers():
        if type(layer).__name__ == "Normalization" and hasattr(layer, "finalize_state"):
            layer.finalize_state()


def _default_save_assets() -> Any:
    from keras.src.saving.keras_saveable import KerasSaveable

    return getattr(KerasSaveable, "save_assets", None)


def _pairs(source: Model, target: Model) -> Iterator[tuple[Any, Any]]:
    """Yields the pairs of layers of the two models with the same class and name."""
    sources = {(type(layer), layer.name): layer for layer in source._flatten_layers(include_self=False)}
    for layer in target._flatten_layers(include_self=False):
        if (type(layer), layer.name) in sources:
            yield sources[type(layer), layer.name], layer
