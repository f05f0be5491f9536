"""Damage of the files that a run reads is an error that names it; so is a file that changes while it is read."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

from mutspec.access.read import TensorReader
from mutspec.compare.diff import diff
from mutspec.errors import EnvironmentProblem, ModelError
from mutspec.execute.files import apply, prepare_files
from mutspec.execute.verify import tensors_read
from mutspec.model.files.opening import open_archive
from tests.execute.model_files import MAKERS, SLOW, WEIGHTS, make_file
from tests.toys import plan_of

PLAIN = [kind for kind in MAKERS if kind.startswith("keras") and kind not in SLOW]
CHUNKED = "keras, gzipped datasets"
NOISE = {"op": "gaussian_noise", "target": {"weights": "kernels"}, "std": 0.1}
GRAFT = {"op": "transfer_weights", "id": "graft", "source": "teacher:conv2d", "target": "conv2d"}
INPUTS = {"inputs": {"teacher": {}}}


def overwrite(path: Path, tensor: str, change: Callable[[bytes], bytes] = lambda old: bytes([old[0] ^ 1])) -> None:
    """Change bytes of a tensor in a file, and no checksum."""
    archive = open_archive(path)
    offset = archive.extents[tensor].offset
    if offset is None:  # within a member whose datasets are compressed
        assert archive.member is not None
        offset = archive.member.offset + archive.member.bytes // 3
    content = bytearray(path.read_bytes())
    new = change(bytes(content[offset : offset + 4]))
    content[offset : offset + len(new)] = new
    path.write_bytes(content)


def first_and_last(path: Path) -> tuple[str, str]:
    kernels = [tensor.path for tensor in open_archive(path).spec.tensors if tensor.role == "kernel"]
    return kernels[0], kernels[-1]


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(ModelError) as caught:
        call()
    (problem,) = caught.value.problems
    assert problem.hint
    return problem.message


@pytest.mark.parametrize("kind", [*PLAIN, CHUNKED])
@pytest.mark.parametrize("where", ["touched", "untouched"])
def test_a_damaged_model_is_an_error_that_names_member_tensor_and_step(kind: str, where: str, tmp_path: Path) -> None:
    base, output = make_file(kind, tmp_path), tmp_path / "mutant.keras"
    first, last = first_and_last(base)
    overwrite(base, first if where == "touched" else last)
    message = refusal(lambda: apply(plan_of({**NOISE, "target": first}), base, output))
    assert message == (
        f"{base} is damaged: {WEIGHTS} in it does not have the checksum that the file states;"
        f" `{first}`, which step `gaussian_noise` reads, may be wrong"
    )
    assert [path.name for path in tmp_path.iterdir()] == [base.name]


@pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind.startswith("keras")])
@pytest.mark.parametrize("where", ["touched", "untouched"])
def test_a_flipped_bit_of_the_input_is_never_covered_up(kind: str, where: str, tmp_path: Path) -> None:
    base = make_file(kind, tmp_path)
    archive = open_archive(base)
    assert archive.member is not None
    first, last = archive.spec.tensors[0], archive.spec.tensors[-1]
    extent = archive.extents[(first if where == "untouched" else last).path]
    content = bytearray(base.read_bytes())
    offset = extent.offset if extent.offset is not None else archive.member.offset + archive.member.bytes // 3
    if archive.member.is_compressed:
        with zipfile.ZipFile(base) as opened:
            offset = archive.member.offset + opened.getinfo(WEIGHTS).compress_size // 2
    content[offset] ^= 0x10
    base.write_bytes(content)
    output = tmp_path / "mutant.keras"
    plan = plan_of({"op": "fill", "target": {"name": last.layer}, "value": 0.5})
    with pytest.raises(ModelError, match=r"is damaged|cannot be read"):
        apply(plan, base, output)
    assert [path.name for path in tmp_path.iterdir()] == [base.name]


@pytest.mark.parametrize("kind", PLAIN)
def test_without_the_check_damage_stays_detectable_in_the_output(kind: str, tmp_path: Path) -> None:
    base, output = make_file(kind, tmp_path), tmp_path / "mutant.keras"
    overwrite(base, first_and_last(base)[0])
    apply(plan_of(NOISE), base, output, verify=False)
    with zipfile.ZipFile(output) as opened:
        assert opened.testzip() == WEIGHTS


def test_without_the_check_damage_is_not_covered_up_by_writing_the_zip_again(tmp_path: Path) -> None:
    base, output = make_file(CHUNKED, tmp_path), tmp_path / "mutant.keras"
    overwrite(base, first_and_last(base)[0])
    assert "checksum" in refusal(lambda: apply(plan_of(NOISE), base, output, verify=False))


@pytest.mark.parametrize("teacher_kind", ["keras", "keras, big-endian", CHUNKED, "keras with data descriptors"])
def test_a_damaged_input_is_an_error_that_names_what_is_read_of_it(teacher_kind: str, tmp_path: Path) -> None:
    base, output = make_file("keras", tmp_path), tmp_path / "mutant.keras"
    teacher = make_file(teacher_kind, tmp_path, "teacher")
    overwrite(teacher, "dense/kernel")
    call = lambda: apply(plan_of(GRAFT, NOISE, **INPUTS), base, output, inputs={"teacher": teacher})  # noqa: E731
    message = refusal(call)
    assert str(teacher) in message
    assert "`conv2d/kernel` and `conv2d/bias`, which step `graft` reads, may be wrong" in message
    assert not output.exists()


def test_many_tensors_are_counted_and_all_steps_are_named(tmp_path: Path) -> None:
    base = make_file("keras", tmp_path)
    overwrite(base, first_and_last(base)[0])
    every = {"op": "scale", "target": {"weights": "*"}, "factor": 2.0}
    message = refusal(lambda: apply(plan_of(NOISE, every), base, tmp_path / "mutant.keras"))
    assert message.endswith(" more, which steps `gaussian_noise` and `scale` read, may be wrong")


def test_a_step_reads_what_its_own_results_are_made_of(tmp_path: Path) -> None:
    base = make_file("keras", tmp_path)
    plan = plan_of(
        {"op": "scale", "id": "one", "target": "conv2d/kernel", "factor": 2.0},
        {"op": "scale", "id": "two", "target": "conv2d", "factor": 2.0},
        GRAFT,
        **INPUTS,
    )
    program = prepare_files(plan, base, inputs={"teacher": base}).program
    assert dict(tensors_read(program, "")) == {
        "conv2d/kernel": ["one"],
        "conv2d/bias": ["two"],
    }
    assert dict(tensors_read(program, "teacher")) == {"conv2d/kernel": ["graft"], "conv2d/bias": ["graft"]}


def test_a_file_is_not_checked_if_no_tensor_of_it_is_read(tmp_path: Path) -> None:
    base, teacher, output = (
        make_file("keras", tmp_path),
        make_file("keras", tmp_path, "teacher"),
        tmp_path / "out.keras",
    )
    overwrite(teacher, "dense/kernel")
    apply(plan_of(NOISE, **INPUTS), base, output, inputs={"teacher": teacher})
    overwrite(base, "dense/kernel")
    nothing = {**NOISE, "target": {"name": "nothing*"}, "allow_empty": True}
    apply(plan_of(nothing), base, output, force=True)
    assert output.read_bytes() == base.read_bytes()


@pytest.mark.parametrize("damaged", ["base", "teacher"])
def test_infinities_that_damage_makes_are_called_damage(damaged: str, tmp_path: Path) -> None:
    base, teacher = make_file("keras", tmp_path), make_file("keras", tmp_path, "teacher")
    overwrite(tmp_path / f"{damaged}.keras", "conv2d/kernel", lambda _: np.float32(3e38).tobytes())
    large = {"op": "scale", "target": "conv2d", "factor": 100.0}
    plan = plan_of(*([GRAFT] if damaged == "teacher" else []), large, **INPUTS)
    output = tmp_path / "mutant.keras"
    assert "is damaged" in refusal(lambda: apply(plan, base, output, inputs={"teacher": teacher}))
    assert not output.exists()


def written_by(folder: Path) -> Path:
    (path,) = folder.glob(".*.mutspec-tmp")
    return path


def test_an_output_that_does_not_hold_what_was_written_is_the_machines_fault(tmp_path: Path) -> None:
    base, output = make_file("keras", tmp_path), tmp_path / "mutant.keras"
    archive = open_archive(base)
    offset = archive.extents["dense/bias"].offset
    assert offset is not None

    def spoil(done: int, total: int) -> None:
        if done == total:
            with written_by(tmp_path).open("r+b") as file:
                file.seek(offset)
                file.write(b"\xff\xfe\xfd")

    with pytest.raises(EnvironmentProblem, match="does not hold what was written"):
        apply(plan_of(NOISE), base, output, on_progress=spoil)
    assert [path.name for path in tmp_path.iterdir()] == [base.name]


def touch(path: Path) -> None:
    """The bytes that are there, written again."""
    content = path.read_bytes()
    facts = path.stat()
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))  # a file system's clock may tick once in 4 ms


def replace(path: Path) -> None:
    other = path.with_suffix(".new")
    shutil.copy2(path, other)
    other.replace(path)


CHANGES: Mapping[str, Callable[[Path], None]] = {
    "written to": touch,
    "made longer": lambda path: os.truncate(path, path.stat().st_size + 1),
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "replaced": replace,
    "removed": Path.unlink,
}


@pytest.mark.usefixtures("hdf5_in_this_process")
@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["keras", "h5", "keras, deflated"])
@pytest.mark.parametrize("which", ["base", "teacher"])
def test_a_file_that_changes_while_it_is_read_is_an_error(
    which: str, kind: str, change: str, verify: bool, tmp_path: Path
) -> None:
    base, teacher = make_file(kind, tmp_path), make_file(kind, tmp_path, "teacher")
    output = tmp_path / f"mutant{base.suffix}"
    changed = base if which == "base" else teacher
    pending = [changed]

    def interfere(done: int, total: int) -> None:
        if pending:
            CHANGES[change](pending.pop())

    plan = plan_of(GRAFT, NOISE, **INPUTS)
    call = lambda: apply(plan, base, output, inputs={"teacher": teacher}, verify=verify, on_progress=interfere)  # noqa: E731
    verb = "removed" if change == "removed" else "changed"
    assert refusal(call) == f"{changed} was {verb} while it was read"
    assert not output.exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("change", sorted(set(CHANGES) - {"removed"}))
def test_a_file_that_changed_since_its_tensors_were_found_is_not_read(change: str, tmp_path: Path) -> None:
    path = make_file("keras", tmp_path)
    archive = open_archive(path)
    CHANGES[change](path)
    with pytest.raises(ModelError, match="was changed while it was read"):
        TensorReader(archive)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("which", ["before", "after"])
def test_a_file_that_changes_while_it_is_compared_is_an_error(which: str, change: str, tmp_path: Path) -> None:
    models = {name: make_file("keras", tmp_path, name) for name in ("before", "after")}
    archives = [open_archive(path) for path in models.values()]
    pending = [models[which]]

    def interfere(done: int, total: int) -> None:
        if pending:
            CHANGES[change](pending.pop())

    assert str(models[which]) in refusal(lambda: diff(*archives, on_progress=interfere))


def test_whoever_writes_to_a_file_all_the_time_is_noticed(tmp_path: Path) -> None:
    base, output, is_over = make_file("keras of many chunks", tmp_path), tmp_path / "mutant.keras", Event()
    has_begun = Event()

    def write() -> None:
        with base.open("r+b", buffering=0) as file:
            while not is_over.is_set():
                os.pwrite(file.fileno(), os.pread(file.fileno(), 4, 0), 0)
                os.utime(base)
                has_begun.set()

    writer = Thread(target=write)
    writer.start()
    try:
        has_begun.wait()
        assert "was changed while it was read" in refusal(lambda: apply(plan_of(NOISE), base, output))
    finally:
        is_over.set()
        writer.join()
    assert not output.exists()


def test_a_link_to_a_file_does_not_change_it(tmp_path: Path) -> None:
    base, output = make_file("keras", tmp_path), tmp_path / "mutant.keras"
    names = iter(range(10**6))
    apply(plan_of(NOISE), base, output, on_progress=lambda *_: os.link(base, tmp_path / f"link{next(names)}"))
    assert output.exists()


@pytest.mark.parametrize("kind", ["keras with data descriptors", "keras, deflated"])
def test_whatever_bytes_change_the_answer_is_an_error_or_an_output_that_is_whole(kind: str, tmp_path: Path) -> None:
    base, output = make_file(kind, tmp_path), tmp_path / "mutant.keras"
    whole, random = base.read_bytes(), np.random.default_rng(3)
    refused = 0
    for _ in range(25):
        changed = bytearray(whole)
        changed[random.integers(len(whole))] = random.integers(256)
        base.write_bytes(changed)
        try:
            apply(plan_of(NOISE), base, output, force=True)
        except ModelError:
            refused += 1
        else:
            with zipfile.ZipFile(output) as opened:
                assert opened.testzip() is None
    assert refused > 20
