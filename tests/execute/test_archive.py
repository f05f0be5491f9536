"""Plans on real model files, of every kind and storage, against NumPy and h5py."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mutspec.errors import CallError, CheckError
from mutspec.execute.files import apply, dry_run
from mutspec.execute.output import TEMPORARY_SUFFIX
from mutspec.model.files.archive import Archive
from mutspec.model.files.opening import open_archive
from tests.execute.model_files import CNN, MAKERS, SLOW, WEIGHTS, hdf5_of, make_file, rezip, write_stack
from tests.oracle import expected
from tests.toys import plan_of, same_bits

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

STEPS: list[dict[str, Any]] = [
    {"op": "gaussian_noise", "target": {"weights": "kernels"}, "std": 0.5, "relative_to": "std"},
    {"op": "zero", "target": {"weights": "kernels"}, "fraction": 0.1, "per": "all"},
    {"op": "scale", "target": {"weights": "biases"}, "factor": -1.5, "fraction": 1.0, "allow_empty": True},
]
GROUPS = ("kernels", "kernels", "biases")
HAS_BIASES = {kind for kind in MAKERS if kind != "keras of many chunks"}


def steps_for(kind: str) -> list[dict[str, Any]]:
    return STEPS if kind in HAS_BIASES else STEPS[:2]


def architecture_for(kind: str) -> Path | None:
    return CNN if kind == "weights" else None


def archive_of(path: Path, kind: str) -> Archive:
    return open_archive(path, architecture=architecture_for(kind))


def tensors_of(path: Path, archive: Archive) -> dict[str, np.ndarray]:
    """The tensors of the model by their paths, as h5py reads them, in native byte order."""
    with h5py.File(io.BytesIO(hdf5_of(path))) as file:
        values = {tensor.path: file[archive.extents[tensor.path].dataset][()] for tensor in archive.spec.tensors}
    return {name: np.asarray(each).astype(np.asarray(each).dtype.newbyteorder("=")) for name, each in values.items()}


def everything_else(path: Path, touched: set[str]) -> dict[str, Any]:
    """All other datasets, all attributes, all creation options, and the zip's other members."""
    seen: dict[str, Any] = {}

    def visit(name: str, item: h5py.HLObject) -> None:
        seen[f"{name} attributes"] = {key: np.asarray(value).tolist() for key, value in item.attrs.items()}
        if isinstance(item, h5py.Dataset):
            seen[f"{name} storage"] = (item.dtype.str, item.shape, item.chunks, item.compression, item.shuffle)
            if name not in touched:
                seen[f"{name} values"] = np.asarray(item[()]).tobytes()

    with h5py.File(io.BytesIO(hdf5_of(path))) as file:
        visit("", file)
        file.visititems(visit)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                facts = (info.date_time, info.compress_type, info.external_attr)
                seen[f"zip {info.filename}"] = (*facts, None if info.filename == WEIGHTS else archive.read(info))
    return seen


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("threads", [1, 3])
def test_the_result_is_numpys_and_all_else_is_as_it_was(kind: str, threads: int, tmp_path: Path) -> None:
    base = make_file(kind, tmp_path)
    content = base.read_bytes()
    output = base.with_name(f"mutant{MAKERS[kind][0]}")
    plan, steps = plan_of(*steps_for(kind), seed=3), steps_for(kind)
    report = apply(plan, base, output, threads=threads, architecture=architecture_for(kind))
    archive = archive_of(base, kind)
    before = wanted = tensors_of(base, archive)
    for step, group in zip(steps, GROUPS, strict=False):
        targets = [tensor.path for tensor in archive.spec.tensors if tensor.group == group]
        wanted = expected({**step, "seed": 3}, wanted, targets)
    after = tensors_of(output, archive_of(output, kind))
    changed = {path for path in before if not same_bits(before[path], after[path])}
    assert all(same_bits(after[path], wanted[path]) for path in before)
    assert changed == {tensor.path for tensor in archive.spec.tensors if tensor.group in GROUPS[: len(steps)]}
    touched = {archive.extents[path].dataset for path in changed}
    assert everything_else(output, touched) == everything_else(base, touched)
    assert base.read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([base.name, output.name])
    foreseen = dry_run(plan, base, architecture=architecture_for(kind))
    for step_foreseen, step_done in zip(foreseen.steps, report.steps, strict=True):
        for target_foreseen, target in zip(step_foreseen.targets, step_done.targets, strict=True):
            assert target_foreseen.touched == target.touched
            assert target_foreseen.changed is None
            assert target.changed is not None
            assert target.changed <= target.touched
    if zipfile.is_zipfile(output):
        with zipfile.ZipFile(output) as opened:
            assert opened.testzip() is None


@pytest.mark.parametrize("kind", MAKERS)
def test_a_few_entries_are_numpys_and_all_others_are_as_they_were(kind: str, tmp_path: Path) -> None:
    base = make_file(kind, tmp_path)
    output = base.with_name(f"mutant{MAKERS[kind][0]}")
    steps: list[dict[str, Any]] = [
        {"op": "scale", "target": {"weights": "kernels"}, "factor": -1.5, "count": 7, "per": "all"},
        {"op": "fill", "target": {"weights": "kernels"}, "value": 0.25, "indices": [0, -1]},
    ]
    report = apply(plan_of(*steps, seed=3), base, output, threads=2, architecture=architecture_for(kind))
    archive = archive_of(base, kind)
    before = wanted = tensors_of(base, archive)
    kernels = [tensor.path for tensor in archive.spec.tensors if tensor.group == "kernels"]
    for step in steps:
        wanted = expected({**step, "seed": 3}, wanted, kernels)
    after = tensors_of(output, archive_of(output, kind))
    assert all(same_bits(after[path], wanted[path]) for path in before)
    assert everything_else(output, {archive.extents[path].dataset for path in kernels}) == everything_else(
        base, {archive.extents[path].dataset for path in kernels}
    )
    assert sum(target.changed or 0 for target in report.steps[0].targets) == 7
    if zipfile.is_zipfile(output):
        with zipfile.ZipFile(output) as opened:
            assert opened.testzip() is None


@pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind not in SLOW])
def test_in_a_plain_file_the_touched_bytes_and_the_checksum_alone_differ(kind: str, tmp_path: Path) -> None:
    base = make_file(kind, tmp_path)
    output = base.with_name(f"mutant{MAKERS[kind][0]}")
    apply(plan_of(*steps_for(kind)), base, output, architecture=architecture_for(kind))
    archive = archive_of(base, kind)
    old, new = (np.frombuffer(path.read_bytes(), np.uint8) for path in (base, output))
    assert len(old) == len(new)
    may_differ = np.zeros(len(old), bool)
    for tensor in archive.spec.tensors:
        extent = archive.extents[tensor.path]
        if tensor.group in GROUPS:
            assert extent.offset is not None
            may_differ[extent.offset : extent.offset + extent.bytes] = True
    for offset in archive.member.crc32_offsets if archive.member else ():
        may_differ[offset : offset + 4] = True
    assert not (old != new)[~may_differ].any()
    assert (old != new)[may_differ].mean() > 0.5


@pytest.mark.parametrize("kind", ["keras", "h5", "keras, deflated", "h5, gzipped datasets"])
def test_a_plan_that_changes_nothing_gives_the_same_model(kind: str, tmp_path: Path) -> None:
    base = make_file(kind, tmp_path)
    output = base.with_name(f"mutant{MAKERS[kind][0]}")
    report = apply(plan_of({"op": "scale", "target": {"name": "*"}, "factor": 1.0}), base, output)
    assert {target.changed for target in report.steps[0].targets} == {0}
    assert everything_else(output, set()) == everything_else(base, set())
    assert kind in SLOW or output.read_bytes() == base.read_bytes()


def test_a_second_application_begins_where_the_first_ended(tmp_path: Path) -> None:
    base = make_file("keras", tmp_path)
    once, twice, both = (tmp_path / f"{name}.keras" for name in ("once", "twice", "both"))
    first = {"op": "gaussian_noise", "id": "one", "target": {"weights": "kernels"}, "std": 0.5}
    second = {"op": "scale", "id": "two", "target": {"weights": "kernels"}, "factor": 0.3, "fraction": 0.5}
    apply(plan_of(first), base, once)
    apply(plan_of(second), once, twice)
    apply(plan_of(first, second), base, both)
    assert twice.read_bytes() == both.read_bytes()


@pytest.mark.parametrize("teacher_kind", ["h5", "keras, deflated", "h5, big-endian", "keras, gzipped datasets"])
def test_weights_come_from_a_file_of_any_kind(teacher_kind: str, tmp_path: Path) -> None:
    base, teacher = make_file("keras", tmp_path), make_file(teacher_kind, tmp_path, "teacher")
    output = tmp_path / "mutant.keras"
    plan = plan_of(
        {"op": "transfer_weights", "source": "teacher:conv2d", "target": "conv2d"},
        {"op": "transfer_weights", "id": "half", "source": "teacher:dense/kernel", "target": "dense/kernel"}
        | {"axis": -1, "stop": "50%"},
        inputs={"teacher": {}},
    )
    content = teacher.read_bytes()
    apply(plan, base, output, inputs={"teacher": teacher})
    source = tensors_of(teacher, open_archive(teacher))
    before, after = tensors_of(base, open_archive(base)), tensors_of(output, open_archive(output))
    np.testing.assert_array_equal(after["conv2d/kernel"], source["conv2d/kernel"])
    np.testing.assert_array_equal(after["conv2d/bias"], source["conv2d/bias"])
    np.testing.assert_array_equal(after["dense/kernel"][:, :2], source["dense/kernel"][:, :2])
    np.testing.assert_array_equal(after["dense/kernel"][:, 2:], before["dense/kernel"][:, 2:])
    assert teacher.read_bytes() == content


def test_stored_versions_vanish_with_the_work(tmp_path: Path) -> None:
    base = tmp_path / "base.keras"
    write_stack(base, layers=3, units=300)
    output = tmp_path / "mutant.keras"
    steps = [
        {"op": "scale", "target": "dense_0", "factor": 2.0},
        {"op": "transfer_weights", "id": "a", "source": "dense_0", "target": ["dense_1", "dense_2"]},
        {"op": "gaussian_noise", "target": {"name": "*"}, "std": 1.0, "relative_to": "std"},
        {"op": "transfer_weights", "id": "b", "source": "dense_2", "target": "dense_0", "axis": 0, "start": 50},
    ]
    apply(plan_of(*steps), base, output, threads=2)
    wanted = tensors_of(base, open_archive(base))
    paths = list(wanted)
    wanted = expected(steps[0], wanted, paths[:1])
    wanted = dict.fromkeys(paths, wanted["dense_0/kernel"])
    wanted = expected(steps[2], wanted, paths)
    wanted["dense_0/kernel"] = np.concatenate([wanted["dense_0/kernel"][:50], wanted["dense_2/kernel"][50:]])
    after = tensors_of(output, open_archive(output))
    assert all(same_bits(after[path], wanted[path]) for path in paths)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base.keras", "mutant.keras"]


TOO_LARGE = {"op": "scale", "target": {"weights": "kernels"}, "factor": 1e300}


@pytest.mark.parametrize("kind", ["keras", "h5", "keras, deflated", "h5, gzipped datasets"])
@pytest.mark.parametrize("extra", [{}, {"non_finite": "error"}])
def test_what_becomes_infinite_is_an_error_and_nothing_is_written(
    kind: str, extra: Mapping[str, str], tmp_path: Path
) -> None:
    base = make_file(kind, tmp_path)
    with pytest.raises(CheckError, match=r"step `scale` makes 27 of 27 entries of `conv2d/kernel` infinite or NaN"):
        apply(plan_of({**TOO_LARGE, **extra}), base, base.with_name(f"mutant{base.suffix}"))
    assert [path.name for path in tmp_path.iterdir()] == [base.name]


def test_what_becomes_infinite_may_be_reported_instead(tmp_path: Path) -> None:
    base = make_file("keras", tmp_path)
    for number, plan in enumerate(
        [
            plan_of({**TOO_LARGE, "non_finite": "report"}),
            plan_of(TOO_LARGE, non_finite="report"),
            plan_of({**TOO_LARGE, "non_finite": "report"}, non_finite="error"),
        ]
    ):
        report = apply(plan, base, tmp_path / f"mutant{number}.keras")
        assert len(report.warnings) == 3
        assert all(warning.is_warning for warning in report.warnings)


def test_an_output_of_no_kind_is_refused(tmp_path: Path) -> None:
    plan = plan_of({"op": "zero", "target": {"weights": "kernels"}})
    for kind, name in [("keras", "mutant"), ("h5", "mutant.hdf")]:
        base = make_file(kind, tmp_path)
        with pytest.raises(CallError, match="which kind of model file"):
            apply(plan, base, tmp_path / name)
        base.unlink()
    assert not list(tmp_path.iterdir())


def test_too_little_memory_is_refused_before_any_work(tmp_path: Path) -> None:
    base = make_file("keras", tmp_path)
    plan = plan_of({"op": "zero", "target": {"weights": "kernels"}})
    with pytest.raises(CallError, match="too little"):
        apply(plan, base, tmp_path / "mutant.keras", max_memory=10 << 20)
    assert [path.name for path in tmp_path.iterdir()] == [base.name]
    apply(plan, base, tmp_path / "mutant.keras", max_memory=1 << 30)


def test_a_step_that_needs_a_whole_weight_says_how_much_memory_and_is_held_to_the_limit(tmp_path: Path) -> None:
    base, output = tmp_path / "base.keras", tmp_path / "mutant.keras"
    write_stack(base, layers=1, units=2500)
    plan = plan_of({"op": "prune_weights", "target": {"weights": "kernels"}, "fraction": 0.5})
    (warning,) = dry_run(plan, base).warnings
    assert "`ranked`, about 88 MB are in memory at once" in warning.message  # 6.25 M entries of 4 + 1 + 9 bytes
    with pytest.raises(CallError, match="too little: a step needs all of a weight at once") as caught:
        apply(plan, base, output, max_memory=150 << 20)
    assert not output.exists()
    least = int("".join(each for each in caught.value.problems[0].hint if each.isdigit()))
    apply(plan, base, output, max_memory=least * 10**6)
    assert output.exists()


def test_members_of_a_zip_that_is_rewritten_stay_in_order(tmp_path: Path) -> None:
    base = tmp_path / "base.keras"
    rezip(CNN, base, compression=zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(base, "a") as archive:
        archive.writestr("assets/größe.txt", "words")
    output = tmp_path / "mutant.keras"
    apply(plan_of({"op": "zero", "target": "dense"}), base, output)
    with zipfile.ZipFile(base) as old, zipfile.ZipFile(output) as new:
        assert new.namelist() == old.namelist()
        assert new.read("assets/größe.txt") == b"words"
        assert [info.compress_type for info in new.infolist()] == [info.compress_type for info in old.infolist()]
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(TEMPORARY_SUFFIX)]
