"""The output is whole or absent, and an input is never touched, whatever goes wrong."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mutspec import load_plan
from mutspec.errors import CallError, EnvironmentProblem, ModelError
from mutspec.execute.copying import Copying
from mutspec.execute.files import apply
from mutspec.execute.output import TEMPORARY_SUFFIX, check_output, replacing
from mutspec.model.files.written import not_whole
from tests.execute.model_files import CNN, make_file
from tests.toys import plan_of

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

NOISE = {"op": "gaussian_noise", "target": {"weights": "kernels"}, "std": 0.5, "relative_to": "std"}
PLAN = plan_of(NOISE)
KINDS = ["keras of many chunks", "h5", "keras, deflated", "keras, gzipped datasets", "h5, gzipped datasets"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("link", [os.symlink, os.link, lambda source, target: None])
def test_an_output_that_is_the_input_is_refused(
    link: Callable[[Path, Path], None], force: bool, tmp_path: Path
) -> None:
    base = make_file("keras", tmp_path)
    content = base.read_bytes()
    output = tmp_path / "output.keras"
    link(base, output)
    if not output.exists():
        (tmp_path / "folder").mkdir()
        output = tmp_path / "folder" / ".." / "base.keras"
    with pytest.raises(CallError, match="is the same file as the input"):
        apply(PLAN, base, output, force=force)
    assert base.read_bytes() == content


def test_an_output_that_is_another_input_is_refused(tmp_path: Path) -> None:
    base, teacher = make_file("keras", tmp_path), make_file("keras", tmp_path, "teacher")
    plan = plan_of({"op": "transfer_weights", "source": "teacher:dense", "target": "dense"}, inputs={"teacher": {}})
    with pytest.raises(CallError, match="is the same file as the input"):
        apply(plan, base, teacher, inputs={"teacher": teacher}, force=True)
    weights = make_file("weights", tmp_path)
    architecture = tmp_path / "architecture.weights.h5"
    architecture.symlink_to(CNN)
    with pytest.raises(CallError, match="is the same file as the input"):
        apply(PLAN, weights, architecture, architecture=CNN, force=True)


def test_outputs_that_cannot_be_are_refused_before_any_work(tmp_path: Path) -> None:
    base = make_file("keras", tmp_path)
    existing = make_file("keras", tmp_path, "existing")
    content = existing.read_bytes()
    with pytest.raises(CallError, match=r"existing\.keras exists"):
        apply(PLAN, base, existing)
    with pytest.raises(CallError, match="is a folder"):
        apply(PLAN, base, tmp_path)
    with pytest.raises(CallError, match=r"the folder .*nowhere of the output does not exist"):
        apply(PLAN, base, tmp_path / "nowhere" / "mutant.keras")
    with pytest.raises(CallError, match=r"would be in .*base\.keras, which is a file"):
        apply(PLAN, base, base / "mutant.keras")
    assert existing.read_bytes() == content
    assert names(tmp_path) == ["base.keras", "existing.keras"]
    apply(PLAN, base, existing, force=True)
    assert existing.read_bytes() != content


def test_a_file_that_comes_to_exist_in_the_meantime_is_not_replaced(tmp_path: Path) -> None:
    base, output = make_file("keras", tmp_path), tmp_path / "mutant.keras"

    def come_to_exist(done: int, total: int) -> None:
        output.write_text("precious")

    with pytest.raises(CallError, match="exists"):
        apply(PLAN, base, output, on_progress=come_to_exist)
    assert output.read_text() == "precious"
    assert names(tmp_path) == ["base.keras", "mutant.keras"]


def test_a_link_in_the_outputs_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    base, other = make_file("keras", tmp_path), make_file("keras", tmp_path, "other")
    content = other.read_bytes()
    output = tmp_path / "mutant.keras"
    output.symlink_to(other)
    apply(PLAN, base, output, force=True)
    assert not output.is_symlink()
    assert other.read_bytes() == content


def test_names_may_be_long_and_in_any_script(tmp_path: Path) -> None:
    base = make_file("keras", tmp_path)
    output = tmp_path / f"{'模' * 80}.keras"
    apply(PLAN, base, output)
    assert output.exists()


@pytest.fixture
def umask() -> Iterator[int]:
    before = os.umask(0o002)
    yield 0o002
    os.umask(before)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(
    ("of_input", "of_output"), [(0o644, 0o664), (0o444, 0o664), (0o600, 0o600), (0o400, 0o600), (0o640, 0o660)]
)
def test_who_may_not_read_the_input_may_not_read_a_new_output(of_input: int, of_output: int, tmp_path: Path) -> None:
    base, output = make_file("keras", tmp_path), tmp_path / "mutant.keras"
    base.chmod(of_input)
    apply(PLAN, base, output)
    assert oct(output.stat().st_mode & 0o777) == oct(of_output)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_group_that_may_not_read_the_input_may_not_read_the_output(tmp_path: Path) -> None:
    base, output = make_file("keras", tmp_path), tmp_path / "mutant.keras"
    base.chmod(0o640)
    os.chown(base, -1, 54_321)
    apply(PLAN, base, output)
    assert output.stat().st_mode & 0o777 == 0o600


def test_an_output_is_as_private_as_the_most_private_input(tmp_path: Path) -> None:
    base, teacher = make_file("keras", tmp_path), make_file("keras", tmp_path, "teacher")
    teacher.chmod(0o600)
    plan = plan_of({"op": "transfer_weights", "source": "teacher:dense", "target": "dense"}, inputs={"teacher": {}})
    apply(plan, base, tmp_path / "mutant.keras", inputs={"teacher": teacher})
    assert (tmp_path / "mutant.keras").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("mode", [0o600, 0o444, 0o640, 0o666])
def test_a_replaced_output_keeps_its_permissions_and_its_owner(mode: int, tmp_path: Path) -> None:
    base, output = make_file("keras", tmp_path), make_file("keras", tmp_path, "output")
    base.chmod(0o644)
    if os.geteuid() == 0:
        os.chown(output, 54_321, 54_322)
    output.chmod(mode)
    before = output.stat()
    apply(PLAN, base, output, force=True)
    after = output.stat()
    assert after.st_ino != before.st_ino
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_a_private_output_is_private_while_it_is_written(tmp_path: Path) -> None:
    base, output = make_file("keras", tmp_path), make_file("keras", tmp_path, "output")
    output.chmod(0o600)
    seen = []

    def look(done: int, total: int) -> None:
        seen.extend(path.stat().st_mode & 0o077 for path in tmp_path.glob(f".*{TEMPORARY_SUFFIX}"))

    apply(PLAN, base, output, force=True, on_progress=look)
    assert set(seen) == {0}


def test_a_plan_is_never_overwritten(tmp_path: Path) -> None:
    base, written = make_file("keras", tmp_path), tmp_path / "plan.keras"
    written.write_text("mutspec: 1\nsteps: [{op: gaussian_noise, target: {weights: kernels}, std: 0.5}]\n")
    plan = load_plan(written)
    (tmp_path / "linked.keras").symlink_to(written)
    os.link(written, tmp_path / "same.keras")
    for name in ("plan.keras", "linked.keras", "same.keras"):
        with pytest.raises(CallError, match="is the same file as the input"):
            apply(plan, base, tmp_path / name, force=True)
        with pytest.raises(CallError, match="is the same file as the input"):
            apply(plan.with_(seed=3), base, tmp_path / name, force=True)
    assert written.read_text().startswith("mutspec")


@pytest.mark.parametrize("force", [False, True])
def test_an_output_that_is_not_a_file_is_refused(force: bool, tmp_path: Path) -> None:
    base = make_file("keras", tmp_path)
    os.mkfifo(tmp_path / "pipe.keras")
    (tmp_path / "null.keras").symlink_to("/dev/null")
    for name in ("pipe.keras", "null.keras"):
        with pytest.raises(CallError, match="is a device or a pipe"):
            apply(PLAN, base, tmp_path / name, force=force)


def test_a_link_that_leads_nowhere_is_an_output_that_exists(tmp_path: Path) -> None:
    base, output = make_file("keras", tmp_path), tmp_path / "mutant.keras"
    output.symlink_to(tmp_path / "nowhere")
    with pytest.raises(CallError, match="exists"):
        check_output(output, [base], force=False)
    apply(PLAN, base, output, force=True)
    assert not output.is_symlink()
    assert not (tmp_path / "nowhere").exists()


def test_without_links_in_the_file_system_a_file_is_not_replaced_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: Any) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", unsupported)
    output = tmp_path / "result"
    with replacing(output, force=False) as (descriptor, _):
        os.write(descriptor, b"first")
    with pytest.raises(CallError, match="exists"), replacing(output, force=False) as (descriptor, _):
        os.write(descriptor, b"second")
    assert output.read_bytes() == b"first"
    assert names(tmp_path) == ["result"]


def test_what_fails_its_check_does_not_become_the_output(tmp_path: Path) -> None:
    output = tmp_path / "result"
    output.write_bytes(b"old")

    def refuse(path: Path) -> None:
        assert path.read_bytes() == b"new"
        raise not_whole("a bit flipped")

    with (
        pytest.raises(EnvironmentProblem, match="does not read back as it was written"),
        replacing(output, force=True, check=refuse) as (descriptor, _),
    ):
        os.write(descriptor, b"new")
    assert output.read_bytes() == b"old"
    assert names(tmp_path) == ["result"]


def test_a_copy_is_whole_whatever_the_file_system_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3_000_001))

    def unsupported(*_: Any) -> int:
        raise OSError(errno.EXDEV, "not here")

    real = getattr(os, "copy_file_range", unsupported)
    stingy = lambda source, target, count, *offsets: real(source, target, min(count, 1_000_000), *offsets)  # noqa: E731
    for number, copy_file_range in enumerate([real, stingy, unsupported]):
        monkeypatch.setattr(os, "copy_file_range", copy_file_range, raising=False)
        with (tmp_path / f"copy{number}").open("w+b") as target, Copying(source, target.fileno()) as copying:
            copying.wait()
        assert (tmp_path / f"copy{number}").read_bytes() == source.read_bytes()


def test_who_waits_for_a_part_of_a_copy_finds_it_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mutspec.execute.copying._COPIED_AT_ONCE", 1 << 20)
    source = tmp_path / "source"
    source.write_bytes(os.urandom(20_000_000))
    content = source.read_bytes()
    with (tmp_path / "copy").open("w+b") as target, Copying(source, target.fileno()) as copying:
        for stop in (1, 5_000_000, 12_345_678, 20_000_000, 10**12):
            copying.wait(stop)
            assert (
                os.pread(target.fileno(), min(stop, 1000), max(0, min(stop, 20_000_000) - 1000))
                == content[:stop][-1000:]
            )


def test_who_waits_for_a_copy_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "copy_file_range", full, raising=False)
    (tmp_path / "source").write_bytes(bytes(100))
    with (tmp_path / "copy").open("w+b") as target, Copying(tmp_path / "source", target.fileno()) as copying:
        with pytest.raises(OSError, match="no space"):
            copying.wait(1)
        with pytest.raises(OSError, match="no space"):
            copying.wait()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EOPNOTSUPP])
def test_room_is_taken_before_the_copy_begins(error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is known before anything is copied; a file system that cannot take room is copied to all the same."""

    def refused(*_: Any) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "posix_fallocate", refused, raising=False)
    monkeypatch.setattr("mutspec.execute.copying._is_cloned", lambda source, target: False)
    (tmp_path / "source").write_bytes(b"content")
    with (tmp_path / "copy").open("w+b") as target, Copying(tmp_path / "source", target.fileno()) as copying:
        if error == errno.ENOSPC:
            with pytest.raises(OSError, match="No space"):
                copying.wait()
        else:
            copying.wait()
    assert (tmp_path / "copy").read_bytes() == (b"" if error == errno.ENOSPC else b"content")


@pytest.mark.parametrize("kind", ["keras of many chunks", "h5"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_write_that_fails_leaves_nothing(
    kind: str, error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = make_file(kind, tmp_path)
    content = base.read_bytes()
    output = base.with_name(f"mutant{base.suffix}")
    real = os.pwrite
    for good in (0, 1, 2):
        count = 0

        def failing(*arguments: Any, good: int = good) -> int:
            nonlocal count
            count += 1
            if count > good:
                raise OSError(error, os.strerror(error))
            return real(*arguments)

        monkeypatch.setattr(os, "pwrite", failing)
        with pytest.raises(EnvironmentProblem, match="cannot write"):
            apply(PLAN, base, output, threads=2)
        monkeypatch.setattr(os, "pwrite", real)
        assert names(tmp_path) == [base.name]
        assert base.read_bytes() == content


@pytest.mark.parametrize("kind", KINDS)
def test_an_existing_output_survives_a_failure(kind: str, tmp_path: Path) -> None:
    base, output = make_file(kind, tmp_path), make_file(kind, tmp_path, "output")
    output.write_bytes(b"precious")

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(PLAN, base, output, force=True, on_progress=interrupt)
    assert output.read_bytes() == b"precious"
    assert names(tmp_path) == sorted([base.name, output.name])


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_at_any_point_leaves_nothing(kind: str, tmp_path: Path) -> None:
    base = make_file(kind, tmp_path)
    for position in (1, 2, 4, 7):
        calls = 0

        def interrupt(done: int, total: int, position: int = position) -> None:
            nonlocal calls
            calls += 1
            if calls == position:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            apply(PLAN, base, base.with_name(f"mutant{base.suffix}"), threads=2, on_progress=interrupt)
        assert names(tmp_path) == [base.name]


def test_an_input_that_goes_away_is_an_error_of_the_model(tmp_path: Path) -> None:
    base = make_file("keras of many chunks", tmp_path)

    def truncate(done: int, total: int) -> None:
        os.truncate(base, 100_000)

    with pytest.raises(ModelError, match="was changed while it was read"):
        apply(PLAN, base, tmp_path / "mutant.keras", threads=1, on_progress=truncate)
    assert names(tmp_path) == ["base.keras"]


def test_a_replaced_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    output = tmp_path / "result"
    with replacing(output, force=False) as (descriptor, temporary):
        os.write(descriptor, b"half")
        assert not output.exists()
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert temporary.name.endswith(TEMPORARY_SUFFIX)
        os.write(descriptor, b" whole")
    assert output.read_bytes() == b"half whole"
    check_output(output, [], force=True)
