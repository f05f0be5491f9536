"""Losses and metrics of Keras, as the group `evaluate` names them.

What a bare `accuracy` or `crossentropy` means follows from the shapes of labels and outputs, as in `Model.compile`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from mutspec.errors import CallError, Problem, nearest
from mutspec.experiment.data.loading import located
from mutspec.experiment.evaluation.metric_names import OBJECT, named, snake_case, unique_names
from mutspec.experiment.evaluation.per_output import parts
from mutspec.experiment.job_settings import EvaluateSettings
from mutspec.model.live import import_keras
from mutspec.own_modules import allow_modules, targets

if TYPE_CHECKING:
    from numpy.typing import NDArray

Labels = Any
Spec = str | Mapping[str, Any]
"""A loss or metric in the configuration: a name of Keras, or a mapping with `_target_`, or with an object."""


class MeasureKind(StrEnum):
    """The relation of labels to outputs."""

    BINARY = "binary"
    """One number per decision; or any number, if losses and metrics do not ask for classes."""
    CATEGORICAL = "categorical"
    """Labels in the shape of the output, such as one-hot ones."""
    SPARSE = "sparse_categorical"
    """Class numbers as labels."""


ACCURACIES = {"accuracy", "acc"}
CROSSENTROPIES = {"crossentropy", "ce"}
OF_KIND = {
    MeasureKind.BINARY: ("BinaryAccuracy", "BinaryCrossentropy"),
    MeasureKind.CATEGORICAL: ("CategoricalAccuracy", "CategoricalCrossentropy"),
    MeasureKind.SPARSE: ("SparseCategoricalAccuracy", "SparseCategoricalCrossentropy"),
}
"""The meaning of `accuracy` and `crossentropy`, by kind."""


def is_own(spec: Spec) -> bool:
    """Tells whether a loss or metric is code of the user's, which may take any labels."""
    return not isinstance(spec, str) and not str(spec.get("_target_")).startswith("keras.")


def needs_classes(spec: Spec) -> bool:
    """Tells whether a loss or metric takes class numbers as labels."""
    name = spec if isinstance(spec, str) else str(spec.get("_target_", ""))
    return "sparse" in name.lower() or name in ACCURACIES | CROSSENTROPIES


def kind_of(labels: NDArray[Any], outputs: NDArray[Any], specs: Iterable[Spec]) -> MeasureKind | None:
    """Returns the relation of labels to outputs; None if they do not fit.

    Arguments:
        labels: of any number of samples.
        outputs: a model's outputs for as many samples.
        specs: the losses and metrics that are asked for.
    """
    specs = list(specs)
    width = outputs.shape[-1] if outputs.ndim > 1 else 1
    positions = outputs.shape[:-1] if outputs.ndim > 1 else outputs.shape
    takes_classes = any(map(needs_classes, specs)) or (labels.dtype.kind in "iub" and any(map(is_own, specs)))
    if width > 1 and labels.shape in (positions, (*positions, 1)) and takes_classes:
        return MeasureKind.SPARSE
    if width > 1:
        return MeasureKind.CATEGORICAL if labels.shape == outputs.shape else None
    return MeasureKind.BINARY if labels.shape in (outputs.shape, positions, (*positions, 1)) else None


def are_probabilities(outputs: NDArray[Any]) -> bool:
    """Tells whether outputs are probabilities, not logits: from 0 to 1, and of several classes their sum is 1."""
    values = outputs.astype(np.float64)
    if not np.isfinite(values).all() or values.min(initial=0) < 0 or values.max(initial=1) > 1:
        return False
    return outputs.ndim < 2 or outputs.shape[-1] == 1 or bool(np.allclose(values.sum(axis=-1), 1, atol=1e-2))


@dataclass(frozen=True)
class Loss:
    """A loss: from labels and outputs to its mean over them."""

    function: Callable[..., Any]
    options: Mapping[str, Any]

    def mean(self, labels: Labels, outputs: NDArray[Any]) -> float:
        """The mean over samples and positions."""
        return float(np.mean(np.asarray(self.function(labels, outputs, **self.options), np.float64)))


class MeanOf:
    """The metric of a function of (y_true, y_pred): its mean over samples, of which it returns one value, or each."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        """Of a function."""
        self.function = function
        self.name = name
        self.reset_state()

    def reset_state(self) -> None:
        """Forget all batches."""
        self.total, self.count = 0.0, 0

    def update_state(self, labels: Labels, outputs: NDArray[Any]) -> None:
        """Adds a batch; a single value counts for each of its samples."""
        values = np.asarray(self.function(labels, outputs), np.float64)
        self.total += float(values.sum()) * (1 if values.ndim else len(outputs))
        self.count += values.size if values.ndim else len(outputs)

    def result(self) -> float:
        """The mean over all batches."""
        return self.total / self.count if self.count else float("nan")


def loss_of(spec: Spec, kind: MeasureKind, *, from_logits: bool) -> Loss:
    """The loss of a configuration.

    Raises:
        CallError: Keras has none of that name, or it cannot be made.
    """
    keras = import_keras()
    name = f"{kind}_crossentropy" if isinstance(spec, str) and spec in CROSSENTROPIES else spec
    made = _made(name, "loss", "evaluate.loss", keras.losses)
    options = {"from_logits": from_logits} if isinstance(spec, str) and _takes(made, "from_logits") else {}
    return Loss(made, options)


def metric_of(spec: Spec, kind: MeasureKind, *, from_logits: bool) -> Any:
    """The metric of a configuration, an object of Keras.

    Raises:
        CallError: Keras has none of that name, or it cannot be made.
    """
    keras = import_keras()
    if isinstance(spec, str) and spec in ACCURACIES | CROSSENTROPIES:
        made = getattr(keras.metrics, OF_KIND[kind][spec in CROSSENTROPIES])()
    else:
        made = _made(spec, "metric", "evaluate.metrics", keras.metrics)
    if isinstance(spec, str) and from_logits and _takes(type(made), "from_logits"):
        made = type(made)(from_logits=True)
    if not callable(getattr(made, "update_state", None)) and callable(made) and not inspect.isclass(made):
        made = MeanOf(made, spec if isinstance(spec, str) else _name_of(made, spec))
    if not callable(getattr(made, "update_state", None)):
        what = f"`{spec}`" if isinstance(spec, str) else f"`{spec.get('_target_')}`"
        raise CallError(
            f"{what} is not a metric of Keras",
            hint="a metric is a keras.metrics.Metric, or a function of (y_true, y_pred)",
        )
    return made


def metric_names(specs: Sequence[Spec], metrics: Sequence[Any]) -> list[str]:
    """Returns the names of metrics in results. Metrics that are equal in everything share a name.

    Arguments:
        specs: the metrics in the configuration.
        metrics: the objects that they stand for.

    Raises:
        CallError: two that differ have one name.
    """
    pairs = zip(specs, metrics, strict=True)
    return unique_names([named(spec, type(metric).__name__, str(metric.name)) for spec, metric in pairs])


def compares_with_threshold(metric: Any) -> bool:
    """Tells whether a metric takes probabilities alone: `BinaryAccuracy`, `Precision`, `AUC`."""
    own = getattr(metric, "_fn_kwargs", {})
    return "threshold" in own or any(hasattr(metric, name) for name in ("threshold", "thresholds"))


def check_measures(settings: EvaluateSettings) -> None:
    """Checks that the losses and metrics of all outputs exist, before anything is loaded.

    Raises:
        CallError: with those of the first output that has such.
    """
    for each in parts(settings).values():
        check_names(each.loss, each.metrics)


def check_names(loss: Spec | None, metrics: Iterable[Spec]) -> None:
    """Checks that losses and metrics exist and have names that can be used, before anything is loaded.

    Raises:
        CallError: with all of them.
    """
    problems: list[Problem] = []
    made: list[tuple[Spec, Any]] = []
    try:
        if loss is not None:
            loss_of(loss, MeasureKind.SPARSE, from_logits=False)
    except CallError as error:
        problems += error.problems
    for spec in metrics:
        try:
            made.append((spec, metric_of(spec, MeasureKind.SPARSE, from_logits=False)))
        except CallError as error:
            problems += error.problems
    if problems:
        raise CallError(problems)
    metric_names([spec for spec, _ in made], [metric for _, metric in made])


def _made(spec: Spec, what: str, key: str, room: Any) -> Any:
    if not isinstance(spec, str):
        return spec[OBJECT] if OBJECT in spec else _instantiated(spec, what, key)
    try:
        return room.get(spec)
    except TypeError as error:
        missing = ", ".join(f"`{name}`" for name in re.findall(r"'(\w+)'", str(error)))
        public = next((name for name in dir(room) if snake_case(name) == spec), spec)
        hint = f"write {key.replace('metrics', 'metrics.0')}._target_=keras.{what.replace('loss', 'losse')}s.{public}"
        raise CallError(
            f"the {what} `{spec}` needs {missing or 'arguments'}", hint=f"{hint}, and its arguments"
        ) from None
    except (ValueError, AttributeError):
        known = [snake_case(name) for name in dir(room) if name[:1].isupper()] + [
            "accuracy",
            "crossentropy",
            "mse",
            "mae",
        ]
        candidates = nearest(spec, known)
        listed = f"Keras lists them at https://keras.io/api/{'losses' if what == 'loss' else 'metrics'}"
        of_a_module = f"a function or a class of a module is written as {{_target_: {spec}}}"
        hint = of_a_module if re.fullmatch(r"\w+(\.\w+)+", spec) else "" if candidates else listed
        raise CallError(f"Keras has no {what} `{spec}`", hint=hint, candidates=candidates) from None


def _instantiated(spec: Mapping[str, Any], what: str, key: str) -> Any:
    from hydra.utils import get_object, instantiate

    target = spec.get("_target_")
    if not isinstance(target, str):
        raise CallError(f"`{key}` names no {what}", hint="give a name of Keras, or a mapping with `_target_`")
    allow_modules(targets(spec))
    found = located(target, get_object, key)
    asked = {name: value for name, value in spec.items() if name != "name" or _takes(found, "name")}
    is_measure = not inspect.isclass(found) and _waits_for_outputs(found, [key for key in asked if key[:1] != "_"])
    try:
        return instantiate(
            {**(asked if is_measure else spec), **({"_partial_": True} if is_measure else {})}, _convert_="all"
        )
    except Exception as error:  # a user's own class may raise anything
        cause = error.__cause__ or error
        reason = str(cause).splitlines()[0] if str(cause) else ""
        raise CallError(f"the {what} `{target}` cannot be made: {type(cause).__name__}: {reason}") from None


def _waits_for_outputs(function: Any, given: Iterable[str]) -> bool:
    """Tells whether a function needs two more arguments: then it is a measure, and does not make one."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return False
    arguments = dict.fromkeys(given)
    return not _binds(signature, **arguments) and _binds(signature, None, None, **arguments)


def _binds(signature: inspect.Signature, *arguments: Any, **named: Any) -> bool:
    try:
        signature.bind(*arguments, **named)
    except TypeError:
        return False
    return True


def _name_of(function: Any, spec: Mapping[str, Any]) -> str:
    """Returns the name of a function's metric."""
    own = getattr(getattr(function, "func", function), "__name__", type(function).__name__)
    given = spec.get("name")
    return given if isinstance(given, str) and given else str(own)


def _takes(function: Any, name: str) -> bool:
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
