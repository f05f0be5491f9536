"""The part of the table that is done in plain Keras: models are made, and mutants judged.

    python -m tests.architecture_table.plain_keras FOLDER…

judges the mutants of each folder, in a process that cannot import mutspec. What a mutant should predict is found by
running the *base's* graph in Keras, layer by layer, with one layer called otherwise.
"""

from __future__ import annotations

import inspect
import json
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Json = dict[str, Any]


def prepare(build: Callable[[], Any], folder: Path) -> None:
    """Writes a model, another of its architecture, and an outline of its layers into a folder."""
    import keras

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = build()
        model.save(folder / "base.keras")
        outline = {"layers": layers_of(model), "outputs": _output_names(model), "class": type(model).__name__}
        (folder / "outline.json").write_text(json.dumps(outline))
        random = np.random.default_rng(17)
        for variable in model.weights:
            if keras.backend.is_float_dtype(variable.dtype):
                value = np.asarray(variable.value).astype("float32")
                variable.assign(value * random.uniform(0.8, 1.2, value.shape))
        model.save(folder / "second.keras")


def layers_of(model: Any, path: str = "") -> list[Json]:
    """Returns what steps are chosen by: the layers of a model and of the models in it, in the order of the model."""
    graph = _graph(model)
    nodes = [node for depth in graph._nodes_by_depth.values() for node in depth if node.operation is not None]
    found = []
    for layer in graph.operations:
        calls = [node for node in nodes if node.operation is layer]
        config = layer.get_config()
        found.append(
            {
                "path": path + layer.name,
                "name": layer.name,
                "model": path,
                "class": type(layer).__name__,
                "is_layer": hasattr(layer, "weights"),
                "calls": len(calls),
                "sources": [each._keras_history.operation.name for each in _taken(calls[0])],
                "taken": [list(each.shape) for each in _taken(calls[0])],
                "made": [list(each.shape) for each in calls[0].output_tensors],
                "has_mask": any(getattr(each, "_keras_mask", None) is not None for each in calls[0].output_tensors),
                "dtypes": [str(each.dtype) for each in calls[0].output_tensors],
                "activation": config.get("activation"),
                "groups": config.get("groups", 1),
                "config": json.dumps({**config, "name": ""}, sort_keys=True, default=str),
                "weights": [list(each.shape) for each in getattr(layer, "weights", ())],
            }
        )
        if _is_model(layer):
            found += layers_of(layer, f"{path}{layer.name}/")
    return found


def _taken(call: Any) -> list[Any]:
    """The tensors that a call takes, without masks."""
    import keras

    arguments = call.arguments
    given = [*arguments.args, *(value for key, value in arguments.kwargs.items() if key != "mask")]
    return [each for each in keras.tree.flatten(given) if isinstance(each, keras.KerasTensor)]


def _output_names(model: Any) -> list[str]:
    return [each._keras_history.operation.name for each in _graph(model).outputs]


def _graph(model: Any) -> Any:
    return getattr(model, "_functional", None) or model


def _is_model(layer: Any) -> bool:
    import keras

    return isinstance(layer, keras.Model)


Change = Callable[..., Any]


class Run:
    """A run of a model's graph, in which some layers are called otherwise.

    Arguments:
        changes: by path, a function of the run, the usual call, and its arguments.
    """

    def __init__(self, changes: Mapping[str, Change] | None = None) -> None:
        self.changes = changes or {}
        self.values: dict[str, Any] = {}
        self.result: Any = None

    def of(self, model: Any, inputs: Any, path: str = "") -> Any:
        """Returns what the model returns."""
        import keras

        graph = _graph(model)
        flat = graph._standardize_inputs(inputs)
        for tensor, value in zip(graph.inputs, flat, strict=True):
            self.values[path + tensor._keras_history.operation.name] = value
        made = graph._run_through_graph(flat, operation_fn=lambda layer: self._call(layer, path))
        self.result = made[0] if isinstance(made, list) and len(made) == 1 else made
        return keras.tree.map_structure(lambda each: each, self.result)

    def _call(self, layer: Any, path: str) -> Callable[..., Any]:
        own = path + layer.name

        def usual(*args: Any, **kwargs: Any) -> Any:
            return self.of(layer, args[0], f"{own}/") if _is_model(layer) else layer(*args, **kwargs)

        def called(*args: Any, **kwargs: Any) -> Any:
            change = self.changes.get(own)
            made = usual(*args, **kwargs) if change is None else change(self, usual, *args, **kwargs)
            self.values[own] = made
            return made

        return called


def layer_at(model: Any, path: str) -> Any:
    """Returns the layer at a path."""
    for name in path.split("/"):
        model = next(each for each in _graph(model).operations if each.name == name)
    return model


class Case:
    """One mutant: what it should predict, as the step's expectation says.

    Arguments:
        base: the model before the step.
        second: the other model.
        mutant: the model after it.
        masked: the base in which units are zero that the step has removed.
        is_compiled: whether XLA runs the mutant: TensorFlow has convolutions of channels_first on CPUs only there.
    """

    def __init__(self, base: Any, second: Any, mutant: Any, masked: Any = None, *, is_compiled: bool) -> None:
        import keras

        self.base, self.second, self.mutant, self.is_compiled = base, second, mutant, is_compiled
        self.masked = masked
        self.given = _inputs_by_name(mutant)
        optimizer = keras.optimizers.SGD(1e-4)
        mutant.compile(optimizer=optimizer, loss="mse", run_eagerly=not is_compiled, jit_compile=is_compiled)

    def loss(self, predicted: Sequence[np.ndarray]) -> Any:
        """The loss of a step of training towards zeros."""
        import keras

        graph = _graph(self.mutant)
        target = keras.tree.pack_sequence_as(graph._outputs_struct, [np.zeros(each.shape) for each in predicted])
        return self.mutant.train_on_batch(_packed(self.mutant, self.given), target)

    def predicted(self) -> list[np.ndarray]:
        """What the mutant predicts."""
        inputs = _packed(self.mutant, self.given)
        return _flat(self.mutant.predict_on_batch(inputs) if self.is_compiled else self.mutant(inputs, training=False))

    def expected(self, expectation: Json) -> list[np.ndarray] | None:
        """What it should predict; None if only that this is finite is asked."""
        kind = expectation["kind"]
        if kind == "finite":
            return None
        if kind == "transposed":
            return self._transposed()
        inputs = _packed(self.base, {**_inputs_by_name(self.base), **self.given})  # some lead nowhere in the mutant
        if kind == "mean":
            pairs = zip(_flat(self.base(inputs)), _flat(self.second(inputs)), strict=True)
            return [(one + other) / 2 for one, other in pairs]
        if kind == "masked":
            return _flat(self.masked(inputs, training=False))
        run = Run({path: getattr(self, f"_{how}")(*rest) for path, how, *rest in expectation.get("changes", ())})
        whole = run.of(self.base, inputs)
        if "only" in expectation:
            return _flat([run.values[path] for path in expectation["only"]])
        if "more" in expectation:
            path = expectation["more"]
            whole = (
                {**whole, path.rpartition("/")[2]: run.values[path]}
                if isinstance(whole, dict)
                else [*(whole if isinstance(whole, list | tuple) else [whole]), run.values[path]]
            )
        left = set(expectation.get("without", ()))
        return [each for number, each in enumerate(_flat(whole)) if number not in left]

    def _transposed(self) -> list[np.ndarray]:
        def turned(value: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
            return value.transpose(axes) if value.ndim == 4 else value

        given = {name: turned(value, (0, 2, 3, 1)) for name, value in self.given.items()}
        return [turned(each, (0, 3, 1, 2)) for each in _flat(self.base(_packed(self.base, given)))]

    # How a layer of the base is called instead.

    def _then_new(self, path: str) -> Change:
        return lambda run, usual, *args, **kwargs: layer_at(self.mutant, path)(usual(*args, **kwargs))

    def _then_second(self, path: str) -> Change:
        return lambda run, usual, *args, **kwargs: layer_at(self.second, path)(usual(*args, **kwargs))

    def _new(self, path: str) -> Change:
        return _instead(layer_at(self.mutant, path))

    def _another(self, path: str) -> Change:
        return _instead(layer_at(self.base, path))

    def _skipped(self) -> Change:
        return lambda run, usual, *args, **kwargs: args[0]

    def _twice(self) -> Change:
        return lambda run, usual, *args, **kwargs: usual(usual(*args, **kwargs), **kwargs)

    def _taking(self, path: str) -> Change:
        return lambda run, usual, *args, **kwargs: usual(run.values[path], **kwargs)

    def _merging(self, path: str) -> Change:
        return lambda run, usual, *args, **kwargs: usual([run.values[path], *args[0][1:]], **kwargs)

    def _plus(self, name: str) -> Change:
        return lambda run, usual, *args, **kwargs: usual(*args, **kwargs) + self.given[name]

    def _activated(self, path: str, activation: str) -> Change:
        import keras

        layer = layer_at(self.base, path)

        def called(run: Run, usual: Any, *args: Any, **kwargs: Any) -> Any:
            kept, layer.activation = layer.activation, keras.activations.get(activation)
            try:
                return usual(*args, **kwargs)
            finally:
                layer.activation = kept

        return called


def _instead(layer: Any) -> Change:
    def called(run: Run, usual: Any, *args: Any, **kwargs: Any) -> Any:
        takes = inspect.signature(layer.call).parameters
        return layer(*args, **{key: value for key, value in kwargs.items() if key in takes})

    return called


def _inputs_by_name(model: Any) -> dict[str, np.ndarray]:
    from tests.zoo.play import inputs_of

    return dict(zip((each.name for each in model.inputs), inputs_of(model), strict=True))


def _packed(model: Any, given: Mapping[str, np.ndarray]) -> Any:
    import keras

    graph = _graph(model)
    values = [given[each.name] for each in graph.inputs]
    return values[0] if len(values) == 1 else keras.tree.pack_sequence_as(graph._inputs_struct, values)


def _flat(outputs: Any) -> list[np.ndarray]:
    import keras

    return [np.asarray(keras.ops.convert_to_numpy(each)).astype("float64") for each in keras.tree.flatten(outputs)]


def _difference(predicted: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The largest difference as a part of the largest output."""
    shapes = [each.shape for each in predicted], [each.shape for each in expected]
    if shapes[0] != shapes[1]:
        raise ValueError(f"it predicts {shapes[0]} instead of {shapes[1]}")
    pairs = [(one, other) for one, other in zip(predicted, expected, strict=True) if one.size]
    return max(float(np.abs(one - other).max() / max(np.abs(other).max(), 1e-12)) for one, other in pairs)


def _kept_classes(
    predicted: Sequence[np.ndarray], expected: Sequence[np.ndarray], number: int, keep: Sequence[int]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Returns the outputs with the kept classes only, as shares of their sum: a softmax sums over other classes too."""
    one, other = list(predicted), list(expected)
    one[number], other[number] = one[number][..., : len(keep)], other[number][..., keep]
    if len(keep) > 1:
        one[number], other[number] = (
            each / np.abs(each).sum(axis=-1, keepdims=True) for each in (one[number], other[number])
        )
    return one, other


def judge(folder: Path, base: Any, second: Any, name: str, expectation: Json) -> str:
    """Loads a mutant, compares what it predicts, and trains it for a step. Returns what is wrong, or nothing."""
    import keras

    mutant = keras.saving.load_model(folder / f"{name}.keras")
    masked = folder / f"{name}.masked.keras"
    oracle = keras.saving.load_model(masked) if expectation["kind"] == "masked" else None
    case = Case(base, second, mutant, oracle, is_compiled=expectation["kind"] == "transposed")
    predicted = case.predicted()
    if not all(np.isfinite(each).all() for each in predicted):
        return "it predicts what is not finite"
    expected = case.expected(expectation)
    if expected is not None:
        pair = predicted, expected
        if expectation["kind"] == "classes":
            pair = _kept_classes(*pair, expectation["output"], expectation["keep"])
        difference = _difference(*pair)
        if difference > expectation.get("tolerance", 1e-5):
            return f"its predictions are off by {difference:.1e} of the largest"
    loss = case.loss(predicted)
    if not np.isfinite(loss).all():
        return "its loss is not finite after a step of training"
    return ""


def main(folders: Sequence[str]) -> None:
    """Judges the mutants of some folders, and writes what is wrong into each."""
    import keras

    if "mutspec" in sys.modules:
        raise RuntimeError("this is not plain Keras")
    sys.modules["mutspec"] = None  # type: ignore[assignment]
    for folder in map(Path, folders):
        keras.backend.clear_session()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            base = keras.saving.load_model(folder / "base.keras")
            second = keras.saving.load_model(folder / "second.keras")
            wrong: dict[str, str] = {}
            for name, expectation in json.loads((folder / "expectations.json").read_text()).items():
                try:
                    wrong[name] = judge(folder, base, second, name, expectation)
                except Exception as error:
                    wrong[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        (folder / "judged.json").write_text(json.dumps(wrong))


if __name__ == "__main__":
    main(sys.argv[1:])
