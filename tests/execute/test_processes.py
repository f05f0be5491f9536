"""Whole processes: that are killed, interrupted, out of room; and that give the same bytes whatever they run on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mutspec.execute.files import apply
from mutspec.execute.output import TEMPORARY_SUFFIX
from tests.execute.model_files import ROOT, make_file, write_gzipped_stack, write_stack
from tests.execute.test_output import KINDS, PLAN, names
from tests.toys import plan_of


def script(text: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("environment", {})}
    command = [sys.executable, "-c", text, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=60, check=False, **options
    )


APPLY = """
import sys
from pathlib import Path
from mutspec.execute.files import apply
from tests.execute.test_output import PLAN
threads, *bases = sys.argv[1:]
for base in map(Path, bases):
    apply(PLAN, base, base.with_stem("there"), threads=int(threads), force=True)
"""


def test_the_bytes_do_not_depend_on_process_hash_seed_or_threads(tmp_path: Path) -> None:
    bases = []
    for number, kind in enumerate(("keras of many chunks", "h5", "h5, gzipped datasets")):
        folder = tmp_path / str(number)
        folder.mkdir()
        bases.append(make_file(kind, folder))
        apply(PLAN, bases[-1], bases[-1].with_stem("here"))
    for hash_seed, threads in (("0", "1"), ("1", "2"), ("42", "5")):
        done = script(APPLY, threads, *map(str, bases), environment={"PYTHONHASHSEED": hash_seed})
        assert done.returncode == 0, done.stderr
        for base in bases:
            assert base.with_stem("there").read_bytes() == base.with_stem("here").read_bytes(), base


def test_the_bytes_of_compressed_weights_do_not_depend_on_threads(tmp_path: Path) -> None:
    base = tmp_path / "base.keras"
    write_gzipped_stack(base, layers=3, units=300)
    few = plan_of({"op": "gaussian_noise", "target": {"weights": "kernels"}, "std": 0.5, "fraction": 1e-4})
    for plan in (PLAN, few):
        outputs = []
        for number, threads in enumerate((1, 2, 4, 4)):
            output = tmp_path / f"mutant{number}.keras"
            apply(plan, base, output, threads=threads, force=True)
            outputs.append(output.read_bytes())
        assert len(set(outputs)) == 1
        assert outputs[0] != base.read_bytes()


LIMITED = """
import json, os, sys
from pathlib import Path
from resource import RLIMIT_FSIZE, setrlimit
from mutspec.execute.files import apply
from mutspec.errors import EnvironmentProblem
from tests.execute.test_output import PLAN
for base in map(Path, sys.argv[1:]):
    output = base.with_name("mutant" + base.suffix)
    seen = []
    size = base.stat().st_size
    for limit in [0, 1000, size // 2, size * 3 // 4, size - 1]:
        setrlimit(RLIMIT_FSIZE, (limit, 1 << 40))
        try:
            apply(PLAN, base, output, threads=2)
        except EnvironmentProblem as error:
            assert "cannot " in str(error), error
            seen.append(sorted(os.listdir(base.parent)))
        else:
            seen.append("written")
            output.unlink()
    setrlimit(RLIMIT_FSIZE, (1 << 40, 1 << 40))
    print(json.dumps(seen))
"""


def test_a_file_that_may_not_grow_so_large_is_an_error_of_the_environment(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(len(KINDS))]
    for folder in folders:
        folder.mkdir()
    bases = [make_file(kind, folder) for kind, folder in zip(KINDS, folders, strict=True)]
    contents = [base.read_bytes() for base in bases]
    done = script(LIMITED, *map(str, bases))
    assert done.returncode == 0, done.stderr
    for base, content, line in zip(bases, contents, done.stdout.splitlines(), strict=True):
        outcomes = json.loads(line)
        assert outcomes[0] == outcomes[1] == [base.name]
        assert all(outcome in ([base.name], "written") for outcome in outcomes)
        assert base.read_bytes() == content
        assert names(base.parent) == [base.name]


FULL_DISK = """
import json, os, subprocess, sys
from pathlib import Path
base, disk = Path(sys.argv[1]), Path(sys.argv[2])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], check=True)
from mutspec.execute.files import apply
from mutspec.errors import EnvironmentProblem
from tests.execute.test_output import PLAN
for name in ("filler", "another"):
    (disk / name).write_bytes(bytes(30_000))
try:
    apply(PLAN, base, disk / ("mutant" + base.suffix))
except EnvironmentProblem as error:
    print(json.dumps([str(error), sorted(os.listdir(disk))]))
"""


def may_mount() -> bool:
    try:
        return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not may_mount(), reason="mounting is not permitted here")
def test_a_full_disk_is_an_error_of_the_environment(tmp_path: Path) -> None:
    base, disk = make_file("keras of many chunks", tmp_path), tmp_path / "disk"
    disk.mkdir()
    command = ["unshare", "-m", sys.executable, "-c", FULL_DISK, str(base), str(disk)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    message, left = json.loads(done.stdout)
    assert "No space left on device" in message
    assert left == ["another", "filler"]


KILLED = """
import json, os, random, signal, sys, time
from pathlib import Path
from mutspec.execute.files import apply
from tests.execute.test_output import PLAN
base, folder = Path(sys.argv[1]), Path(sys.argv[2])
apply(PLAN, base, folder / "whole.keras")
begin = time.monotonic()
apply(PLAN, base, folder / "timed.keras")
length = time.monotonic() - begin
random.seed(int(sys.argv[3]))
seen = []
for number in range(25):
    output = folder / f"mutant{number}.keras"
    child = os.fork()
    if child == 0:
        apply(PLAN, base, output)
        os._exit(0)
    time.sleep(random.uniform(0, 1.3 * length))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    left = [name for name in os.listdir(folder) if f"mutant{number}." in name]
    seen.append([name for name in left if name != output.name])
    if output.exists():
        assert output.read_bytes() == (folder / "whole.keras").read_bytes(), "half an output"
    seen[-1].append(output.exists())
apply(PLAN, base, folder / "last.keras")
print(json.dumps([seen, os.listdir(folder)]))
"""


def test_a_killed_run_leaves_a_whole_output_or_none_and_one_file_that_the_next_run_removes(tmp_path: Path) -> None:
    base, folder = tmp_path / "base.keras", tmp_path / "folder"
    write_stack(base, layers=4, units=700)
    content = base.read_bytes()
    folder.mkdir()
    done = script(KILLED, str(base), str(folder), "1")
    assert done.returncode == 0, done.stderr
    seen, at_last = json.loads(done.stdout)
    for *left, _ in seen:
        assert len(left) <= 1
        assert all(name.startswith(".mutant") and name.endswith(TEMPORARY_SUFFIX) for name in left)
    assert any(left for *left, _ in seen), "the kills came too late to tell"
    assert not any(name.endswith(TEMPORARY_SUFFIX) for name in at_last), "the last run did not clean up"
    assert base.read_bytes() == content


INTERRUPTED = """
import os, sys
from pathlib import Path
from mutspec.execute.files import apply
from tests.execute.test_output import PLAN
base, output = map(Path, sys.argv[1:])
def slowly(done, total):
    print("working", flush=True)
    import time
    time.sleep(0.05)
try:
    apply(PLAN, base, output, threads=2, on_progress=slowly)
except KeyboardInterrupt:
    sys.exit(130)
"""


def can_be_interrupted() -> None:
    """Undo what a shell does to a job in the background: ignore SIGINT, for all its children too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_control_c_leaves_nothing(tmp_path: Path) -> None:
    base = make_file("keras of many chunks", tmp_path)
    command = [sys.executable, "-c", INTERRUPTED, str(base), str(tmp_path / "mutant.keras")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, preexec_fn=can_be_interrupted) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    assert names(tmp_path) == ["base.keras"]
