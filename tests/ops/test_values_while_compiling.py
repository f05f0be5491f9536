"""What ops learn of the values of weights while a plan is compiled."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import mutspec
from mutspec import OpError, PlanError
from mutspec.execute import live
from mutspec.execute.files import apply, dry_run, prepare_files
from mutspec.graph.schedule import schedule
from mutspec.language import plan_from
from mutspec.lowering.compile import compile_plan
from mutspec.model.files.opening import open_archive
from mutspec.ops import catalogue
from mutspec.plugin import Expression, LoweringContext, Op, StridedSlices, Target, TensorWrite, Window, constant
from mutspec.show.graph import to_json
from tests.without_keras import BLOCKER

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "conf" / "model" / "digits.keras"
TARGETS = ["dense_1/kernel", "logits/kernel"]
SEEN: list[list[tuple[float, ...]]] = []


class ZeroWeakest(Op, tag="zero_weakest", frozen=True, kw_only=True):
    """Makes the output channel with the smallest norm over all targets zero; keeps what it learnt in `SEEN`."""

    target: Target
    source: str = ""
    whole: bool = False

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        """Zeroes one channel."""
        tensors = context.select(self.target, "target").tensors
        found = [context.models[self.source].tensor_by_path[each.path] for each in tensors]
        weights = [context.read(each, self.source).cast("float64") for each in found]
        asked = weights if self.whole else [_squares(each) for each in weights]
        norms = context.values(asked)
        SEEN.append(norms)
        context.notes.append("reads the weights of " + ", ".join(f"`{each.path}`" for each in tensors))
        _, weakest, channel = min((value, each, at) for each, row in enumerate(norms) for at, value in enumerate(row))
        tensor = tensors[weakest]
        zeros = constant(context.builder, 0.0).cast(tensor.dtype).spread(tensor.shape)
        return [context.bind(tensor, zeros, Window(len(tensor.shape) - 1, channel, channel + 1))]


def _squares(weight: Expression) -> Expression:
    return (weight * weight).sum_of_slices(StridedSlices(weight.shape[-1], 1))


def plan(*steps: dict[str, Any], **document: Any) -> Any:
    return plan_from({"steps": list(steps), **document}, {**catalogue(), "zero_weakest": ZeroWeakest})


WEAKEST = {"op": "zero_weakest", "target": TARGETS}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return keras.models.load_model(DIGITS)


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    SEEN.clear()


def kernels(model: keras.Model) -> list[np.ndarray]:
    return [model.get_layer(path.split("/")[0]).get_weights()[0] for path in TARGETS]


def norms(*arrays: np.ndarray) -> list[np.ndarray]:
    return [np.sum(each.astype(np.float64).reshape(-1, each.shape[-1]) ** 2, axis=0) for each in arrays]


def test_the_values_are_those_of_the_file_in_a_dry_run_too(model: keras.Model) -> None:
    report = dry_run(plan(WEAKEST), DIGITS)
    (seen,) = SEEN
    assert all(np.allclose(a, b, rtol=1e-12) for a, b in zip(seen, norms(*kernels(model)), strict=True))
    assert any("reads the weights of `dense_1/kernel`" in each.message for each in report.warnings)


def test_file_and_live_model_give_the_same_bits(model: keras.Model) -> None:
    dry_run(plan(WEAKEST), DIGITS)
    live.dry_run(plan(WEAKEST), model)
    assert SEEN[0] == SEEN[1]


def test_a_step_sees_the_values_that_the_steps_before_it_made(model: keras.Model) -> None:
    scale = {"op": "scale", "target": "dense_1/kernel", "factor": 2.0}
    transfer = {"op": "shuffle", "target": "logits/kernel", "count": 50}
    noise = {"op": "gaussian_noise", "target": TARGETS, "std": 0.1, "relative_to": "std", "fraction": 0.5}
    before = plan(scale, transfer, noise)
    dry_run(plan(scale, transfer, noise, WEAKEST), DIGITS)
    expected = norms(*kernels(mutspec.apply(before, model)))
    assert all(np.allclose(a, b, rtol=1e-12) for a, b in zip(SEEN[0], expected, strict=True))


def test_a_mutant_has_the_weakest_channel_zeroed(model: keras.Model, tmp_path: Path) -> None:
    apply(plan(WEAKEST), DIGITS, tmp_path / "out.keras")
    made, before = kernels(keras.models.load_model(tmp_path / "out.keras")), kernels(model)
    totals = [each for some in norms(*before) for each in some]
    zeroed = [not each.any() for array in made for each in array.reshape(-1, array.shape[-1]).T]
    assert [each for each, is_zero in enumerate(zeroed) if is_zero] == [int(np.argmin(totals))]


def test_a_block_of_mutated_asks_the_model_as_it_is_then(model: keras.Model) -> None:
    first = kernels(model)
    with mutspec.mutated(plan(WEAKEST), model):
        with mutspec.mutated(plan(WEAKEST), model):
            zeros = [int((~each.any(axis=tuple(range(each.ndim - 1)))).sum()) for each in kernels(model)]
        assert SEEN[1] != SEEN[0]
    assert sum(zeros) == 1  # the one that is zero already is the weakest
    assert all(np.array_equal(a, b) for a, b in zip(first, kernels(model), strict=True))


def test_weights_of_an_input_are_read_and_no_others(model: keras.Model, tmp_path: Path) -> None:
    other = keras.models.clone_model(model)
    step, inputs = {**WEAKEST, "source": "other"}, {"inputs": {"other": {}}}
    live.dry_run(plan(step, **inputs), model, inputs={"other": other})
    assert all(np.allclose(a, b, rtol=1e-12) for a, b in zip(SEEN[0], norms(*kernels(other)), strict=True))


def test_the_weights_before_the_plan_can_be_asked_for(model: keras.Model) -> None:
    scale = {"op": "scale", "target": "dense_1/kernel", "factor": 2.0}
    dry_run(plan(scale, {**WEAKEST, "source": "base"}), DIGITS)
    assert np.allclose(SEEN[0][0], norms(kernels(model)[0])[0], rtol=1e-12)


def test_what_is_only_asked_is_neither_computed_again_nor_drawn() -> None:
    program = prepare_files(plan(WEAKEST), DIGITS, inputs={}).program
    assert [one.kind.value for one in schedule(program.graph)] == ["emit"]
    drawn = {node["primitive"] for node in to_json(program.graph, ["zero_weakest"])["nodes"]}
    assert drawn == {"base", "constant", "cast", "spread", "choose"}


def test_damage_of_an_input_that_is_only_asked_is_found(tmp_path: Path) -> None:
    damaged = bytearray(DIGITS.read_bytes())
    extent = open_archive(DIGITS).extents["dense_1/kernel"]
    assert extent.offset is not None
    damaged[extent.offset] ^= 1
    other = tmp_path / "other.keras"
    other.write_bytes(damaged)
    step, inputs = {**WEAKEST, "source": "other"}, {"inputs": {"other": {}}}
    with pytest.raises(mutspec.ModelError, match="which step `zero_weakest` reads, may be wrong"):
        apply(plan(step, **inputs), DIGITS, tmp_path / "out.keras", inputs={"other": other})


def test_a_file_that_changed_meanwhile_is_an_error_of_the_step(tmp_path: Path) -> None:
    copy = tmp_path / "copy.keras"
    shutil.copy(DIGITS, copy)
    archive = open_archive(copy)
    copy.write_bytes(DIGITS.read_bytes()[:-1])
    from mutspec.execute.prepare import prepare

    with pytest.raises(PlanError) as caught:
        prepare(plan(WEAKEST), archive, {})
    (problem,) = caught.value.problems
    assert problem.path == ("steps", 0, "op")
    assert str(copy) in problem.message


def test_without_weights_the_step_is_refused() -> None:
    archive = open_archive(DIGITS)
    with pytest.raises(PlanError, match="`zero_weakest` depends on the values of weights"):
        compile_plan(plan(WEAKEST), archive.spec, {}, config=archive.config)


def test_an_op_that_asks_for_a_whole_weight_has_a_bug() -> None:
    wide = keras.Sequential([keras.Input((1024,)), keras.layers.Dense(512, name="wide")])
    with pytest.raises(OpError, match="asks for 524,288 numbers while it is compiled"):
        live.dry_run(plan({**WEAKEST, "target": "wide/kernel", "whole": True}), wide)


def test_no_tensorflow_is_needed(tmp_path: Path) -> None:
    script = f"""{BLOCKER}
from pathlib import Path
from mutspec.execute.compile_time_values import ModelValues
from mutspec.graph.expression import Expression
from mutspec.graph.graph import GraphBuilder
from mutspec.model.files.opening import open_archive
archive = open_archive(Path({str(DIGITS)!r}))
builder = GraphBuilder()
tensor = archive.spec.tensor_by_path["logits/kernel"]
weight = Expression(builder, builder.base("", tensor.path, tensor.shape, tensor.dtype))
(values,) = ModelValues({{"": archive}})(builder.part([weight.max().node]))
print(values[0])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    (largest,) = (float(line) for line in done.stdout.split())
    dry_run(plan(WEAKEST), DIGITS)
    assert 0 < largest < max(SEEN[0][1]) ** 0.5


def test_a_first_value_that_only_keras_knows_cannot_be_asked_for(model: keras.Model) -> None:
    layer = {"type": "Dense", "units": 10, "name": "logits", "kernel_initializer": "values>Halves"}
    replaced = {"op": "replace_layer", "target": "logits", "layer": layer, "keep_weights": False}
    with pytest.raises(PlanError, match="the first value of `logits/kernel` is made by Keras"):
        live.dry_run(plan(replaced, WEAKEST), model)


@keras.saving.register_keras_serializable("values")
class Halves(keras.initializers.Initializer):
    """An initializer that only Keras knows."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return keras.ops.full(shape, 0.5, dtype=dtype)


@pytest.mark.parametrize("shape", [(30, 7), (5, 40), (6, 6)])
def test_energies_are_the_squares_of_singular_values(shape: tuple[int, int]) -> None:
    class Energies(ZeroWeakest, tag="energies", frozen=True, kw_only=True):
        """Asks for the energies of a matrix, and of its two halves."""

        def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
            """Changes nothing."""
            (tensor,) = context.select(self.target, "target").tensors
            weight = context.read(tensor)
            rows = tensor.shape[0]
            parts = 2 if rows % 2 == 0 else 1
            SEEN.append(context.values([weight.energies(rows), weight.energies(rows // parts, parts)]))
            return ()

    wide = keras.Sequential([keras.Input(shape[:1]), keras.layers.Dense(shape[1], name="d")])
    steps = {"steps": [{"op": "energies", "target": "d/kernel", "allow_empty": True}]}
    live.dry_run(plan_from(steps, {"energies": Energies}), wide)
    kernel = wide.get_weights()[0].astype(np.float64)
    whole, halves = SEEN[0]
    assert np.allclose(whole, np.linalg.svd(kernel, compute_uv=False) ** 2, rtol=1e-9, atol=1e-12)
    parts = np.split(kernel, 2 if shape[0] % 2 == 0 else 1)
    expected = [np.linalg.svd(part, compute_uv=False) ** 2 for part in parts]
    assert np.allclose(halves, np.concatenate(expected), rtol=1e-9, atol=1e-12)
