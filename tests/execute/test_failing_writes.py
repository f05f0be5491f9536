"""Whichever write fails: an error of the environment, the old file intact, nothing left."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mutspec.errors import EnvironmentProblem
from mutspec.execute.files import apply
from tests.execute.model_files import make_file
from tests.execute.test_output import KINDS, PLAN, names
from tests.execute.test_processes import script

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

CALLS = ("open", "dup", "pwrite", "ftruncate", "fsync", "posix_fallocate", "copy_file_range", "link", "replace")
"""The calls of the operating system by which an output is made."""
MAY_FAIL = {"open", "fsync", "posix_fallocate", "copy_file_range", "link"}
"""The calls for which there is another way, in some places: `fsync` of a folder, `open` of a file without a name."""


@contextmanager
def failing(name: str, number: int) -> Iterator[Counter[str]]:
    """A block in which the call of that name and number fails, once; it counts all calls."""
    made: Counter[str] = Counter()

    def counted(each: str, real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if each != "open" or arguments[1] & os.O_CREAT:
                made[each] += 1
                if (each, made[each]) == (name, number):
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for each in CALLS:
            if hasattr(os, each):
                patch.setattr(os, each, counted(each, getattr(os, each)))
        yield made


def some(count: int) -> list[int]:
    """The first numbers up to a count, the last ones, and some in between: HDF5 makes over a hundred calls."""
    return sorted({*range(1, min(count, 8) + 1), *range(8, count, 12), *range(max(1, count - 3), count + 1)})


def assert_nothing_is_left(write: Callable[[], Any], output: Path, calls: set[str], *, force: bool = True) -> None:
    """Whichever single call of the operating system fails, the old file is intact and no new file is left.

    The calls after it succeed, so that nobody is saved by a second failure.

    Arguments:
        write: writes the file.
        output: the file.
        calls: calls that are made.
        force: whether there is an old file.
    """
    others = [name for name in names(output.parent) if name != output.name]
    files = sorted([*others, output.name]) if force else others

    def tried(call: str, number: int) -> tuple[Counter[str], str]:
        output.write_bytes(b"old")
        if not force:
            output.unlink()
        with failing(call, number) as made:
            try:
                write()
            except EnvironmentProblem as error:
                return made, str(error)
        return made, ""

    made, _ = tried("none", 0)
    assert calls <= made.keys()
    for call, number in [(call, number) for call, count in made.items() for number in some(count)]:
        _, message = tried(call, number)
        if message:
            assert message.startswith(f"cannot write {output}: ")
            assert names(output.parent) == files, (call, number)
            assert not force or output.read_bytes() == b"old", (call, number)
        else:
            assert call in MAY_FAIL


@pytest.mark.parametrize(("kind", "force"), [(KINDS[0], False), *((kind, True) for kind in KINDS)])
def test_a_call_that_fails_leaves_the_old_file_and_nothing_else(kind: str, force: bool, tmp_path: Path) -> None:
    base, output = make_file(kind, tmp_path), make_file(kind, tmp_path, "output")
    content = base.read_bytes()
    calls = {"open", "dup", "pwrite", "fsync", "replace" if force else "link"}
    assert_nothing_is_left(lambda: apply(PLAN, base, output, force=force, threads=1), output, calls, force=force)
    assert base.read_bytes() == content


def outcomes_by_size(plan: Any, base: Path, tenths: Iterable[int]) -> list[str]:
    """Whether a mutant is written or refused if no file may be larger than some tenths of the base.

    The limit is that of the process, so that a script has to call this.
    """
    from resource import RLIMIT_FSIZE, setrlimit

    output, size, seen = base.with_name("mutant" + base.suffix), base.stat().st_size, []
    for each in tenths:
        output.write_bytes(b"old")
        setrlimit(RLIMIT_FSIZE, (size * each // 10, 1 << 40))
        try:
            apply(plan, base, output, force=True, threads=2)
        except EnvironmentProblem as error:
            assert "cannot " in str(error), error  # noqa: PT017 - it may be written, too
            assert output.read_bytes() == b"old"
            seen.append("refused")
        else:
            assert output.stat().st_size * 10 <= size * each
            seen.append("written")
        setrlimit(RLIMIT_FSIZE, (1 << 40, 1 << 40))
        output.unlink()
        assert os.listdir(base.parent) == [base.name]
    return seen


LIMITED = """
import json, sys
from pathlib import Path
from tests.execute.test_failing_writes import outcomes_by_size
from tests.execute.test_output import PLAN

for base in map(Path, sys.argv[1:]):
    print(json.dumps(outcomes_by_size(PLAN, base, (*range(0, 13, 2), 9, 11, 1000))))
"""


def test_whatever_size_a_file_may_have_it_is_whole_or_the_old_one(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(len(KINDS))]
    for folder in folders:
        folder.mkdir()
    bases = [make_file(kind, folder) for kind, folder in zip(KINDS, folders, strict=True)]
    done = script(LIMITED, *map(str, bases))
    assert done.returncode == 0, done.stderr[-2000:]
    for line in done.stdout.splitlines():
        verdicts = json.loads(line)
        assert verdicts[0] == "refused"
        assert verdicts[-1] == "written"
