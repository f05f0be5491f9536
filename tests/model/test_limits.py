"""A file that declares too much is refused before any of it is allocated, and one that HDF5 hangs on ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import mutspec
from mutspec.errors import CallError, ModelError, nearest
from mutspec.model.config import parse_config, parse_json
from mutspec.model.files.opening import open_archive
from mutspec.model.files.watched import ChildFailed, ChildTooSlow, watched
from mutspec.model.limits import Limits, changed_limits, current_limits, limits, table

HANG = Path(__file__).parents[1] / "data" / "min-hang-16.h5"
DIGITS = Path(__file__).parents[2] / "conf" / "model" / "digits.keras"


def refusal(read: Callable[[], Any]) -> str:
    with pytest.raises(ModelError) as caught:
        read()
    problem = caught.value.problems[0]
    return f"{problem.message} | {problem.hint}"


def hdf5(path: Path, fill: Callable[[h5py.File], None]) -> Path:
    with h5py.File(path, "w", libver="latest") as file:
        fill(file)
        file.create_group("layers/dense/vars").attrs["name"] = "dense"
        file["layers/dense/vars/0"] = np.zeros((2, 3), "f4")
        file["layers/dense/vars/1"] = np.zeros(3, "f4")
    return path


def model(*values: str) -> str:
    layers = f'{{"name": "m", "layers": [], "x": [{",".join(values)}]}}'
    return f'{{"class_name": "Sequential", "config": {layers}}}'


CONFIGS = {
    "config_bytes": model('"' + "a" * 17 * 2**20 + '"'),
    "config_values": model(*["[]"] * 600_000),
    "config_depth": model("[" * 300 + "]" * 300),
    "layers": json.dumps({"class_name": "Sequential", "config": {"layers": [{"class_name": "A"}] * 6000}}),
    "name_characters": json.dumps(
        {"class_name": "Sequential", "config": {"layers": [{"class_name": "A", "config": {"name": "n" * 300_000}}]}}
    ),
}


@pytest.mark.parametrize("limit", CONFIGS)
def test_a_configuration_above_a_limit_is_refused_by_its_name(limit: str) -> None:
    said = refusal(lambda: parse_config(CONFIGS[limit], "config.json"))
    assert f"the limit `{limit}` is" in said
    assert f"--limit {limit}=" in said


def test_a_configuration_is_read_under_a_higher_limit() -> None:
    with limits(config_values=10**7, config_depth=300 + 10, name_characters=10**6, layers=10**4):
        for limit in set(CONFIGS) - {"config_bytes"}:
            assert parse_config(CONFIGS[limit], "config.json")


def test_signs_within_texts_are_not_values() -> None:
    text = json.dumps({"x": ",[{:" * 200_000 + '\\"' * 10})
    assert parse_json(text, "config.json")["x"].startswith(",[{:")


def many(file: h5py.File) -> None:
    for number in range(300):
        file.create_group(f"layers/d{number}")


def deep(file: h5py.File) -> None:
    file.create_group("layers/" + "/".join("g" * 5000))


def long_name(file: h5py.File) -> None:
    file.create_group("layers/" + "n" * 60_000)


def long_paths(file: h5py.File) -> None:
    file.create_group("/".join(["p" * 1000] * 5))


def huge_chunk(file: h5py.File) -> None:
    file.create_dataset("layers/x", (30_000, 30_000), "f4", chunks=(30_000, 30_000), compression="gzip")


def never_written(file: h5py.File) -> None:
    file.create_dataset("layers/x", (10**6, 10**6), "f4")


def beyond_all_numbers(file: h5py.File) -> None:
    file.create_dataset("layers/x", (2**62, 2**62), "f4", chunks=(1, 1))


FILES = {
    "hdf5_objects": many,
    "hdf5_depth": deep,
    "name_characters": long_name,
    "path_characters": long_paths,
    "hdf5_chunk_bytes": huge_chunk,
    "inflation": never_written,
    "hdf5_metadata_bytes": many,
}


@pytest.mark.parametrize("limit", FILES)
def test_an_hdf5_file_above_a_limit_is_refused_by_its_name(limit: str, tmp_path: Path) -> None:
    path = hdf5(tmp_path / "x.weights.h5", FILES[limit])
    lower = {"hdf5_objects": 200, "hdf5_metadata_bytes": 1000}  # files above the default ones take seconds to write
    with limits(**{name: value for name, value in lower.items() if name == limit}):
        said = refusal(lambda: open_archive(path))
    assert f"the limit `{limit}` is" in said


def test_extents_beyond_all_numbers_are_refused(tmp_path: Path) -> None:
    assert "`inflation`" in refusal(lambda: open_archive(hdf5(tmp_path / "x.weights.h5", beyond_all_numbers)))


def test_an_attribute_that_declares_too_much_is_not_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["model_config"] = CONFIGS["config_bytes"].encode()
        file.create_group("model_weights")
    assert "the limit `config_bytes` is" in refusal(lambda: open_archive(tmp_path / "x.h5"))


def test_a_file_below_the_limits_is_read(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "x.weights.h5", lambda file: None)
    assert [tensor.path for tensor in open_archive(path).spec.tensors] == ["dense/kernel", "dense/bias"]


def test_limits_hold_within_their_block_and_say_what_they_change() -> None:
    assert changed_limits() == {}
    with mutspec.limits(layers=7), limits(inflation=8):
        assert (current_limits().layers, current_limits().inflation) == (7, 8)
        assert changed_limits() == {"layers": 7, "inflation": 8}
    assert current_limits() == Limits()
    for wrong in ({"layer": 1}, {"layers": 0}, {"layers": True}):
        with pytest.raises(CallError), limits(**wrong):
            pass


def test_every_limit_has_a_unit_and_a_reason() -> None:
    assert all(row.unit and row.of and row.why for row in table().values())


def test_a_file_that_hdf5_loops_on_is_refused_in_time() -> None:
    start = time.monotonic()
    with limits(hdf5_seconds=1):
        assert "takes more than 1 seconds" in refusal(lambda: open_archive(HANG))
    assert time.monotonic() - start < 30


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's list of children")
def test_an_interrupt_ends_a_loop_within_hdf5_at_once() -> None:
    command = [sys.executable, "-m", "mutspec", "inspect", str(HANG), "--limit", "hdf5_seconds=100"]
    process = subprocess.Popen(
        command, stderr=subprocess.DEVNULL, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def forked() -> list[int]:  # others, such as the `uname` that an import runs, end by themselves
        numbers = map(int, children.read_text().split())
        return [each for each in numbers if "mutspec" in Path(f"/proc/{each}/cmdline").read_text()]

    while process.poll() is None and not forked():
        time.sleep(0.05)
    (child,) = forked()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def watch(work: Callable[[], bytes], **options: int) -> bytes:
    return watched(work, **{"seconds": 5, "memory": 2**28, "most_bytes": 10**7, **options})


def test_a_child_returns_what_it_makes_and_nothing_is_left() -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    assert watch(lambda: b"x" * 5_000_000) == b"x" * 5_000_000
    assert before == (len(os.listdir("/proc/self/fd")) if before else 0)
    child = int(watch(lambda: str(os.getpid()).encode()))
    assert child != os.getpid()
    with pytest.raises(ChildProcessError):
        os.waitpid(child, os.WNOHANG)


def test_a_child_that_fails_is_told_by_how_it_ended() -> None:
    with pytest.raises(ChildFailed, match="SIGSEGV"):
        watch(lambda: os.kill(os.getpid(), signal.SIGSEGV) or b"")  # type: ignore[func-returns-value]
    with pytest.raises(ChildFailed, match="killed"):
        watch(lambda: os.kill(os.getpid(), signal.SIGKILL) or b"")  # type: ignore[func-returns-value]
    with pytest.raises(ChildFailed, match="more than 100 bytes"):
        watch(lambda: b"x" * 10**6, most_bytes=100)

    def loop() -> bytes:
        while True:
            pass

    with pytest.raises(ChildTooSlow, match="more than 1 seconds"):
        watch(loop, seconds=1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems limit no address space")
def test_a_child_gets_no_more_memory_than_it_may_have() -> None:
    def greedy() -> bytes:
        try:
            return bytes(2**30)
        except MemoryError:
            return b"refused"

    assert watch(greedy) == b"refused"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="other systems tell no peak of a process")
def test_a_zip_with_a_bomb_in_it_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(DIGITS) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, model(*["[]"] * 20_000_000) if name == "config.json" else old.read(name))
    code = (
        "import sys; from mutspec.cli.boundary import run; from mutspec.cli.main import cli;"
        "print(run(cli, ['inspect', sys.argv[1]], 'mutspec'), open('/proc/self/status').read())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    exit_code, kilobytes = re.search(r"^(\d+) .*VmHWM:\s*(\d+)", done.stdout, re.DOTALL).groups()  # type: ignore[union-attr]
    assert int(exit_code) == 2
    assert int(kilobytes) < 100_000


def test_names_of_any_length_and_number_are_compared_in_no_time() -> None:
    start = time.process_time()
    nearest("n" * 300_000, ["m" * 300_000] * 10)
    nearest("dense", (f"layer_{number}" * 3 for number in range(10**6)))
    assert time.process_time() - start < 3
