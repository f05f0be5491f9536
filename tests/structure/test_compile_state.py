"""A mutant is compiled as its base: the loss and the metrics follow the outputs. Keras trains and evaluates it."""

# ruff: noqa: E501 (tables to read down)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mutspec
from mutspec.structure.compile_state import OutputChange, Outputs, compile_state, output_change
from mutspec.structure.network_config import network_of


def model_with(outputs: Callable[[Any, Any], Any], **compiled: Any) -> Any:
    """A model of two heads, `a` and `b`, and with other heads where `outputs` makes them."""
    import keras

    keras.utils.set_random_seed(3)
    image = keras.Input((4,), name="in")
    body = keras.layers.Dense(5, activation="tanh", name="body")(image)
    a, b = keras.layers.Dense(1, name="a")(body), keras.layers.Dense(3, activation="softmax", name="b")(body)
    model = keras.Model(image, outputs(a, b))
    model.compile("sgd", run_eagerly=True, **compiled)
    return model


def data(targets: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    import numpy as np

    random = np.random.default_rng(5)
    return random.normal(size=(8, 4)), targets(random.normal(size=(8, 1)), random.integers(0, 3, size=(8, 1)))


def losses() -> dict[str, Any]:
    import keras

    return {"a": keras.losses.MeanSquaredError(reduction="sum"), "b": "sparse_categorical_crossentropy"}


LIST, DICT, NESTED = (lambda a, b: [a, b]), (lambda a, b: {"b": a, "a": b}), (lambda a, b: {"k": [a, b]})

CASES: dict[str, tuple[Callable[[Any, Any], Any], Callable[[], dict[str, Any]]]] = {
    "one value for all": (LIST, lambda: {"loss": "mse", "metrics": ["mae", "mse"]}),
    "an object for all": (LIST, lambda: {"loss": losses()["a"]}),
    "a list": (LIST, lambda: {"loss": [*losses().values()], "loss_weights": [1.0, 2.0], "metrics": ["mae", ["accuracy"]]}),
    "a dict": (LIST, lambda: {"loss": losses(), "loss_weights": {"a": 1.0, "b": 2.0}, "metrics": {"b": ["accuracy"]}}),
    "weighted metrics by name": (LIST, lambda: {"loss": losses(), "weighted_metrics": {"a": ["mae", "mse"], "b": "accuracy"}}),
    "a dict and a list of weights": (LIST, lambda: {"loss": losses(), "loss_weights": [3.0, 1.0]}),
    "a list and a dict of weights": (LIST, lambda: {"loss": [*losses().values()], "loss_weights": {"a": 3.0, "b": 1.0}}),
    "an output without loss": (LIST, lambda: {"loss": {"a": "mse", "b": None}, "metrics": {"a": "mae"}}),
    "outputs by key": (DICT, lambda: {"loss": {"b": "mse", "a": losses()["b"]}, "loss_weights": {"a": 2.0, "b": 1.0}, "metrics": {"b": "mae"}}),
    "nested outputs": (NESTED, lambda: {"loss": {"k": ["mse", losses()["b"]]}, "metrics": {"k": ["mae", ["accuracy"]]}}),
    "one output": (lambda a, b: a, lambda: {"loss": "mse", "metrics": ["mae", "mse"]}),
    "one output by name": (lambda a, b: a, lambda: {"loss": {"a": "mse"}, "metrics": {"a": ["mae"]}}),
    "a list of one": (lambda a, b: [a], lambda: {"loss": ["mse"], "metrics": [["mae", "mse"]]}),
}  # fmt: skip

RENAMES = [{"op": "rename_layer", "target": "a", "to": "zz"}]
AT_OUTPUTS = [
    {"op": "insert_layer", "after": "a", "layer": {"type": "Activation", "activation": "linear", "name": "last"}},
    {"op": "rename_layer", "target": "a", "to": "b2"},
    {"op": "rename_layer", "target": "last", "to": "zz"},
]


def evaluated(model: Any, targets: Callable[[Any, Any], Any]) -> list[Any]:
    """The loss and the metrics of a step of training, and after it, without their names."""
    x, y = data(targets)
    trained = model.train_on_batch(x, y, return_dict=True)
    return [sorted(each.values()) for each in (trained, model.test_on_batch(x, y, return_dict=True))]


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize(("name", "steps"), [*((name, AT_OUTPUTS) for name in CASES), ("a dict", RENAMES)])
def test_a_mutant_trains_as_its_base(name: str, steps: list[dict[str, Any]], tmp_path: Path) -> None:
    import keras

    outputs, compiled = CASES[name]
    base = model_with(outputs, **compiled())
    plan = mutspec.plan({"mutspec": 1, "steps": [{**step, "id": f"s{at}"} for at, step in enumerate(steps)]})
    mutant = mutspec.apply(plan, base)
    base.save(tmp_path / "base.keras")
    mutspec.apply(plan, tmp_path / "base.keras", output=tmp_path / "mutant.keras")
    loaded = keras.models.load_model(tmp_path / "mutant.keras")
    assert "zz" in mutant.output_names
    assert loaded.get_compile_config() == mutant.get_compile_config()
    for found, wanted in zip(evaluated(loaded, outputs), evaluated(base, outputs), strict=True):
        assert found == pytest.approx(wanted, rel=1e-5)


@pytest.mark.filterwarnings("ignore:Gradients do not exist", "ignore::mutspec.MutspecWarning")
def test_an_output_that_is_removed_or_added_leaves_the_others_as_they_are() -> None:
    base = model_with(LIST, loss=losses(), loss_weights={"a": 1.0, "b": 2.0}, metrics={"a": "mae", "b": ["accuracy"]})
    x, (a, b) = data(LIST)
    both = base.test_on_batch(x, [a, b], return_dict=True)

    def mutant(**step: Any) -> Any:
        return mutspec.apply(mutspec.plan({"mutspec": 1, "steps": [step]}), base)

    alone = mutant(op="remove_output", target="a").test_on_batch(x, b, return_dict=True)
    assert alone == pytest.approx({"loss": 2 * both["b_loss"], "accuracy": both["b_accuracy"]})
    more = mutant(op="add_output", target="body").test_on_batch(x, {"a": a, "b": b, "body": a}, return_dict=True)
    assert more == pytest.approx(both)


ONE_OUTPUT: list[tuple[Callable[[Any, Any], Any], dict[str, Any]]] = [
    (lambda a, b: b, {"metrics": {"b": ["accuracy"]}}),
    (lambda a, b: b, {"metrics": [["accuracy", "mse"]], "loss_weights": {"b": 0.5}}),
    (lambda a, b: b, {"metrics": ["accuracy"], "weighted_metrics": {"other": {"x": "accuracy", "y": "mse"}}, "loss_weights": 0.5}),
    (lambda a, b: [b], {"metrics": [["accuracy"]], "weighted_metrics": ["mse"], "loss_weights": [0.5]}),
    (lambda a, b: {"k": b}, {"metrics": {"k": ["accuracy"]}, "loss_weights": {"k": 0.5}}),
    (lambda a, b: {"k": b}, {"metrics": ["accuracy"], "weighted_metrics": [["mse"]]}),
]  # fmt: skip
"""The styles in which Keras takes the metrics of a single output, whose keys it ignores."""


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize(("outputs", "compiled"), ONE_OUTPUT)
def test_a_second_output_leaves_the_loss_and_metrics_of_the_only_one(
    outputs: Callable[[Any, Any], Any], compiled: dict[str, Any], tmp_path: Path
) -> None:
    import keras

    base = model_with(outputs, loss="sparse_categorical_crossentropy", **compiled)
    base.save(tmp_path / "base.keras")
    steps = [{"op": "rename_layer", "target": "b", "to": "c"}, {"op": "add_output", "target": "body"}]
    plan = mutspec.plan({"mutspec": 1, "steps": steps})
    mutspec.apply(plan, tmp_path / "base.keras", output=tmp_path / "mutant.keras")
    mutant = keras.models.load_model(tmp_path / "mutant.keras")

    def scores(model: Any, y: Any) -> dict[str, float]:
        found = model.train_on_batch(x, y, return_dict=True)
        return {key.removeprefix("c_").removeprefix("k_"): value for key, value in found.items()}

    x, y = data(outputs)
    more = dict.fromkeys(["body"], next(iter(keras.tree.flatten(y))))
    both = {**y, **more} if isinstance(y, dict) else [*keras.tree.flatten(y), *more.values()]
    assert scores(mutant, both) == pytest.approx(scores(base, y), rel=1e-5)


def test_a_part_of_a_model_is_not_compiled_and_a_warning_says_so() -> None:
    base = model_with(LIST, loss=losses())
    report = mutspec.dry_run(mutspec.plan({"mutspec": 1, "steps": [{"op": "extract", "to": "body"}]}), base)
    assert [each.message for each in report.warnings] == [
        "the mutant is not compiled, because it is another model than its base"
    ]


# --- the function ---------------------------------------------------------------------------------------------------

TWO, THREE, ONE = Outputs([0, 1], ("a", "b"), 2), Outputs([0, 1, 2], ("a", "b", "new"), 3), Outputs(0, ("b",), 1)
REMOVED, ADDED = OutputChange(TWO, ONE, (1,)), OutputChange(TWO, THREE, (0, 1, None))
SECOND, RENAMED = (
    OutputChange(ONE, Outputs([0, 1], ("b", "new"), 2), (0, None)),
    OutputChange(ONE, Outputs(0, ("n",), 1), (0,)),
)
KEYED = OutputChange(Outputs({"k": 0}, ("b",), 1), Outputs({"j": 0, "k": 1}, ("new", "b"), 2), (None, 0))
GONE = "of the output `a` {} dropped, because the mutant has no such output"


@pytest.mark.parametrize(
    ("change", "compiled", "expected", "warnings"),
    [
        (REMOVED, {"loss": "mse"}, {"loss": "mse"}, []),
        (REMOVED, {"loss": {"a": "mse", "b": "mae"}}, {"loss": {"b": "mae"}}, ["`loss` " + GONE.format("is")]),
        (REMOVED, {"loss": ["mse", "mae"], "metrics": ["x", ["y"]]}, {"loss": ["mae"], "metrics": [["y"]]}, ["`loss` and `metrics` " + GONE.format("are")]),
        (REMOVED, {"loss": "mse", "metrics": {"a": "x"}}, {"loss": "mse", "metrics": None}, ["`metrics` " + GONE.format("is")]),
        (REMOVED, {"loss": "mse", "metrics": ["x", "y", "z"]}, {"loss": "mse", "metrics": None}, ["`metrics` is dropped, because it does not match the outputs of the base"]),
        (ADDED, {"loss": "mse"}, {"loss": ["mse", "mse", None]}, []),
        (ADDED, {"loss": {"a": "mse", "b": "mae"}}, {"loss": {"a": "mse", "b": "mae", "new": None}}, []),
        (ADDED, {"metrics": {"a": "x"}}, {"metrics": {"a": "x"}}, []),
        (OutputChange(ONE, TWO, (None, 0)), {"loss": {"b": "mse"}, "metrics": ["x", "y"]}, {"loss": {"a": None, "b": "mse"}, "metrics": [None, ["x", "y"]]}, []),
        (SECOND, {"metrics": {"b": ["x"]}}, {"metrics": {"b": ["x"]}}, []),
        (SECOND, {"metrics": {"z": "x", "y": ["y"]}, "weighted_metrics": [["x"]]}, {"metrics": {"b": ["y", "x"]}, "weighted_metrics": [["x"], None]}, []),
        (RENAMED, {"loss": {"b": "mse"}, "metrics": {"b": ["x"]}}, {"loss": {"n": "mse"}, "metrics": {"n": ["x"]}}, []),
        (RENAMED, {"loss": "mse", "metrics": [["x"]], "weighted_metrics": {"b": "x"}}, {"loss": "mse", "metrics": [["x"]], "weighted_metrics": {"n": ["x"]}}, []),
        (KEYED, {"loss": "mse", "metrics": ["x"], "weighted_metrics": {"k": ["x"]}}, {"loss": {"j": None, "k": "mse"}, "metrics": {"j": None, "k": ["x"]}, "weighted_metrics": {"j": None, "k": ["x"]}}, []),
        (KEYED, {"loss": {"k": "mse"}, "loss_weights": [2.0]}, {"loss": {"j": None, "k": "mse"}, "loss_weights": {"j": None, "k": 2.0}}, []),
        (OutputChange(TWO, Outputs([0, 1], ("d", "d"), 2), (0, 1)), {"loss": {"a": "mse", "b": "mae"}}, {"loss": ["mse", "mae"]}, []),
        (OutputChange(ONE, TWO, (None, None)), {"loss": "mse"}, {}, ["the mutant is not compiled, because none of its outputs is one of the base"]),
        (OutputChange(ONE, Outputs(0, (), 1), (0,)), {"loss": {"b": "mse"}}, {"loss": ["mse"]}, []),
        (OutputChange(Outputs({"x": 0, "y": [1, 2]}, ("a", "b", "c"), 3), Outputs({"y": [0]}, ("c",), 1), (2,)), {"loss": {"y": ["mse", "mae"]}}, {"loss": {"y": ["mae"]}}, ["`loss` of the output `b` is dropped, because the mutant has no such output"]),
    ],
)  # fmt: skip
def test_what_cannot_follow_is_dropped_with_a_warning(
    change: OutputChange, compiled: dict[str, Any], expected: dict[str, Any], warnings: list[str]
) -> None:
    assert compile_state({"optimizer": "sgd", **compiled}, change) == (
        {"optimizer": "sgd", **expected} if expected else {},
        tuple(warnings),
    )


def test_outputs_are_followed_by_tensor_or_key_where_their_number_changes() -> None:
    import keras

    image = keras.Input((4,), name="in")
    a, b, c = (keras.layers.Dense(1, name=name)(image) for name in "abc")

    def network(outputs: Any) -> Any:
        return network_of(keras.saving.serialize_keras_object(keras.Model(image, outputs)))

    assert output_change(network([a, b, c]), network([c, b]), {}).sources == (2, 1)
    assert output_change(network([a, b]), network([b, a, c]), {}).sources == (1, 0, None)
    assert output_change(network([a, b, c]), network([b, c]), {"b": "a"}).sources == (0, 2)
    assert output_change(network({"x": a, "y": b}), network({"y": c}), {}).sources == (1,)
    twice = output_change(network([a, b, c]), network([b, c]), {}).then(
        output_change(network([b, c]), network([c]), {})
    )
    assert twice.sources == (2,)
    assert twice.after.names == ("c",)


def test_an_h5_file_is_compiled_as_its_base(tmp_path: Path) -> None:
    import keras

    base = model_with(LIST, loss=losses(), metrics={"a": "mae"})
    plan = mutspec.plan({"mutspec": 1, "steps": [{"op": "rename_layer", "target": "b", "to": "a_b"}]})
    base.save(tmp_path / "base.h5")
    mutspec.apply(plan, tmp_path / "base.h5", output=tmp_path / "mutant.h5")
    loaded = keras.models.load_model(tmp_path / "mutant.h5")
    assert set(loaded.get_compile_config()["loss"]) == {"a", "a_b"}
