"""Loads data: finds and calls the function that the settings name, and checks what it returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from logging import getLogger
from typing import Any

from mutspec.errors import CallError, MutspecError, Problem, nearest
from mutspec.experiment.data.arrays import Data, as_arrays, first_line, leaves
from mutspec.experiment.data.sources import is_dataset, of_dataset
from mutspec.own_modules import allow_modules, targets

_MOVED = {f"mutspec.experiment.sources.{name}": f"mutspec.experiment.data.{name}" for name in ("csv", "images")}
"""The names of functions that configurations may still give, and those that they have now."""


def load_data(settings: Mapping[str, Any]) -> Data:
    """Calls the function that the settings name, and returns its data.

    Arguments:
        settings: `_target_`, a dotted name, and the function's arguments.

    Raises:
        CallError: there is no such function, it does not take the arguments, it fails, or what it returns is not data.
    """
    from hydra.utils import get_method, instantiate

    target = str(settings["_target_"])
    settings = {**settings, "_target_": _MOVED.get(target, target)}
    allow_modules(targets(settings))
    function: Callable[..., Any] = located(target, get_method, "data")
    _check_arguments(function, target, settings)
    try:
        returned = instantiate(dict(settings), _convert_="all")
    except Exception as error:  # Hydra's error has what the function raised, which may be anything, as its cause
        cause = error.__cause__ or error
        if isinstance(cause, MutspecError):
            raise cause from None
        reason = f"{type(cause).__name__}: {first_line(cause) if str(cause) else 'no message'}"
        raise CallError(f"`{target}` fails: {reason}") from error
    return checked(returned, name_of_data(settings), target)


def name_of_data(settings: Mapping[str, Any]) -> str:
    """Returns what reports call the data of some settings: the file, or the function."""
    named, target = settings.get("path"), str(settings["_target_"])
    name = target.rpartition(".")[2] if target.startswith("mutspec.") else target
    return named if isinstance(named, str) else name


def located(target: str, find: Callable[[str], Any], key: str) -> Any:
    """Returns the object that a dotted name of the configuration stands for.

    Raises:
        CallError: it does not stand for anything that can be called.
    """
    logger = getLogger("hydra.utils")  # which would print the same with a traceback
    level = logger.level
    logger.setLevel("CRITICAL")
    try:
        return find(_MOVED.get(target, target))
    except Exception as error:  # importing a user's module may fail in any way
        raise CallError(_not_found(target, error, key)) from None
    finally:
        logger.setLevel(level)


def _not_found(target: str, error: Exception, key: str) -> Problem:
    """The reason why a dotted name cannot be called: how much of it exists."""
    said = f"`{key}._target_`: "
    module, _, name = target.rpartition(".")
    try:
        found: Any = import_module(module) if module else None
    except Exception as failure:
        if not isinstance(failure, ModuleNotFoundError) or not f"{module}.".startswith(f"{failure.name}."):
            return Problem(f"{said}importing `{module}` fails: {type(failure).__name__}: {first_line(failure)}")
        hint = "it is looked for among installed packages, and in the current folder"
        return Problem(f"{said}there is no module `{failure.name}`", hint=hint)
    if found is None:
        return Problem(f"{said}`{target}` is not a dotted name", hint="write module.function")
    if not hasattr(found, name):
        candidates = tuple(f"{module}.{near}" for near in nearest(name, dir(found)))
        return Problem(f"{said}`{module}` has no `{name}`", candidates=candidates)
    if not callable(getattr(found, name)):
        return Problem(f"{said}`{target}` is a value of type {_kind(getattr(found, name))}, and cannot be called")
    return Problem(f"{said}`{target}` cannot be used: {first_line(error)}")


def _check_arguments(function: Callable[..., Any], target: str, settings: Mapping[str, Any]) -> None:
    given = {key: value for key, value in settings.items() if not key.startswith("_")}
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    names = list(signature.parameters)
    takes_all = any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values())
    if unknown := [] if takes_all else [key for key in given if key not in names]:
        listing = ", ".join(f"`{name}`" for name in names) or "nothing"
        raise CallError(
            [
                Problem(f"`{target}` takes no `{key}`", hint=f"it takes {listing}", candidates=_keys(key, names))
                for key in unknown
            ]
        )
    try:
        signature.bind(**given)
    except TypeError as error:
        missing = str(error).partition("'")[2].rstrip("'")
        raise CallError(f"`data.{missing}` is not given", hint=f"add data.{missing}=…") from None


def _keys(key: str, names: list[str]) -> tuple[str, ...]:
    return tuple(f"data.{name}" for name in nearest(key, names))


def checked(returned: Any, name: str, target: str) -> Data:
    """Returns what a data function returned, as data.

    Raises:
        CallError: it is not data.
    """
    if is_dataset(returned):
        returned = of_dataset(returned)
    if not isinstance(returned, tuple) or len(returned) != 2:
        what = f"a tuple of {len(returned)}" if isinstance(returned, tuple) else f"a value of type {_kind(returned)}"
        hint = "return (x, y), NumPy arrays or lists and mappings of them; y may be None"
        raise CallError(f"`{target}` returns {what}, not x and y", hint=hint)
    x, y = (as_arrays(each, which, target) for each, which in zip(returned, "xy", strict=True))
    if x is None:
        raise CallError(f"`{target}` returns no x")
    lengths = {f"{which}{path}": len(array) for which, each in (("x", x), ("y", y)) for path, array in leaves(each)}
    if len(set(lengths.values())) > 1:
        listing = ", ".join(f"{path} has {length:,}" for path, length in lengths.items())
        raise CallError(f"the data are of different lengths: {listing}", hint="each sample needs all of them")
    samples = next(iter(lengths.values()), 0)
    if not samples:
        raise CallError(f"`{name}` has no samples to evaluate on")
    return Data(name, x, y, samples)


def _kind(value: Any) -> str:
    return type(value).__name__
