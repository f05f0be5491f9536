"""Evaluates a Keras model in one pass over the data: loss, metrics, and how far outputs are from the base's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mutspec.errors import CallError, MutspecError
from mutspec.experiment.data.arrays import Arrays, Data, rows
from mutspec.experiment.evaluation.data_fit import check_inputs, matched, output_arrays, output_names
from mutspec.experiment.evaluation.fidelity import Comparison, Fidelity, of_itself
from mutspec.experiment.evaluation.measures import (
    Loss,
    MeasureKind,
    are_probabilities,
    compares_with_threshold,
    kind_of,
    loss_of,
    metric_names,
    metric_of,
    needs_classes,
)
from mutspec.experiment.evaluation.metric_names import by_output
from mutspec.experiment.evaluation.per_output import check_outputs, of_output
from mutspec.experiment.job_settings import EvaluateSettings
from mutspec.model.live.keras_errors import first_line

if TYPE_CHECKING:
    from numpy.typing import NDArray


REGRESSION_HINT = "for numbers to predict there is evaluate=regression, a loss and metrics that take no classes"
MOST_KEPT_BYTES = 1 << 30
"""Outputs of a base beyond this many bytes are not kept; what needs them is not measured then."""


class DataExtent(NamedTuple):
    """The number of values in an output, and of those that are infinite or NaN."""

    numbers: int = 0
    non_finite: int = 0


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The evaluation of a model on the data.

    Arguments:
        metrics: the metrics and the loss by name; empty without labels.
        extents: of each output, the number of values, and of those that are infinite or NaN.
        fidelity: the distance of the outputs from the base's.
        classes: of each output of a base, the class chosen at each position; -1 where the output is not finite.
        outputs: of a base, its outputs by name; empty if they are too large to keep.
    """

    metrics: dict[str, float]
    extents: dict[str, DataExtent]
    fidelity: Fidelity
    classes: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    outputs: dict[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def non_finite(self) -> int:
        """The number of values in all outputs that are infinite or NaN."""
        return sum(each.non_finite for each in self.extents.values())

    @property
    def numbers(self) -> int:
        """The number of values in all outputs."""
        return sum(each.numbers for each in self.extents.values())


@dataclass(frozen=True, eq=False)
class _OutputTotals:
    """The losses and metrics of one output, and how it has to be prepared for them.

    Arguments:
        kind: the relation of labels to outputs; None without labels.
        from_logits: whether the outputs are logits.
        width: the number of classes.
        metrics: Keras's metrics by name.
        loss: the loss.
    """

    kind: MeasureKind | None
    from_logits: bool
    width: int
    metrics: dict[str, Any] = field(default_factory=dict)
    loss: Loss | None = None

    def classes(self, outputs: NDArray[Any]) -> NDArray[np.int64]:
        """Returns the chosen class at each position; -1 where the output is not finite."""
        values = outputs if outputs.ndim > 1 else outputs[:, None]
        if self.width > 1:
            chosen = values.argmax(axis=-1)
        else:
            chosen = (values[..., 0] > (0 if self.from_logits else 0.5)).astype(np.int64)
        return np.where(np.isfinite(values).all(axis=-1), chosen, -1)

    def prepared(self, labels: NDArray[Any], outputs: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Returns labels and outputs in shapes that all losses and metrics of Keras take alike."""
        if self.kind is MeasureKind.SPARSE and labels.ndim == outputs.ndim:
            labels = labels[..., 0]
        if self.kind is MeasureKind.BINARY and labels.shape != outputs.shape:
            outputs = outputs.reshape(labels.shape) if labels.size == outputs.size else outputs
        if self.kind is MeasureKind.BINARY and labels.ndim == 1:
            labels, outputs = labels[:, None], outputs[:, None]
        return labels, outputs


@dataclass(eq=False)
class Evaluator:
    """Evaluates a base model and its mutants alike.

    Kinds of labels and outputs are determined on the base's first batch, and kept for mutants: a mutant's logits may
    look like probabilities, and must not be measured in another way than those of the base.

    Arguments:
        settings: the group `evaluate`.
        data: what to evaluate on.
    """

    settings: EvaluateSettings
    data: Data
    _outputs: dict[str, _OutputTotals] = field(default_factory=dict)
    _names: list[str] = field(default_factory=list)

    def evaluate(
        self, model: Any, base: Evaluation | None = None, forward: Callable[[int, int], Arrays] | None = None
    ) -> Evaluation:
        """Evaluates a Keras model.

        Arguments:
            model: the model.
            base: the evaluation of a mutant's base; None for the base itself, whose outputs are kept.
            forward: the model's outputs for the samples [start, stop), if they can be had by a shorter way.

        Raises:
            CallError: the data do not fit it, or it fails on them.
        """
        check_inputs(model, self.data)
        totals = _Totals(base)
        if base is None:
            self._names = output_names(model)
        for output in self._outputs.values():
            for metric in output.metrics.values():  # they still hold the state of the model before
                metric.reset_state()
        size = self.settings.batch_size
        for start in range(0, self.data.samples, size):
            stop = start + size
            outputs = predicted(model, self.data, start, stop) if forward is None else forward(start, stop)
            self._add_batch(outputs, model, start, stop, totals)
        metrics = self._measured(totals)
        if base is None:
            classes, outputs = totals.kept()
            return Evaluation(metrics, totals.extents, of_itself(bool(classes), bool(outputs)), classes, outputs)
        fidelity = totals.comparison.result() if totals.is_comparable else Fidelity()
        return Evaluation(metrics, totals.extents, fidelity)

    def _add_batch(self, outputs: Arrays, model: Any, start: int, stop: int, totals: _Totals) -> None:
        names = output_names(model)
        if len(names) == len(self._names):  # a mutant's outputs stand in the base's order, whatever it calls them
            names = self._names
        arrays = {name: _in_float(array) for name, array in output_arrays(outputs, names).items()}
        labels = rows(self.data.y, start, stop)
        labelled = {name: label for name, _, label in matched(outputs, labels, names)} if labels is not None else {}
        if not self._outputs:
            check_outputs(self.settings, arrays)
        for name, array in arrays.items():
            if name not in self._outputs:
                self._outputs[name] = self._output(name, array, labelled.get(name))
            output = self._outputs[name]
            if (array.shape[-1] if array.ndim > 1 else 1) != output.width:
                message = f"the mutant's output `{name}` has width {array.shape[-1]}, and the base's {output.width}"
                raise CallError(message, hint="data and labels are the base's, so the widths must be the same")
            totals.count(name, array)
            classes = output.classes(array) if self.settings.agreement else None
            if totals.base is None:
                totals.keep(name, classes, array)
            else:
                totals.compare(name, classes, array, start, output)
            if name in labelled:
                _update(output, labelled[name], array, totals)

    def _output(self, name: str, array: NDArray[Any], label: NDArray[Any] | None) -> _OutputTotals:
        width = array.shape[-1] if array.ndim > 1 else 1
        asked = self.settings.from_logits
        from_logits = not are_probabilities(array) if asked == "auto" else asked
        settings = of_output(self.settings, name)
        asked_for = list(settings.metrics)
        specs = [*([settings.loss] if settings.loss is not None else []), *asked_for]
        if label is None or not specs:
            return _OutputTotals(None, from_logits, width)
        kind = kind_of(label, array, specs)
        if kind is None:
            shapes = [f"({', '.join(['n', *map(str, each.shape[1:])])})" for each in (array, label)]
            message = f"the output `{name}` is of shape {shapes[0]}, and its labels are of shape {shapes[1]}"
            hint = "labels are class numbers, or of the output's shape; evaluate=agreement needs none"
            raise CallError(message.replace("(n)", "(n,)"), hint=hint)
        if kind is MeasureKind.SPARSE:
            self._check_classes(name, width)
        if kind is MeasureKind.BINARY and any(map(needs_classes, specs)):
            self._check_answers(name)
        metrics = [metric_of(each, kind, from_logits=from_logits) for each in asked_for]
        loss = None if settings.loss is None else loss_of(settings.loss, kind, from_logits=from_logits)
        named = dict(zip(metric_names(asked_for, metrics), metrics, strict=True))
        self._begin(named)
        return _OutputTotals(kind, from_logits, width, named, loss)

    def _begin(self, metrics: Mapping[str, Any]) -> None:
        """Resets the metrics of an output: an object that Python gives may have measured before.

        Raises:
            CallError: one of them measures another output too, and what it says would be of both.
        """
        others = [id(metric) for output in self._outputs.values() for metric in output.metrics.values()]
        for name, metric in metrics.items():
            if id(metric) in others:
                message = f"the metric `{name}` is one object, and would measure several outputs together"
                raise CallError(message, hint="give metrics by output, with an object for each output")
            metric.reset_state()

    def _check_classes(self, name: str, width: int) -> None:
        """Refuses class numbers beyond the output's classes, of which Keras would make NaN."""
        labels = self._labels(name)
        if labels is None:
            return
        is_whole = labels.dtype.kind == "f" and np.isfinite(labels).all() and (labels == np.floor(labels)).all()
        if labels.dtype.kind not in "iub" and not is_whole:
            message = f"the labels of `{self.data.name}` are {labels.dtype}, not class numbers"
            raise CallError(message, hint=REGRESSION_HINT)
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= width:
            message = f"the labels of `{self.data.name}` go from {low} to {high}, and the output has {width} classes"
            raise CallError(message, hint=f"classes are numbered from 0 to {width - 1}")

    def _check_answers(self, name: str) -> None:
        """Refuses labels of a single output outside [0, 1]: an accuracy of them would be a number without meaning."""
        labels = self._labels(name)
        if labels is not None and labels.dtype.kind in "iuf" and not ((labels >= 0) & (labels <= 1)).all():
            message = f"the labels of `{self.data.name}` are not all from 0, for no, to 1, for yes"
            raise CallError(message, hint=REGRESSION_HINT)

    def _labels(self, name: str) -> NDArray[Any] | None:
        """Returns all labels of an output, if they are one array."""
        labels = self.data.y.get(name) if isinstance(self.data.y, dict) else self.data.y
        return labels if isinstance(labels, np.ndarray) else None

    def _measured(self, totals: _Totals) -> dict[str, float]:
        """Returns the metrics, then the loss. With several outputs, names begin with the output's, as in Keras."""
        names = by_output({name: list(output.metrics) for name, output in self._outputs.items()})
        with _as_call_errors():
            found = {
                whole: _number(metric, self._outputs[name].metrics[metric].result())
                for (name, metric), whole in names.items()
            }
        return found | ({"loss": totals.loss / self.data.samples} if totals.has_loss else {})


class _Totals:
    """The sums over one pass over the data."""

    def __init__(self, base: Evaluation | None) -> None:
        self.base = base
        self.extents: dict[str, DataExtent] = {}
        self.loss = 0.0
        self.has_loss = False
        self.comparison = Comparison()
        self.is_comparable = True
        self._classes: dict[str, list[NDArray[np.int64]]] = {}
        self._outputs: dict[str, list[NDArray[Any]]] | None = {}
        self._bytes = 0

    def count(self, name: str, outputs: NDArray[Any]) -> None:
        """Counts the values of an output."""
        numbers, non_finite = self.extents.get(name, DataExtent())
        bad = int(np.count_nonzero(~np.isfinite(outputs)))
        self.extents[name] = DataExtent(numbers + outputs.size, non_finite + bad)

    def keep(self, name: str, classes: NDArray[np.int64] | None, outputs: NDArray[Any]) -> None:
        """Keeps a base's classes and outputs of a batch, which mutants are compared with."""
        if classes is not None:
            self._classes.setdefault(name, []).append(classes)
        self._bytes += outputs.nbytes
        if self._bytes > MOST_KEPT_BYTES:
            self._outputs = None
        if self._outputs is not None:
            self._outputs.setdefault(name, []).append(outputs)

    def kept(self) -> tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[Any]]]:
        """Returns the classes and the outputs of all batches."""
        outputs = (self._outputs or {}).items()
        return (
            {name: np.concatenate(parts) for name, parts in self._classes.items()},
            {name: np.concatenate(parts) for name, parts in outputs},
        )

    def compare(
        self, name: str, classes: NDArray[np.int64] | None, outputs: NDArray[Any], start: int, output: _OutputTotals
    ) -> None:
        """Compares a mutant's classes and outputs of a batch with its base's."""
        assert self.base is not None
        here = slice(start, start + len(outputs))
        if classes is not None:
            theirs = self.base.classes.get(name, classes[:0])[here]
            if theirs.shape != classes.shape:  # a mutant with other positions, such as a longer sequence
                self.is_comparable = False
                return
            self.comparison.choices(name, start, theirs, classes)
        said = self.base.outputs.get(name, outputs[:0])[here]  # empty where the base's were too large to keep
        if said.shape == outputs.shape:
            are_classes = classes is not None
            self.comparison.outputs(name, said, outputs, are_classes=are_classes, from_logits=output.from_logits)


def _update(output: _OutputTotals, labels: NDArray[Any], outputs: NDArray[Any], totals: _Totals) -> None:
    """Adds a batch to metrics and loss."""
    y, given = output.prepared(labels, outputs)
    with _as_call_errors():
        if output.loss is not None:
            totals.loss += output.loss.mean(y, given) * len(labels)  # the last batch may be shorter than the others
            totals.has_loss = True
        for metric in output.metrics.values():
            # Losses of Keras take logits by `from_logits`. Metrics with a threshold, such as 0.5, take probabilities.
            is_logit = output.kind is MeasureKind.BINARY and output.from_logits and compares_with_threshold(metric)
            metric.update_state(y, _sigmoid(given) if is_logit else given)


@contextmanager
def _as_call_errors() -> Iterator[None]:
    """Turns any exception of losses and metrics, of the backend or of the user's code, into an error of ours."""
    try:
        yield
    except MutspecError:
        raise
    except Exception as error:
        message = f"loss and metrics cannot be computed: {first_line(error)}"
        raise CallError(message, hint="check evaluate.loss and evaluate.metrics against the labels") from error


def _sigmoid(values: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):  # exp overflows to infinity, and the probability is 0, as it should be
        probabilities: NDArray[Any] = 1 / (1 + np.exp(-values))
    return probabilities


def predicted(model: Any, data: Data, start: int, stop: int) -> Arrays:
    """Returns a batch's outputs, by the model's compiled function, which is made once."""
    try:
        return model.predict_on_batch(rows(data.x, start, stop))
    except Exception as error:  # Keras raises whatever its layers raise
        message = f"the model fails on `{data.name}`: {_message_of_layer(error)}"
        raise CallError(message, hint="check what the model takes against the data") from error


def _message_of_layer(error: Exception) -> str:
    """Returns a layer's message, without the line that Keras 3 puts before it and the escape codes around it."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return first_line(Exception(re.sub(r"Exception encountered when calling .*\n", "", text) or type(error).__name__))


def _in_float(array: Any) -> NDArray[Any]:
    # Half precision and bfloat16 (of ml_dtypes, whose kind is "V") would round each sum over the outputs.
    values: NDArray[Any] = np.asarray(array)
    is_float = values.dtype.kind == "f" and values.dtype.itemsize >= 4
    return values if is_float or values.dtype.kind in "iub" else values.astype(np.float32)


def _number(name: str, value: Any) -> float:
    values = np.asarray(value, np.float64) if not isinstance(value, dict) else None
    if values is None or values.size != 1:
        raise CallError(f"the metric `{name}` is not a single number", hint="choose one that averages")
    return float(values.reshape(()))
