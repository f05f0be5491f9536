"""Shortcuts: what is run from the cut on is, to the bit, what the whole network says."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest

import mutspec
from mutspec.experiment.data.arrays import Data, leaves
from mutspec.experiment.data.loading import checked
from mutspec.experiment.evaluation import shortcut
from mutspec.experiment.evaluation.evaluate import predicted
from mutspec.experiment.evaluation.shortcut import Shortcuts
from mutspec.model.live import cut_before, read_live
from tests.zoo.play import inputs_of, shared

SAMPLES, BATCH = 7, 4


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every shortcut that is right is worth it."""
    monkeypatch.setattr(shortcut, "WORTH_SECONDS", 0)
    monkeypatch.setattr(shortcut, "WORTH_SHARE", 1e9)
    monkeypatch.setattr(shortcut, "ATTEMPTS_SHARE", 1e9)


def whole_and_short(model: Any, data: Data, layer: str) -> Iterator[tuple[list[bytes], list[bytes], bool]]:
    """For two mutants of a layer: the outputs of the whole, those by the shortcut, and whether it was taken."""
    live = read_live(model)
    whole = partial(predicted, model, data)
    shortcuts = Shortcuts(live, data, whole)
    plan = mutspec.plan({"steps": [{"op": "gaussian_noise", "target": layer, "std": 0.1, "non_finite": "report"}]})
    for seed in range(2):
        with mutspec.mutated(plan.with_(seed=seed), model) as report:
            paths = {target.path for step in report.steps for target in step.targets}
            forward = shortcuts.forward(paths)
            starts = range(0, data.samples, BATCH)
            short = [each for start in starts for each in _bytes(forward(start, start + BATCH))]
            place = shortcuts._place(frozenset(paths))
            yield (
                [each for start in starts for each in _bytes(whole(start, start + BATCH))],
                short,
                bool(place and place.is_ready),
            )


def _bytes(outputs: Any) -> list[bytes]:
    return [array.tobytes() for _, array in leaves(list(outputs) if isinstance(outputs, tuple) else outputs)]


def data_for(model: Any) -> Data:
    values = inputs_of(model, SAMPLES)
    structure = getattr(model, "_inputs_struct", None)
    is_plain = structure is None or hasattr(structure, "shape")
    return checked((values[0] if is_plain else keras.tree.pack_sequence_as(structure, values), None), "own", "own")


def late_layer(model: Any) -> str:
    """The last layer with weights of its own."""
    return str([layer.name for layer in model.layers if layer.weights][-1])


TAKEN = (
    *("sequential", "embedding_mask", "called_twice", "multiple_io", "nested", "operators", "residual"),
    *("shared_with_nested", "grouped", "bidirectional", "time_distributed", "transformer", "mixed_float16", "double"),
)
WHOLE = ("shared_layers", "siamese", "nested_custom")
"""Models whose last layer with weights is also their first, or whose call is their own."""


@pytest.mark.parametrize("name", [*TAKEN, *WHOLE])
def test_a_shortcut_makes_the_bits_of_the_whole(name: str) -> None:
    model = shared(name)
    taken = []
    for whole, short, is_ready in whole_and_short(model, data_for(model), late_layer(model)):
        assert short == whole
        taken.append(is_ready)
    assert taken == ([True, True] if name in TAKEN else [False, False])


def masked() -> Any:
    """Its masks travel from the embedding to the recurrent layer."""
    return keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            keras.layers.Embedding(5, 4, mask_zero=True),
            keras.layers.LSTM(3, name="lstm"),
            keras.layers.Dense(2, name="out"),
        ]
    )


def tokens() -> Data:
    return checked((np.random.default_rng(0).integers(0, 5, (SAMPLES, 6)), None), "own", "own")


def test_where_a_mask_crosses_the_cut_the_whole_is_run() -> None:
    model = masked()
    for whole, short, is_ready in whole_and_short(model, tokens(), "lstm"):
        assert (short, is_ready) == (whole, False)
    assert [is_ready for _, _, is_ready in whole_and_short(model, tokens(), "out")] == [True, True]


def test_activations_that_do_not_fit_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortcut, "MOST_KEPT_BYTES", 50)
    for whole, short, is_ready in whole_and_short(masked(), tokens(), "out"):
        assert (short, is_ready) == (whole, False)


def test_a_shortcut_that_is_not_faster_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortcut, "WORTH_SHARE", 0)
    assert [is_ready for _, _, is_ready in whole_and_short(masked(), tokens(), "out")] == [False, False]


def test_a_shortcut_is_looked_for_when_the_whole_has_taken_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortcut, "WORTH_SECONDS", 3600)
    assert [is_ready for _, _, is_ready in whole_and_short(masked(), tokens(), "out")] == [False, False]


def test_cuts_that_do_not_fit_together_take_turns_no_more_than_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    model = keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(4, name=f"d{number}") for number in range(4))])
    data = checked((np.ones((SAMPLES, 4), np.float32), None), "own", "own")
    monkeypatch.setattr(shortcut, "MOST_KEPT_BYTES", SAMPLES * 4 * 4)  # one cut's activations
    heads = []
    cut = cut_before

    def counted(*arguments: Any) -> Any:
        made = cut(*arguments)
        return replace(made, head=lambda x: (heads.append(made.place), made.head(x))[1])

    monkeypatch.setattr(shortcut, "cut_before", counted)
    whole = partial(predicted, model, data)
    shortcuts = Shortcuts(read_live(model), data, whole)
    for _ in range(5):
        for name in ("d1", "d2"):
            forward = shortcuts.forward({f"{name}/kernel", f"{name}/bias"})
            for start in range(0, SAMPLES, BATCH):
                assert _bytes(forward(start, start + BATCH)) == _bytes(whole(start, start + BATCH))
    assert len(heads) == 2 * 2 * 2  # two cuts, two attempts each, two batches


def in_a_row() -> Any:
    return keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(4, name=f"d{number}") for number in range(5))])


def twice() -> Any:
    """`d1` is called before `d2` and after it."""
    d0, d1, d2, d3 = (keras.layers.Dense(4, name=f"d{number}") for number in range(4))
    given = keras.Input((4,))
    return keras.Model(given, d3(d1(d2(d1(d0(given))))))


@pytest.mark.parametrize(
    ("build", "mutants"),
    [
        (
            in_a_row,
            [("d2", "whole"), ("d2", "short"), ("d3", "short"), ("d4", "short"), ("d1", "whole"), ("d2", "short")],
        ),
        (twice, [("d2", "whole"), ("d2", "short"), ("d1", "whole"), ("d1", "short"), ("d3", "short"), ("d0", "whole")]),
    ],
)
def test_an_earlier_cuts_shortcut_serves_mutants_of_later_layers_and_no_others(
    build: Callable[[], Any], mutants: list[tuple[str, str]]
) -> None:
    model = build()
    data = checked((np.random.default_rng(0).normal(size=(SAMPLES, 4)).astype(np.float32), None), "own", "own")
    runs: list[int] = []

    def whole(start: int, stop: int) -> Any:
        runs.append(start)
        return predicted(model, data, start, stop)

    shortcuts = Shortcuts(read_live(model), data, whole)
    for layer, way in mutants:
        plan = mutspec.plan({"steps": [{"op": "gaussian_noise", "target": layer, "std": 0.1}]})
        runs.clear()
        with mutspec.mutated(plan, model) as report:
            forward = shortcuts.forward({target.path for step in report.steps for target in step.targets})
            for start in range(0, SAMPLES, BATCH):
                found = _bytes(forward(start, start + BATCH))
                assert found == _bytes(predicted(model, data, start, start + BATCH)), layer
        assert bool(runs) == (way == "whole"), layer


@pytest.mark.parametrize(("share", "attempts"), [(0, 1), (1e9, 3)])
def test_attempts_that_save_nothing_are_made_only_while_they_have_cost_little(
    monkeypatch: pytest.MonkeyPatch, share: float, attempts: int
) -> None:
    monkeypatch.setattr(shortcut, "ATTEMPTS_SHARE", share)
    model = keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(4, name=f"d{number}") for number in range(4))])
    data = checked((np.ones((SAMPLES, 4), np.float32), None), "own", "own")
    shortcuts = Shortcuts(read_live(model), data, partial(predicted, model, data))
    for name in ("d3", "d2", "d1"):  # one mutant of each cut, and none that an earlier cut could serve
        forward = shortcuts.forward({f"{name}/kernel"})
        for start in range(0, SAMPLES, BATCH):
            forward(start, start + BATCH)
    assert sum(place.attempts for place in shortcuts._places.values()) == attempts


def test_a_sweep_with_shortcuts_is_one_without(monkeypatch: pytest.MonkeyPatch) -> None:
    model = shared("residual")
    x = data_for(model).x
    plan = mutspec.plan(
        {"params": {"std": 0}, "steps": [{"op": "gaussian_noise", "target": late_layer(model), "std": "${params.std}"}]}
    )

    def rows() -> list[dict[str, Any]]:
        sweep = mutspec.sweep(plan, model, (x, None), {"params.std": [0.1, 1.0]}, seeds=3)
        return [{key: value for key, value in row.items() if key != "seconds"} for row in sweep.rows]

    with_shortcuts = rows()
    monkeypatch.setattr(shortcut, "WORTH_SECONDS", 3600)
    assert rows() == with_shortcuts


def test_before_the_first_layer_there_is_nothing_to_keep() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), keras.layers.Dense(2)])
    assert cut_before(model, model.layers[0].weights) is None
    assert cut_before(model, model.layers[1].weights) is not None
    assert cut_before(model, []) is None


def test_tensorflow_does_not_complain_about_the_tracing_that_shortcuts_need() -> None:
    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    heard: list[str] = []
    logger, handler = logging.getLogger("tensorflow"), Heard()
    logger.addHandler(handler)
    layers = [f"d{number}" for number in range(1, 10)]
    model = keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(4, name=name) for name in ["d0", *layers])])
    plan = mutspec.plan({"params": {"layer": "*"}, "steps": [{"op": "zero", "target": "${params.layer}", "count": 1}]})
    mutspec.sweep(plan, model, (np.ones((SAMPLES, 4), np.float32), None), {"params.layer": layers})
    logger.removeHandler(handler)
    assert not [each for each in heard if "retracing" in each]
