"""Every op on weights gives in memory the bits that it gives in a file, on models of every construct."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.access.read import reader_of
from mutspec.errors import PlanError
from mutspec.model.files.arrays import numpy_dtype
from mutspec.model.files.opening import open_archive
from mutspec.model.live import read_live
from mutspec.ops import catalogue
from tests.effort import share
from tests.ops.op_table import own_keys
from tests.zoo import ZOO
from tests.zoo.play import shared, weights

# Some weights of the zoo are constant or have one entry, and its own layers have weights without a role.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*changed nothing in:mutspec.MutspecWarning"),
    pytest.mark.filterwarnings("ignore:.*have no known role:mutspec.MutspecWarning"),
    pytest.mark.usefixtures("hdf5_in_this_process"),
]

Step = dict[str, Any]

SOME: Step = {"fraction": 0.3}
KERNELS: Step = {"target": {"weights": "kernels"}}
_STEPS: Mapping[str, Step] = {
    "gaussian_noise": {"std": 0.5, "relative_to": "std", "rate": 0.3, "reset_rate": 0.2, "bounds": {"max": 2.0}},
    "uniform_noise": {"low": -0.1, "high": 0.3, "mode": "multiply", "per": "layer", **SOME},
    "laplace_noise": {"scale": 0.1, "relative_to": "max_abs", "rate": 0.3},
    "polynomial_noise": {"low": -1, "high": 1, "rate": 0.3},
    "discretized_noise": {"resolution": 0.1, "std": 0.02, "per": "all", **SOME},
    "programming_noise": {"unit": "row", **SOME},
    "conductance_drift": {"seconds": 86400, "rank": "largest", "count": 1},
    "scale": {"factor": 1.25, "unit": "column", **SOME},
    "shift": {"by": 0.1, "relative_to": "weight", "unit": "block", "block": [2, 3], **SOME},
    "negate": {"count": 1},
    "reciprocal": {"rank": "largest", "count": 1},
    "clip": {"min_quantile": "5%", "max": 1.5, **SOME},
    "reinitialize": {"initializer": "glorot_normal", "rate": 0.2},
    "fill": {"value": 0.75, "indices": [-1]},
    "zero": {"rate": 0.1},
    "round": {"decimals": 2, **SOME},
    "quantize": {"bits": 4, "scheme": "affine", **SOME},
    "dorefa_quantize": {"resolution": 0.05, **SOME},
    "binarize": {"fraction": 0.1},
    "prune_weights": {"fraction": 0.2},
    "low_rank": {"to_rank": 1, **SOME, "target": "{matrix}"},
    "shuffle": SOME,
    "permute_genes": {"kind": "scramble", "per": "tensor"},
    "bit_flip": {"bits": "mantissa", "rate_per_bit": 0.01},
    "stuck_at": {"bits": [0, 3], "value": 1, "format": {"exponent": 6, "mantissa": 9}, **SOME},
    "block_bit_flip": {"bits": "exponent", "exponent": 5, "shared_by": 4, "fraction": 0.1},
    "zero_neurons": {"count": 1, **KERNELS},
    "negate_neurons": {"bias": True, **SOME, "target": "*"},
    "scale_neurons": {"factor": 1.5, "rank": "smallest", "count": 1, **KERNELS},
    "shuffle_neurons": {"count": 1, **KERNELS},
    "swap_neurons": {"bias": True, "fraction": 0.9, "target": "*"},
    "transfer_weights": {"source": "other:{first}", "target": "{first}", "axis": 0, "stop": 1},
    "swap_weights": {"target": "{one}", "other": "{two}"},
    "share_values": {"target": ["{one}", "{two}"], "take": "mean"},
    "blend": {"source": "other:", "t": 0.3, "along": "spherical", **SOME},
    "average": {"sources": ["other:", "other:"], **SOME},
    "add_difference": {"plus": "other:", "minus": "base:", "factor": 0.5, "rate": 0.3},
    "crossover": {"source": "other:", "method": "one_point"},
}
"""Parts of weights, so that in a plan of all ops each leaves something of those before it."""
_OTHERS: Mapping[str, Step] = {
    name: {**own_keys(name), **SOME}
    for name, op in catalogue(plugins=False).items()
    if not (op.is_structural or op.reads_architecture) and name not in _STEPS
}
"""Ops that the table does not have are tried as the examples in their manuals. Which units can be masked depends on the
model: `tests/widths` holds `mask_neurons` to what `remove_neurons` makes."""
STEPS: Mapping[str, Step] = {**_STEPS, **_OTHERS}

OF_STRUCTURE = (
    "uniform_noise",
    "reinitialize",
    "prune_weights",
    "low_rank",
    "shuffle",
    "negate_neurons",
    "swap_neurons",
    "transfer_weights",
    "share_values",
    "blend",
)
"""The ops whose result depends on more than a tensor's values: layers, roles, fans, neurons, other models."""

OF_ALL_OPS = (
    "attentions",
    "bfloat16",
    "depthwise",
    "double",
    "gru",
    "mixed_float16",
    "nested",
    "separable",
    "shared_with_nested",
)
"""Models that get every op: each dtype, weights of each rank, recurrent ones, layers in layers, shared ones."""


def everything(name: str) -> Step:
    """All weights of a model of the zoo that are real numbers."""
    return {"weights": "*", "not": "adapted/count"} if name == "normalization" else {"weights": "*"}


def plan_of(name: str, ops: Any = STEPS) -> Any:
    """A plan of ops for a model of the zoo, without those that it has no weights for."""
    tensors = read_live(shared(name)).spec.tensors
    floats = [each for each in tensors if "float" in each.dtype and each.shape and each.size]
    alike = [[one.path, two.path] for one in floats for two in floats if one.path < two.path and one.shape == two.shape]
    matrices = [each.path for each in floats if len(each.shape) > 1]
    steps = []
    for op in ops:
        if ("{one}" in str(STEPS[op]) and not alike) or ("{matrix}" in str(STEPS[op]) and not matrices):
            continue
        one, two = alike[-1] if alike else ("", "")
        names = {"{first}": floats[0].path, "{one}": one, "{two}": two, "{matrix}": next(iter(matrices), "")}
        common = {"op": op, "target": everything(name), "allow_empty": True, "non_finite": "report"}
        steps.append(_filled({**common, **STEPS[op]}, names))
    inputs: Step = {"other": {}} if "other:" in str(steps) else {}
    return mutspec.plan({"seed": 5, "inputs": inputs, "steps": steps, "name": name})


def _filled(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, names) for each in value]
    for name, path in names.items():
        value = value.replace(name, path) if isinstance(value, str) else value
    return value


def values(readable: Any) -> dict[str, bytes]:
    with reader_of(readable) as reader:
        return {
            tensor.path: reader.read(tensor.path, 0, int(np.prod(tensor.shape)))
            .astype(numpy_dtype(tensor.dtype))
            .tobytes()
            for tensor in readable.spec.tensors
        }


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """A model of the zoo as a file, and another one of its structure."""

    @cache
    def save(name: str) -> tuple[Path, Path]:
        folder = tmp_path_factory.mktemp(name)
        file, other = folder / "base.keras", folder / "other.keras"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shared(name).save(file)
        change = {"op": "zero", "fraction": 0.5, "target": everything(name), "allow_empty": True}
        mutspec.apply(mutspec.plan({"steps": [change]}), file, other)
        return file, other

    return save


@cache
def values_in(file: Path) -> dict[str, bytes]:
    return values(open_archive(file))


def inputs_of(plan: Any, other: Path) -> dict[str, Path]:
    """Files for the inputs that a plan declares."""
    return {"other": other} if "other" in plan.inputs else {}


def same_in_both_stores(name: str, plan: Any, file: Path, other: Path, mutant: Path) -> dict[str, bytes]:
    """The weights of a mutant, which are the same to the bit in memory and in a file."""
    model, inputs = shared(name), inputs_of(plan, other)
    base = weights(model)
    report = mutspec.apply(plan, file, mutant, inputs=inputs)
    wanted, before = values(open_archive(mutant)), values_in(file)
    assert (wanted != before) == any(each.touched for step in report.steps for each in step.targets)
    with mutspec.mutated(plan, model, inputs=inputs):
        found = values(read_live(model))
    assert found.keys() == wanted.keys()
    assert {path for path in wanted if found[path] != wanted[path]} == set()
    assert weights(model) == base
    return wanted


SHARING = {"shared_with_nested", "shared_everywhere"}
"""Keras cannot build these anew: see rebuild.refuse_sharing."""


@pytest.mark.parametrize("name", share([name for name in ZOO if name != "quantized_int8"], of=2))
def test_a_plan_of_many_ops_gives_the_same_bits_in_memory_and_in_a_file(
    name: str, saved: Callable[[str], tuple[Path, Path]], tmp_path: Path
) -> None:
    ops = STEPS if name in OF_ALL_OPS else OF_STRUCTURE
    model, plan, (file, other) = shared(name), plan_of(name, ops), saved(name)
    wanted = same_in_both_stores(name, plan, file, other, tmp_path / "mutant.keras")
    if name not in SHARING:
        base = weights(model)
        new = mutspec.apply(plan, model, inputs=inputs_of(plan, other))
        # By order: the class in `nested_custom` forgets its name in its config, so that Keras makes up another.
        assert list(values(read_live(new)).values()) == list(wanted.values())
        assert weights(model) == base


@pytest.mark.parametrize("op", STEPS)
def test_each_op_alone_gives_the_same_bits_in_memory_and_in_a_file(
    op: str, saved: Callable[[str], tuple[Path, Path]], tmp_path: Path
) -> None:
    same_in_both_stores("gru", plan_of("gru", [op]), *saved("gru"), tmp_path / "mutant.keras")


OF_INTEGERS: Mapping[str, Step] = {
    "fill": {"value": 3, "fraction": "30%"},
    "zero": {"rate": 0.3},
    "shuffle": SOME,
    "permute_genes": {"kind": "inversion", "per": "tensor"},
    "bit_flip": {"bits": [0, 7], "flip": "all", **SOME},
    "stuck_at": {"bits": 6, "value": 1, **SOME},
    "crossover": {"source": "other:", **SOME},
    "transfer_weights": {"source": "other:dense_1", "target": "dense_1"},
}


@pytest.mark.parametrize("op", OF_INTEGERS)
def test_levels_of_a_quantised_model_are_touched_alike_in_files_and_in_memory(
    op: str, saved: Callable[[str], tuple[Path, Path]], tmp_path: Path
) -> None:
    step = {"op": op, "target": {"weights": ["kernels", "embeddings"]}, **OF_INTEGERS[op]}
    plan = mutspec.plan({"inputs": {"other": {}} if "other:" in str(step) else {}, "steps": [step]})
    same_in_both_stores("quantized_int8", plan, *saved("quantized_int8"), tmp_path / "mutant.keras")


@pytest.mark.parametrize("op", [op for op in STEPS if op not in OF_INTEGERS and "{one}" not in str(STEPS[op])])
def test_of_a_quantised_model_ops_on_real_numbers_refuse_levels_and_touch_the_rest(op: str) -> None:
    model, keys = shared("quantized_int8"), {key: each for key, each in STEPS[op].items() if key != "target"}
    inputs: Step = {"other": model}

    def dry_run(**target: Any) -> Any:
        step = {"op": op, "target": target, **keys, "allow_empty": True}
        plan = mutspec.plan({"inputs": {key: {} for key in inputs}, "steps": [step]})
        return mutspec.dry_run(plan, model, inputs=inputs)

    with pytest.raises(PlanError, match=rf"`{op}` is for real numbers, .* \(int8\).*leave quantised layers out"):
        dry_run(weights="kernels")
    if not op.endswith("_neurons") and op != "low_rank":
        touched = dry_run(weights=["biases", "norms"]).steps[0].targets
        assert {each.dtype for each in touched} <= {"float32"}
