"""The ranks of units that ops choose: random ones can be asked for by name, as a sweep over ranks does."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError
from mutspec.resources import resource_folder

MODEL = resource_folder("conf") / "model" / "digits.keras"


@pytest.fixture
def kept(tmp_path: Path) -> Any:
    """Removes filters of `conv_2`, and returns those that stay."""

    def remove(**keys: Any) -> np.ndarray:
        plan = mutspec.plan({"steps": [{"op": "remove_neurons", "target": "conv_2", "count": 5, **keys}]})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that weights are read to rank by them
            mutspec.apply(plan, MODEL, tmp_path / "mutant.weights.h5", force=True)
        with h5py.File(tmp_path / "mutant.weights.h5") as file:
            return np.asarray(file["layers/conv2d_1/vars/0"])

    return remove


@pytest.mark.parametrize("by", [{}, {"by": "l1"}])
def test_random_units_are_those_of_a_step_without_a_rank_whatever_it_ranks_by(kept: Any, by: dict[str, str]) -> None:
    random = kept(seed=3, rank="random", **by)
    np.testing.assert_array_equal(random, kept(seed=3))
    assert not np.array_equal(random, kept(seed=4, rank="random"))


def test_a_step_that_ranks_by_something_takes_the_smallest(kept: Any) -> None:
    smallest = kept(by="l1")
    np.testing.assert_array_equal(smallest, kept(by="l1", rank="smallest"))
    assert not np.array_equal(smallest, kept(by="l1", rank="largest"))


def test_random_units_need_an_amount_like_others() -> None:
    with pytest.raises(PlanError, match="`rank` and `indices` cannot be used together"):
        mutspec.plan({"steps": [{"op": "remove_neurons", "target": "conv_2", "indices": [1], "rank": "random"}]})
