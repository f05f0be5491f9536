"""Golden digests: what three plans make of the digits model. `test_golden_plans.py` has a plan for every op."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from mutspec.access.read import TensorReader
from mutspec.execute.files import apply
from mutspec.model.files.opening import open_archive
from tests.execute.model_files import DIGITS
from tests.toys import plan_of

# To change a digest of a mutant or of a plan is to break a promise: plans that users have run give other mutants, or
# records of theirs no longer name the plan. If that must be, raise STREAM_VERSION (draws) or the language version
# (meaning), and say so in the release notes. The structure digest names base models in users' records in the same way.
# Another digits model changes the digests of the mutants and the structure, and no promise.

PLANS: dict[str, dict[str, Any]] = {
    "noise": {
        "name": "noise",
        "seed": 7,
        "steps": [
            {"op": "gaussian_noise", "target": {"weights": "kernels"}, "std": 0.5, "relative_to": "std"},
            {"op": "uniform_noise", "target": {"weights": "biases"}, "low": -0.1, "high": 0.1, "fraction": 0.5},
        ],
    },
    "faults": {
        "name": "faults",
        "seed": 11,
        "steps": [
            {"op": "zero", "target": {"weights": "kernels"}, "rate": 0.01, "per": "all"},
            {"op": "fill", "target": {"type": "Dense"}, "value": 0.25, "fraction": "1%", "per": "layer"},
            {"op": "scale", "target": "conv_2/kernel", "factor": 1.1, "count": 100},
        ],
    },
    "graft": {
        "name": "graft",
        "steps": [
            {"op": "scale", "target": {"type": "Conv2D", "pick": {"random": 1}}, "factor": 2.0},
            {"op": "transfer_weights", "source": "bn_1/gamma", "target": "bn_1/beta", "axis": 0, "stop": "50%"},
            {
                "op": "gaussian_noise",
                "target": {"name": "*"},
                "std": [{"target": {"type": "Conv2D"}, "value": 0.01}, {"value": 0.1}],
                "relative_to": "channel_max",
                "fraction": 0.3,
                "at_least": 1,
                "seed": 5,
            },
        ],
    },
}
MUTANTS = {
    "noise": "9dedc76a30e8a7d612f39506e4796ce8",
    "faults": "701609ad6a4c2cad50b77a2141715404",
    "graft": "d75fe521bdc7b3e120624a2ea59e7b3c",
}
DIGESTS = {
    "noise": "10191c334ab96abff70a591a6d6941ce",
    "faults": "546d56c645b58b7f4611d0a1464a3152",
    "graft": "409114be6beddabfcccdbf712601c22e",
}
STRUCTURE = "9fd3be20c034dda5e39699fcc8282c2e"


def digest(path: Path) -> str:
    """The digest of all tensors of a model, in its order, as little-endian bytes."""
    archive = open_archive(path)
    total = blake2b(digest_size=16)
    with TensorReader(archive) as reader:
        for tensor in archive.spec.tensors:
            values = reader.read(tensor.path, 0, tensor.size)
            total.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return total.hexdigest()


def plan(name: str) -> Any:
    document = dict(PLANS[name])
    return plan_of(*document.pop("steps"), **document)


@pytest.mark.parametrize("name", PLANS)
def test_golden_mutants(name: str, tmp_path: Path) -> None:
    output = tmp_path / "mutant.keras"
    apply(plan(name), DIGITS, output)
    assert digest(output) == MUTANTS[name]


@pytest.mark.parametrize("name", PLANS)
def test_golden_plan_digests(name: str) -> None:
    assert plan(name).digest == DIGESTS[name]


def test_golden_structure_digest() -> None:
    assert open_archive(DIGITS).spec.structure_digest == STRUCTURE
