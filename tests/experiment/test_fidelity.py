"""How true mutants are to their base: against Keras's own divergence, SciPy and NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

import mutspec
from mutspec.experiment.data.loading import checked
from mutspec.experiment.evaluation import evaluate
from mutspec.experiment.evaluation.evaluate import Evaluator
from mutspec.experiment.evaluation.fidelity import Comparison, Fidelity, OutputFidelity, class_counts
from mutspec.experiment.job_settings import EvaluateSettings
from mutspec.experiment.reports.summary import result_text
from mutspec.experiment.result import read

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(70, 6)).astype(np.float32)


def network(activation: str | None, width: int = 5, seed: int = 0) -> Any:
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(width, activation=activation, name="out")])


def fidelity(base: Any, mutant: Any, **settings: Any) -> Fidelity:
    judge = Evaluator(EvaluateSettings(batch_size=32, **settings), checked((X, None), "own", "own"))
    return judge.evaluate(mutant, judge.evaluate(base)).fidelity


def outputs(*models: Any) -> list[np.ndarray]:
    return [model.predict(X, verbose=0).astype(np.float64) for model in models]


def test_probabilities_diverge_as_keras_says() -> None:
    base, mutant = network("softmax"), network("softmax", seed=1)
    p, q = outputs(base, mutant)
    found = fidelity(base, mutant)
    assert found.divergence == pytest.approx(float(keras.losses.KLDivergence()(p, q)), rel=1e-5)
    assert found.deviation == pytest.approx(np.abs(p - q).mean(), rel=1e-9)
    assert found.agreement == (p.argmax(-1) == q.argmax(-1)).mean()


def test_logits_diverge_as_their_softmax() -> None:
    base, mutant = network(None), network(None, seed=1)
    p, q = outputs(base, mutant)
    wanted = (softmax(p, -1) * (log_softmax(p, -1) - log_softmax(q, -1))).sum(-1).mean()
    assert fidelity(base, mutant).divergence == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_a_single_number_decides_between_two_classes(activation: str | None) -> None:
    base, mutant = network(activation, 1), network(activation, 1, seed=1)
    p, q = (each[:, 0] if activation else expit(each[:, 0]) for each in outputs(base, mutant))
    wanted = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean()
    assert fidelity(base, mutant).divergence == pytest.approx(wanted, rel=1e-5)


def test_flips_are_counted_by_the_class_of_the_base() -> None:
    base, mutant = network("softmax"), network("softmax", seed=1)
    before, after = (each.argmax(-1) for each in outputs(base, mutant))
    found = fidelity(base, mutant)
    assert found.flips == {
        str(label): count for label in range(5) if (count := int(((before == label) & (after != label)).sum()))
    }


def test_outputs_that_choose_nothing_deviate_alone() -> None:
    base, mutant = network(None), network(None, seed=1)
    p, q = outputs(base, mutant)
    found = fidelity(base, mutant, agreement=False)
    deviation = pytest.approx(np.abs(p - q).mean())
    assert found == Fidelity(None, {}, None, deviation, None, {"out": OutputFidelity(None, None, deviation)})


def test_a_model_is_true_to_itself() -> None:
    model = network("softmax")
    assert fidelity(model, model) == Fidelity(1.0, {}, 0.0, 0.0, 1.0, {"out": OutputFidelity(1.0, 0.0, 0.0)})


def two_heads(seed: int) -> Any:
    """A model that chooses one of three classes for a sample, and one of four for each of two positions of it."""
    keras.utils.set_random_seed(seed)
    x = keras.Input((6,))
    a = keras.layers.Dense(3, activation="softmax", name="a")(x)
    b = keras.layers.Dense(4, activation="softmax", name="b")(keras.layers.Reshape((2, 3))(x))
    return keras.Model(x, [a, b])


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    return float((p * np.log(p / q)).sum(axis=-1).mean())


def test_several_outputs_count_alike_and_each_by_itself() -> None:
    base, mutant = two_heads(0), two_heads(1)
    pairs = {
        name: (p.astype(np.float64), q.astype(np.float64))
        for name, p, q in zip("ab", base.predict(X, verbose=0), mutant.predict(X, verbose=0), strict=True)
    }
    found = fidelity(base, mutant)
    same = {name: p.argmax(-1) == q.argmax(-1) for name, (p, q) in pairs.items()}
    for name, (p, q) in pairs.items():
        assert found.by_output[name].agreement == same[name].mean()
        assert found.by_output[name].divergence == pytest.approx(divergence(p, q), rel=1e-5)
        assert found.by_output[name].deviation == pytest.approx(np.abs(p - q).mean(), rel=1e-6)
    assert found.agreement == pytest.approx((same["a"].mean() + same["b"].mean()) / 2)
    assert found.divergence == pytest.approx(np.mean([divergence(p, q) for p, q in pairs.values()]), rel=1e-5)
    assert found.deviation == pytest.approx(np.mean([np.abs(p - q).mean() for p, q in pairs.values()]), rel=1e-6)
    everywhere = same["a"] & same["b"].all(axis=1)
    assert found.sample_agreement == everywhere.mean()
    assert found.sample_agreement < min(same["a"].mean(), same["b"].mean())


def test_flips_are_of_as_many_choices_as_the_base_has_of_a_class() -> None:
    base, mutant = two_heads(0), two_heads(1)
    judge = Evaluator(EvaluateSettings(batch_size=32), checked((X, None), "own", "own"))
    before = judge.evaluate(base)
    found = judge.evaluate(mutant, before).fidelity
    counts = class_counts(before.classes)
    for name, p, q in zip("ab", base.predict(X, verbose=0), mutant.predict(X, verbose=0), strict=True):
        p, q = p.argmax(-1), q.argmax(-1)
        for label in range(4):
            assert counts.get(f"{name}/{label}", 0) == (p == label).sum()
            assert found.flips.get(f"{name}/{label}", 0) == ((p == label) & (q != label)).sum()
    assert sum(counts.values()) == 3 * len(X)


def test_a_sample_agrees_if_all_of_its_positions_do() -> None:
    comparison = Comparison()
    comparison.choices("out", 0, np.array([[0, 1], [2, 3]]), np.array([[0, 1], [2, 0]]))
    comparison.choices("out", 2, np.array([[5, 5]]), np.array([[5, 5]]))
    found = comparison.result()
    assert (found.agreement, found.sample_agreement) == (5 / 6, 2 / 3)


def test_a_result_tells_all_that_several_outputs_say(tmp_path: Path) -> None:
    plan = mutspec.plan({"steps": [{"op": "fill", "target": "a/kernel", "value": float("nan"), "indices": [0]}]})
    sweep = mutspec.sweep(plan, two_heads(0), (X, None), seeds=2)
    (result,) = sweep.results
    row = result.rows[0]
    assert (row.by_output["a"].non_finite, row.by_output["a"].numbers) == (210, 210)
    assert (row.by_output["b"].non_finite, row.by_output["b"].numbers) == (0, 560)
    assert (row.non_finite_outputs, row.output_numbers) == (210, 770)
    assert (row.agreement, row.sample_agreement) == (0.5, 0.0)
    assert (row.by_output["a"].agreement, row.by_output["b"].agreement) == (0.0, 1.0)
    assert sum(count for name, count in result.classes.items() if name.startswith("a/")) == 70
    result.write(tmp_path)
    assert read(tmp_path / "result.json") == result
    text = result_text(result)
    assert "50.0% of the choices, the mean over 2 outputs; on 0.0% of all samples" in " ".join(text.split())
    assert "420 of 1,540 numbers" in text
    flipped = max(result.classes[f"a/{label}"] for label in range(3) if f"a/{label}" in result.classes)
    assert f"({2 * flipped} of {2 * flipped})" in text
    assert sweep.rows[0]["agreement.b"] == 1
    assert sweep.rows[0]["non_finite.a"] == 210


def test_outputs_too_large_to_keep_are_compared_by_their_classes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "MOST_KEPT_BYTES", 1000)
    found = fidelity(network("softmax"), network("softmax", seed=1))
    assert (found.divergence, found.deviation) == (None, None)
    assert found.agreement is not None


def test_what_is_not_finite_disagrees_and_does_not_count_otherwise() -> None:
    comparison = Comparison()
    base = np.array([[0.5, 0.5], [0.9, 0.1]])
    comparison.choices("out", 0, np.array([0, 0]), np.array([-1, 0]))
    comparison.outputs("out", base, np.array([[np.nan, 0.5], [0.9, 0.1]]), are_classes=True, from_logits=False)
    assert comparison.result() == Fidelity(0.5, {"0": 1}, 0.0, 0.0, 0.5, {"out": OutputFidelity(0.5, 0.0, 0.0)})
