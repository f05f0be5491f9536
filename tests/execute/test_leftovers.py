"""What killed processes leave is removed by the next one, and what live ones write is not."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mutspec.execute.output import TEMPORARY_SUFFIX, replacing
from mutspec.execute.temporary import create_temporary, remove_leftovers
from tests.execute.model_files import make_file
from tests.execute.test_output import names
from tests.execute.test_processes import script

DEAD = 2**22 - 3
"""The number of a process that does not run: greater than Linux gives any by default."""


def leftover(folder: Path, process: int = DEAD, age_days: float = 0) -> Path:
    path = folder / f".mutant.keras.{process}-0a1b2c3d{TEMPORARY_SUFFIX}"
    path.write_bytes(b"half")
    os.utime(path, times=(time.time() - age_days * 86_400,) * 2)
    return path


def test_what_a_killed_writer_left_goes_when_the_next_output_comes(tmp_path: Path) -> None:
    left = leftover(tmp_path)
    with replacing(tmp_path / "other", force=False):
        assert not left.exists()
    assert names(tmp_path) == ["other"]


REMOVE = """
import sys
from pathlib import Path
from mutspec.execute.temporary import remove_leftovers
remove_leftovers(Path(sys.argv[1]))
"""


def test_the_file_of_a_writer_that_lives_stays(tmp_path: Path) -> None:
    with replacing(tmp_path / "output", force=False) as (_, temporary):
        remove_leftovers(tmp_path)
        assert temporary.exists()
        assert script(REMOVE, str(tmp_path)).returncode == 0
        assert temporary.exists()
    assert names(tmp_path) == ["output"]


def test_a_file_of_a_dead_process_whose_child_still_writes_stays(tmp_path: Path) -> None:
    """Its lock is what counts, not the number in its name."""
    left = leftover(tmp_path)
    with left.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        remove_leftovers(tmp_path)
        assert left.exists()
    remove_leftovers(tmp_path)
    assert not left.exists()


@pytest.mark.parametrize(
    ("process", "age_days", "stays"),
    [(DEAD, 0, True), (DEAD, 2, False), (os.getpid(), 2, True), (1, 2, True)],
    ids=["just written", "dead", "this one", "another one"],
)
def test_without_locks_a_file_goes_when_its_process_is_gone_and_it_is_old(
    process: int, age_days: float, stays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    left = leftover(tmp_path, process, age_days)
    with replacing(tmp_path / "output", force=False):
        pass
    assert left.exists() == stays
    assert (tmp_path / "output").exists()


def test_what_others_have_called_so_stays(tmp_path: Path) -> None:
    (tmp_path / f".notes{TEMPORARY_SUFFIX}").touch()
    (tmp_path / f"mutant.7-0a1b2c3d{TEMPORARY_SUFFIX}").touch()
    (tmp_path / f".folder.7-0a1b2c3d{TEMPORARY_SUFFIX}").mkdir()
    (tmp_path / f".link.7-0a1b2c3d{TEMPORARY_SUFFIX}").symlink_to(tmp_path / "precious")
    os.mkfifo(tmp_path / f".pipe.7-0a1b2c3d{TEMPORARY_SUFFIX}")
    (tmp_path / "precious").touch()
    before = names(tmp_path)
    remove_leftovers(tmp_path)
    assert names(tmp_path) == before


def test_a_file_that_is_taken_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, taken = fcntl.flock, []

    def take_first(descriptor: int, operation: int) -> None:
        if not taken:
            taken.extend(tmp_path.iterdir())
            taken[0].unlink()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", take_first)
    descriptor, path = create_temporary(tmp_path / "output", 0o600)
    os.close(descriptor)
    assert path.exists()
    assert path not in taken


def test_writers_and_removers_do_not_disturb_each_other(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for turn in range(30):
            with replacing(tmp_path / f"{number}", force=True, is_lasting=False) as (descriptor, _):
                os.write(descriptor, b"%d" % turn)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert names(tmp_path) == [str(number) for number in range(8)]
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"29"}


RACE = """
import os, sys, time
from pathlib import Path
from mutspec.execute.files import apply
from mutspec.errors import CallError
from tests.execute.test_output import PLAN
base, folder = Path(sys.argv[1]), Path(sys.argv[2])
for turn in range(5):
    output, children, begin = folder / f"{turn}.keras", [], time.monotonic() + 0.2
    for child in range(6):
        process = os.fork()
        if process == 0:
            time.sleep(max(0, begin - time.monotonic()))
            try:
                apply(PLAN.with_(seed=child), base, output)
            except CallError as error:
                os._exit(2 if "exists" in str(error) else 9)
            os._exit(0)
        children.append(process)
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in children)
    assert codes == [0, 2, 2, 2, 2, 2], codes
assert sorted(os.listdir(folder)) == [f"{turn}.keras" for turn in range(5)]
"""


def test_of_writers_that_race_for_a_name_one_wins(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    done = script(RACE, str(make_file("keras", tmp_path)), str(tmp_path / "folder"))
    assert done.returncode == 0, done.stderr
