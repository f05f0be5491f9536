"""Gates: what holds, and for which seed it is worst."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mutspec.experiment.gates import Gate, verdicts

BASE = {"accuracy": 0.9, "agreement": 1.0, "loss": 0.1}
MUTANTS = {3: {"accuracy": 0.8, "agreement": 0.9, "loss": 0.4}, 4: {"accuracy": 0.85, "agreement": 0.7, "loss": 0.2}}


@pytest.mark.parametrize(
    ("gate", "value", "seed", "holds"),
    [
        (Gate("accuracy", max_drop=0.11), 0.1, 3, True),
        (Gate("accuracy", max_drop=0.05), 0.1, 3, False),
        (Gate("accuracy", min=0.8), 0.8, 3, True),
        (Gate("agreement", min=0.8), 0.7, 4, False),
        (Gate("agreement", max_drop=0.3), 0.3, 4, True),
        (Gate("loss", max=0.3), 0.4, 3, False),
        (Gate("loss", max=0.5), 0.4, 3, True),
    ],
)
def test_a_gate_is_checked_for_the_worst_seed(gate: Gate, value: float, seed: int, holds: bool) -> None:
    (verdict,) = verdicts([gate], BASE, MUTANTS)
    assert (verdict.value, verdict.seed, verdict.holds) == (pytest.approx(value), seed, holds)


@pytest.mark.parametrize("samples", [10, 50, 364])
def test_a_part_of_the_samples_that_is_exactly_the_limit_holds(samples: int) -> None:
    shares = [float(np.float32(right) / np.float32(samples)) for right in range(samples + 1)]  # as Keras counts
    for right, share in enumerate(shares):
        limit = right / samples
        gate = Gate("accuracy", min=limit, max=limit, max_drop=(samples - right) / samples)
        assert all(each.holds for each in verdicts([gate], {"accuracy": 1.0}, {0: {"accuracy": share}}))
        if right:
            gate = Gate("accuracy", min=limit, max_drop=(samples - right) / samples)
            fewer = {0: {"accuracy": shares[right - 1]}}
            assert not any(each.holds for each in verdicts([gate], {"accuracy": 1.0}, fewer))


@pytest.mark.parametrize("gate", [Gate("loss", max=9.0), Gate("loss", min=0.0), Gate("loss", max_drop=9.0)])
def test_what_is_not_a_number_passes_no_gate(gate: Gate) -> None:
    (verdict,) = verdicts([gate], {"loss": 0.1}, {0: {"loss": 0.2}, 1: {"loss": math.nan}})
    assert (verdict.seed, verdict.holds) == (1, False)


@pytest.mark.parametrize("gate", [Gate("accuracy", min=0.9), Gate("accuracy", max_drop=0.1), Gate("loss", max=2.3)])
def test_a_measure_at_the_limit_holds_though_keras_gives_it_as_a_32_bit_float(gate: Gate) -> None:
    """As such a number 0.9 is less, and 2.3 is more."""
    mutant = {"accuracy": float(np.float32(0.9)), "loss": float(np.float32(2.3))}
    (verdict,) = verdicts([gate], {"accuracy": 1.0, "loss": 0.1}, {0: mutant})
    assert verdict.holds


@pytest.mark.parametrize(
    "gate", [Gate("accuracy", min=0.9), Gate("accuracy", max_drop=0.1), Gate("accuracy", max=0.899998)]
)
def test_one_sample_of_a_million_too_few_or_too_many_is_seen(gate: Gate) -> None:
    (verdict,) = verdicts([gate], {"accuracy": 1.0}, {0: {"accuracy": float(np.float32(0.899999))}})
    assert not verdict.holds


def test_every_bound_of_a_gate_is_a_verdict_and_says_by_how_much_it_is_missed() -> None:
    gate = Gate("accuracy", min=0.9, max=0.7, max_drop=0.02)
    low, high, dropped = verdicts([gate], BASE, {0: {"accuracy": 0.8}})
    assert str(low) == "accuracy is 0.8, and must be at least 0.9: 0.1 too low"
    assert str(high) == "accuracy is 0.8, and must be at most 0.7: 0.1 too high"
    assert str(dropped) == "accuracy fell by 0.1, and may fall by 0.02: 0.08 too far"
