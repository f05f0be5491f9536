"""How true mutants are to their base: against Keras's own divergence, SciPy and NumPy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

from mutspec.experiment import evaluate
from mutspec.experiment.data import checked
from mutspec.experiment.evaluate import Judge
from mutspec.experiment.fidelity import Comparison, Fidelity
from mutspec.experiment.job_settings import EvaluateSettings

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(70, 6)).astype(np.float32)


def network(activation: str | None, width: int = 5, seed: int = 0) -> Any:
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(width, activation=activation, name="out")])


def fidelity(base: Any, mutant: Any, **settings: Any) -> Fidelity:
    judge = Judge(EvaluateSettings(batch_size=32, **settings), checked((X, None), "own", "own"))
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
    assert fidelity(base, mutant, agreement=False) == Fidelity(None, {}, None, pytest.approx(np.abs(p - q).mean()))


def test_a_model_is_true_to_itself() -> None:
    model = network("softmax")
    assert fidelity(model, model) == Fidelity(1.0, {}, 0.0, 0.0)


def test_several_outputs_count_together_and_classes_are_told_apart() -> None:
    def built(seed: int) -> Any:
        keras.utils.set_random_seed(seed)
        x = keras.Input((6,))
        heads = [keras.layers.Dense(width, activation="softmax", name=name)(x) for name, width in (("a", 3), ("b", 4))]
        return keras.Model(x, heads)

    base, mutant = built(0), built(1)
    pairs = list(zip(base.predict(X, verbose=0), mutant.predict(X, verbose=0), strict=True))
    found = fidelity(base, mutant)
    changed = [p.argmax(-1) != q.argmax(-1) for p, q in pairs]
    assert found.agreement == pytest.approx(1 - np.mean(changed))
    assert {name.partition("/")[0] for name in found.flips} == {"a", "b"}
    assert sum(found.flips.values()) == np.sum(changed)
    numbers = np.concatenate([np.abs(p.astype(np.float64) - q).ravel() for p, q in pairs])
    assert found.deviation == pytest.approx(numbers.mean(), rel=1e-6)


def test_outputs_too_large_to_keep_are_compared_by_their_classes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "MOST_KEPT_BYTES", 1000)
    found = fidelity(network("softmax"), network("softmax", seed=1))
    assert (found.divergence, found.deviation) == (None, None)
    assert found.agreement is not None


def test_what_is_not_finite_disagrees_and_does_not_count_otherwise() -> None:
    comparison = Comparison()
    base = np.array([[0.5, 0.5], [0.9, 0.1]])
    comparison.choices(np.array([0, 0]), np.array([-1, 0]))
    comparison.outputs(base, np.array([[np.nan, 0.5], [0.9, 0.1]]), are_classes=True, from_logits=False)
    assert comparison.result() == Fidelity(0.5, {"0": 1}, 0.0, 0.0)
