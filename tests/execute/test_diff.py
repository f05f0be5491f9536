"""What `diff` says of two files, against plain NumPy on the arrays that were written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from math import inf, isnan
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mutspec.compare.arithmetic import BLOCK
from mutspec.compare.diff import diff
from mutspec.model.files.archive import Archive
from mutspec.model.files.arrays import numpy_dtype
from mutspec.model.spec import Call, LayerSpec, TensorRef
from mutspec.show.diff import DiffReport, TensorDiff, TensorStatus

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

ArchiveOf = Callable[..., Archive]
SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "diff.schema.json").read_text())


def only_tensor(report: DiffReport) -> TensorDiff:
    assert len(report.tensors) == 1
    return report.tensors[0]


def assert_measures(tensor: TensorDiff, before: np.ndarray, after: np.ndarray) -> None:
    """Hold a comparison against the definitions, written plainly."""
    one, other = before.ravel().astype(np.longdouble), after.ravel().astype(np.longdouble)
    difference = other - one
    norms = np.linalg.norm(one), np.linalg.norm(other)
    expected = {
        "l2": np.linalg.norm(difference),
        "relative_l2": np.linalg.norm(difference) / norms[0],
        "max_abs": np.abs(difference).max(),
        "mean": difference.mean(),
        "std": difference.std(),
        "cosine": (one * other).sum() / (norms[0] * norms[1]),
    }
    for name, value in expected.items():
        assert getattr(tensor, name) == pytest.approx(float(value), rel=1e-9, abs=1e-12), name


def test_a_file_is_identical_to_itself(archive_of: ArchiveOf) -> None:
    archive = archive_of(
        {"dense/kernel": np.random.default_rng(0).standard_normal((50, 3)), "dense/bias": np.full(3, np.nan)}
    )
    report = diff(archive, archive)
    assert report.identical
    assert report.to_json() == {
        "format_version": 1,
        "identical": True,
        "layers": {"added": [], "removed": [], "changed": []},
        "tensors": [],
    }


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int8", "int32", ">f4", "uint16"])
def test_every_number_is_what_its_definition_says(archive_of: ArchiveOf, dtype: str) -> None:
    random = np.random.default_rng(3)
    before = (random.standard_normal((3, BLOCK // 2 + 5)) * 50 + 100).astype(numpy_dtype(dtype))
    after = before.copy()
    after[:, ::3] += np.ones((), before.dtype)
    after[1, 5] = 7
    report = diff(
        archive_of({"dense/kernel": before, "dense/bias": before[0]}),
        archive_of({"dense/kernel": after, "dense/bias": before[0]}, zipped=True),
    )
    tensor = only_tensor(report)
    assert (tensor.layer, tensor.weight, tensor.status) == ("dense", "kernel", TensorStatus.CHANGED)
    assert (tensor.shape, tensor.elements, tensor.non_finite) == (before.shape, before.size, 0)
    assert tensor.changed == np.count_nonzero(before != after)
    assert_measures(tensor, before, after)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=arrays.arrays(np.float32, st.tuples(st.just(2), st.integers(1, 40)), elements=st.floats(-1e6, 1e6, width=32))
)
def test_any_two_tensors_are_measured_right(archive_of: ArchiveOf, values: np.ndarray) -> None:
    before, after = values
    report = diff(archive_of({"dense/kernel": before}), archive_of({"dense/kernel": after}))
    changed = int(np.count_nonzero(before.view(np.uint32) != after.view(np.uint32)))
    assert report.identical == (changed == 0)
    if changed:
        assert only_tensor(report).changed == changed
        if before.any() and after.any():
            assert_measures(only_tensor(report), before, after)


def test_a_large_mean_does_not_drown_a_small_deviation(archive_of: ArchiveOf) -> None:
    noise = np.random.default_rng(5).standard_normal(3 * BLOCK) * 1e-6
    tensor = only_tensor(diff(archive_of({"a/kernel": np.zeros(3 * BLOCK)}), archive_of({"a/kernel": 1e6 + noise})))
    assert tensor.std == pytest.approx((1e6 + noise).std(), rel=1e-3)
    assert tensor.relative_l2 == inf
    assert tensor.cosine is None


def test_only_bits_count_for_one_dtype(archive_of: ArchiveOf) -> None:
    before = np.array([0.0, 1.0, np.nan, np.inf], np.float32)
    after = np.array([-0.0, 1.0, np.nan, np.inf], np.float32)
    tensor = only_tensor(diff(archive_of({"a/kernel": before}), archive_of({"a/kernel": after})))
    assert (tensor.changed, tensor.l2, tensor.max_abs, tensor.mean, tensor.std) == (1, 0.0, 0.0, 0.0, 0.0)
    assert (tensor.relative_l2, tensor.cosine, tensor.non_finite) == (0.0, 1.0, 2)


def test_only_values_count_between_dtypes_and_the_change_is_reported_even_without_any(archive_of: ArchiveOf) -> None:
    before = np.array([1.0, 2.0, np.nan, 0.1], np.float32)
    report = diff(archive_of({"a/kernel": before}), archive_of({"a/kernel": before.astype(np.float16)}))
    tensor = only_tensor(report)
    assert (tensor.status, tensor.changed, tensor.dtype_before, tensor.dtype) == (
        TensorStatus.CHANGED,
        1,
        "float32",
        "float16",
    )
    same = only_tensor(
        diff(archive_of({"a/kernel": np.arange(4, dtype=np.int32)}), archive_of({"a/kernel": np.arange(4.0)}))
    )
    assert (same.changed, same.l2, same.cosine) == (0, 0.0, 1.0)
    assert same.to_json()["dtype_before"] == "int32"


def test_byte_order_and_storage_are_not_differences(archive_of: ArchiveOf) -> None:
    values = np.random.default_rng(6).standard_normal((70, 30), np.float32)
    plain = archive_of({"a/kernel": values})
    for options in ({"compression": "gzip"}, {"zipped": True, "deflated": True}, {"zipped": True, "chunks": True}):
        assert diff(plain, archive_of({"a/kernel": values}, **options)).identical
    assert diff(plain, archive_of({"a/kernel": values.astype(">f4")})).identical


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_tensors_are_compared_too(archive_of: ArchiveOf, dtype: str) -> None:
    before = np.array([1 + 1j, 2, 3], dtype)
    after = np.array([1 + 1j, 2 + 4j, complex(np.nan, 0)], dtype)
    tensor = only_tensor(diff(archive_of({"a/var0": before[:2]}), archive_of({"a/var0": after[:2]})))
    assert (tensor.changed, tensor.l2, tensor.max_abs, tensor.non_finite) == (1, 4.0, 4.0, 0)
    tensor = only_tensor(diff(archive_of({"a/var0": before}), archive_of({"a/var0": after})))
    assert (tensor.changed, tensor.non_finite) == (2, 1)


def test_non_finite_results_are_counted_and_become_strings_in_json(archive_of: ArchiveOf) -> None:
    before = np.arange(10, dtype=np.float32)
    after = before.copy()
    after[[2, 3]] = np.inf, -np.inf
    report = diff(archive_of({"a/kernel": before}), archive_of({"a/kernel": after}))
    tensor = only_tensor(report)
    assert (tensor.changed, tensor.non_finite, tensor.l2, tensor.max_abs) == (2, 2, inf, inf)
    assert tensor.mean is not None
    assert isnan(tensor.mean)
    document = report.to_json()["tensors"][0]
    assert (document["l2"], document["mean"]) == ("inf", "nan")
    json.dumps(document, allow_nan=False)


def test_tensors_that_came_went_or_took_another_shape_are_listed(archive_of: ArchiveOf) -> None:
    before = archive_of({"a/kernel": np.zeros((2, 3)), "b/kernel": np.zeros(4), "c/bias": np.zeros(2)})
    after = archive_of({"a/kernel": np.zeros((3, 3)), "c/bias": np.zeros(2), "d/kernel": np.array([1.0, np.nan])})
    report = diff(before, after)
    found = [
        (tensor.layer, tensor.status.value, tensor.shape, tensor.elements, tensor.changed, tensor.non_finite)
        for tensor in report.tensors
    ]
    assert found == [
        ("a", "reshaped", (3, 3), 9, None, 0),
        ("b", "removed", (4,), 4, None, None),
        ("d", "added", (2,), 2, None, 1),
    ]
    assert report.tensors[0].to_json()["shape_before"] == [2, 3]
    assert [layer.path for layer in report.structure.added] == ["d"]
    assert [layer.path for layer in report.structure.removed] == ["b"]


def test_a_storage_that_was_split_in_two_is_compared_on_both_paths(archive_of: ArchiveOf) -> None:
    tied = archive_of({"a/kernel": np.arange(3.0)})
    tied = replace(tied, spec=replace(tied.spec, tensors=(replace(tied.spec.tensors[0], aliases=("b/kernel",)),)))
    untied = archive_of({"a/kernel": np.arange(3.0), "b/kernel": np.array([0.0, 1.0, 5.0])})
    for report in (diff(tied, untied), diff(untied, tied)):
        tensor = only_tensor(report)
        assert (tensor.layer, tensor.changed, tensor.max_abs) == ("b", 1, 3.0)
        assert next(change for change in report.structure.changed if change.layer == "a").sharing


def dense(path: str, inputs: str = "", **config: Any) -> LayerSpec:
    calls = (Call((TensorRef(inputs),)),) if inputs else ()
    return LayerSpec(path, path.rpartition("/")[2], "Dense", ("Dense", "Layer"), config, calls)


def structure_of(
    archive_of: ArchiveOf, before: list[LayerSpec], after: list[LayerSpec], class_name: str = "Functional"
) -> DiffReport:
    archive = archive_of({"a/kernel": np.zeros(2)})
    return diff(
        *(
            replace(archive, spec=replace(archive.spec, class_name=class_name, layers=tuple(layers)))
            for layers in (before, after)
        )
    )


def test_a_changed_config_is_told_key_by_key(archive_of: ArchiveOf) -> None:
    before = dense(
        "a", units=3, activation="relu", initializer={"class_name": "Zeros", "config": {"seed": None}}, flag=True
    )
    after = dense("a", units=3, activation="tanh", initializer={"class_name": "Zeros", "config": {"seed": 1}}, flag=1)
    report = structure_of(archive_of, [before], [after])
    assert not report.identical
    (change,) = report.structure.changed
    assert [(item.key, item.before, item.after) for item in change.config] == [
        ("activation", "relu", "tanh"),
        ("initializer.config.seed", None, 1),
        ("flag", True, 1),
    ]
    assert not change.calls


def test_a_changed_class_or_call_is_told(archive_of: ArchiveOf) -> None:
    report = structure_of(
        archive_of, [dense("a"), dense("b", "a")], [replace(dense("a"), class_name="Mine"), dense("b", "input")]
    )
    assert [(change.layer, change.type_before, change.type, change.calls) for change in report.structure.changed] == [
        ("a", "Dense", "Mine", False),
        ("b", "Dense", "Dense", True),
    ]


def test_another_order_matters_in_a_sequential_model_alone(archive_of: ArchiveOf) -> None:
    before, after = [dense("a"), dense("b"), dense("c")], [dense("b"), dense("c"), dense("a")]
    report = structure_of(archive_of, before, after, "Sequential")
    assert [(change.layer, change.moved) for change in report.structure.changed] == [("a", True)]
    assert structure_of(archive_of, before, after).identical
    assert not structure_of(archive_of, before, [dense("b"), dense("c")], "Sequential").structure.changed


def test_other_outputs_are_a_difference(archive_of: ArchiveOf) -> None:
    archive = archive_of({"a/kernel": np.zeros(2)})
    other = replace(archive, spec=replace(archive.spec, outputs=(TensorRef("a"),)))
    report = diff(archive, other)
    assert not report.identical
    assert report.to_json()["ports"] == ["outputs"]


def test_what_a_file_of_weights_does_not_say_is_not_compared(archive_of: ArchiveOf) -> None:
    archive = archive_of({"a/kernel": np.zeros(2)}, layers=(dense("relu"), dense("a", "relu", units=2)))
    bare = replace(archive.spec, layers=(LayerSpec("a", "a", "", ()),), class_name="", is_partial=True)
    assert diff(archive, replace(archive, spec=bare)).identical
    assert diff(replace(archive, spec=bare), archive).identical


def test_the_report_is_the_same_for_any_number_of_threads(archive_of: ArchiveOf) -> None:
    random = np.random.default_rng(7)
    tensors = {
        f"layer_{i}/kernel": random.standard_normal(size, np.float32) for i, size in enumerate([10, 700_001, 65_536, 3])
    }
    before = archive_of(tensors)
    after = archive_of(
        {path: values + random.standard_normal(values.shape, np.float32) for path, values in tensors.items()}
    )
    assert diff(before, after, threads=1) == diff(before, after, threads=2) == diff(before, after, threads=7)


def test_progress_ends_with_all_entries_done(archive_of: ArchiveOf) -> None:
    archive = archive_of({"a/kernel": np.zeros(600_000, np.float32), "b/bias": np.zeros(3)})
    seen: list[tuple[int, int]] = []
    diff(archive, archive, on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (600_003, 600_003)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_memory_stays_bounded_however_large_a_tensor_is(tmp_path: Path) -> None:
    program = f"""
import resource, sys
from pathlib import Path
import numpy as np
from mutspec.compare.diff import diff
from mutspec.model.files.archive import Archive, Extent
from mutspec.keras_facts.roles import Group
from mutspec.model.spec import LayerSpec, ModelSpec, TensorSpec
size = 75_000_000  # 300 MB
path = Path({str(tmp_path / "sparse")!r})
with path.open("wb") as file:
    file.truncate(size * 4)
tensor = TensorSpec("a/kernel", "a", "kernel", Group.KERNELS, (size,), "float32")
spec = ModelSpec("m", "Sequential", (LayerSpec("a", "a", "Dense", ()),), (tensor,))
extent = Extent("a/kernel", (size,), "float32", False, 0, size * 4)
archive = Archive(path, "", spec, {{"a/kernel": extent}}, None)
baseline = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert diff(archive, archive, threads=8).identical
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - baseline)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 100e6


def test_a_report_is_what_the_schema_describes(archive_of: ArchiveOf) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    before = archive_of(
        {
            "a/kernel": np.zeros((2, 3)),
            "b/kernel": np.zeros(4),
            "c/bias": np.ones(2, np.float32),
            "e/kernel": np.ones(3),
        },
        layers=(dense("a", units=2), dense("b"), dense("c"), dense("e")),
    )
    after = archive_of(
        {"a/kernel": np.zeros((3, 3)), "c/bias": np.ones(2), "d/kernel": np.zeros(1), "e/kernel": np.full(3, np.inf)},
        layers=(dense("a", units=3), dense("c", "a"), dense("d"), replace(dense("e"), class_name="Mine")),
    )
    after = replace(after, spec=replace(after.spec, outputs=(TensorRef("d"),)))
    document = json.loads(json.dumps(diff(before, after).to_json(), allow_nan=False))
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.validate(document)
    validator.validate(diff(before, before).to_json())
    assert {tensor["status"] for tensor in document["tensors"]} == {"added", "removed", "changed", "reshaped"}
    for broken in (
        {**document, "identical": "no"},
        {**document, "surprise": 1},
        {**document, "tensors": [{"layer": "a"}]},
    ):
        assert list(validator.iter_errors(broken))
