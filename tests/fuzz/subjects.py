"""Calls that write, of every format and path: what faults are injected into."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from tests.execute.model_files import WEIGHTS, rewrite_hdf5, rezip, write_stack
from tests.experiment.made_up import sweep
from tests.fuzz import corpus
from tests.fuzz.case import MUTSPEC
from tests.fuzz.server import Limits, Server

_NOISE = "mutspec: 1\nsteps: [{op: gaussian_noise, target: {weights: kernels}, std: 0.1}]\n"
_INSERT = (
    "mutspec: 1\n"
    "steps:\n"
    "  - {op: gaussian_noise, target: {weights: kernels}, std: 0.1}\n"
    "  - {op: insert_layer, after: dense_0, layer: {type: Dense, units: same}, initialize: identity}\n"
)
SLOW = Limits(seconds=120, megabytes=3000)


@dataclass(frozen=True)
class Subject:
    """A call that writes `disk/out…`.

    Arguments:
        name: what tables call it.
        share: how many of a hundred or so points are of it.
        arguments: of the call.
        output: the file or folder that it writes.
        kind: of the server that it needs.
        done: the exit code of a call that has done its work.
    """

    name: str
    share: float
    arguments: tuple[str, ...]
    output: str
    kind: str = "plain"
    done: int = 0


def _applies(name: str, share: float, plan: str, model: str, output: str, kind: str = "plain") -> Subject:
    # One thread: the bytes of the undisturbed output are compared.
    call = ("apply", plan, model, "-o", f"disk/{output}", "--threads", "1", "--force", "-q")
    return Subject(name, share, call, f"disk/{output}", kind=kind)


def _patches(name: str, share: float, patch: str) -> Subject:
    call = ("patch", "stack.keras", patch, "-o", "disk/out.keras", "--threads", "1", "--force", "-q")
    return Subject(name, share, call, "disk/out.keras")


_DATA = ("model.path=small.keras", "data=npz", "data.path=data.npz")

SUBJECTS = (
    _applies("apply .keras", 16, "noise.yaml", "stack.keras", "out.keras"),
    _applies("apply .keras, deflated", 12, "noise.yaml", "deflated.keras", "out.keras"),
    _applies("apply .keras, chunked", 10, "noise.yaml", "chunked.keras", "out.keras"),
    _applies("apply .h5", 10, "noise.yaml", "stack.h5", "out.h5"),
    _applies("apply .h5, chunked", 14, "noise.yaml", "chunked.h5", "out.h5"),
    _applies("apply .weights.h5", 8, "noise.yaml", "stack.weights.h5", "out.weights.h5"),
    _applies("structural, to .keras", 5, "insert.yaml", "stack.keras", "out.keras", "keras"),
    _applies("structural, to .h5", 4, "insert.yaml", "stack.keras", "out.h5", "keras"),
    _applies("structural, to .weights.h5", 4, "insert.yaml", "stack.keras", "out.weights.h5", "keras"),
    Subject(
        "run, saving",
        4,
        ("run", "-q", "plan_file=noise.yaml", *_DATA, "save=true", "hydra.run.dir=disk/out"),
        "disk/out",
        kind="keras",
    ),
    Subject(
        "run -m",
        3,
        ("run", "-q", "-m", "plan_file=noise.yaml", *_DATA, "plan.seed=1,2,3", "hydra.sweep.dir=disk/out"),
        "disk/out",
        kind="keras",
    ),
    Subject(
        "lock",
        10,
        ("lock", "noise.yaml", "stack.keras", "-o", "disk/out.lock.yaml", "--threads", "1", "--force", "-q"),
        "disk/out.lock.yaml",
    ),
    _patches("patch", 5, "noise.safetensors"),
    _patches("patch, structural", 5, "insert.safetensors"),
    Subject(
        "diff --patch",
        5,
        ("diff", "stack.keras", "noise.keras", "--patch", "disk/out.safetensors", "--threads", "1", "--force", "-q"),
        "disk/out.safetensors",
        done=1,
    ),
    Subject("report", 10, ("report", "sweep", "-o", "disk/out", "-q"), "disk/out", kind="pictures"),
)


def write_inputs(folder: Path, servers: Mapping[str, Server], subjects: Sequence[Subject]) -> None:
    """The files that calls read."""
    (folder / "noise.yaml").write_text(_NOISE)
    (folder / "insert.yaml").write_text(_INSERT)
    write_stack(folder / "stack.keras", layers=3, units=300)
    rezip(folder / "stack.keras", folder / "deflated.keras", compression=zipfile.ZIP_DEFLATED)
    shutil.copy(corpus.CORPUS / "models" / "tiny.keras", folder / "small.keras")
    shutil.copy(corpus.CORPUS / "data" / "stored.npz", folder / "data.npz")
    for result in sweep(scales=(0.1, 1), seeds=2):
        result.write(folder / "sweep" / str(result.job.number))
    if any("patch" in subject.name for subject in subjects):
        _patches_of(folder, servers["plain"])
    if any(name.endswith(".h5") for subject in subjects for name in subject.arguments[:3]):
        for name in ("stack.h5", "stack.weights.h5"):
            _in_keras(folder, name, servers["keras"])
        rewrite_hdf5(folder / "stack.h5", folder / "chunked.h5", in_chunks)
    _inside(folder / "stack.keras", folder / "chunked.keras", lambda old, new: rewrite_hdf5(old, new, in_chunks))


def in_chunks(group: h5py.Group, name: str, values: Any) -> h5py.Dataset:
    """A dataset of many small chunks, which HDF5 keeps in memory and writes when it likes: as late as in closing."""
    options = {"chunks": tuple(min(50, extent) for extent in values.shape), "compression": "gzip"}
    return group.create_dataset(name, data=values, **(options if values.shape else {}))


def _in_keras(folder: Path, name: str, server: Server) -> None:
    """The stack as a file of another kind."""
    (folder / "nothing.yaml").write_text("mutspec: 1\nsteps: [{op: scale, target: {weights: kernels}, factor: 1}]\n")
    call = ("apply", "nothing.yaml", "stack.keras", "-o", name, "-q")
    outcome = server.call(MUTSPEC, call, folder, SLOW)
    assert outcome.code == 0, outcome.err


def _patches_of(folder: Path, server: Server) -> None:
    """Mutants of the stack, and the patches that make them."""
    for plan in ("noise", "insert"):
        mutant, patch = f"{plan}.keras", f"{plan}.safetensors"
        for call, code in (
            (("apply", f"{plan}.yaml", "stack.keras", "-o", mutant, "-q"), 0),
            (("diff", "stack.keras", mutant, "--patch", patch, "-q"), 1),
        ):
            outcome = server.call(MUTSPEC, call, folder, SLOW)
            assert outcome.code == code, outcome.err


def _inside(source: Path, target: Path, rewrite: Callable[[Path, Path], None]) -> None:
    """A `.keras` file with its weights written in another way."""
    old, new = target.with_suffix(".old"), target.with_suffix(".new")
    with zipfile.ZipFile(source) as archive:
        old.write_bytes(archive.read(WEIGHTS))
    rewrite(old, new)
    rezip(source, target, weights=new.read_bytes())
    old.unlink()
    new.unlink()


def is_whole(path: Path) -> bool:
    """Whether a file ends as files of its kind do; for those that are not the same twice."""
    data = path.read_bytes()
    if path.suffix == ".json":
        try:
            json.loads(data)
        except ValueError:
            return False
    ends = {".png": b"IEND\xaeB`\x82", ".svg": b"</svg>\n", ".html": b"</html>\n", ".parquet": b"PAR1", ".csv": b"\n"}
    return data.endswith(ends.get(path.suffix, b"")) and (bool(data) or path.suffix == ".log")
