"""Models that Keras saves: what it would write by itself, whole or not at all."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import h5py
import keras
import numpy as np
import pytest

from mutspec.errors import EnvironmentProblem, ModelError
from mutspec.execute.saving import save_model
from mutspec.model.files.formats import FORMATS, FileKind
from tests.execute.model_files import WEIGHTS
from tests.execute.test_failing_writes import failing, some
from tests.execute.test_output import names

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

NAMES = {FileKind.KERAS: "mutant.keras", FileKind.LEGACY_H5: "mutant.h5", FileKind.WEIGHTS_H5: "mutant.weights.h5"}


@pytest.fixture(scope="module")
def model() -> Any:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(40), keras.layers.Dense(2, dtype="bfloat16")])
    model.compile("adam", "mse")
    model.fit(np.ones((4, 6)), np.ones((4, 2)), verbose=0)
    return model


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def content(group: h5py.Group) -> dict[str, Any]:
    """All of an HDF5 file: attributes and values by path."""
    found: dict[str, Any] = {"/": dict(group.attrs)}

    def visit(path: str, item: Any) -> None:
        found[path] = {**item.attrs, "": item[()].tobytes() if isinstance(item, h5py.Dataset) else None}

    group.visititems(visit)
    return {path: {key: np.asarray(value).tolist() for key, value in each.items()} for path, each in found.items()}


@pytest.mark.parametrize("kind", NAMES)
def test_a_saved_model_is_what_keras_saves(kind: FileKind, model: Any, tmp_path: Path) -> None:
    ours, theirs = tmp_path / NAMES[kind], tmp_path / f"keras_{NAMES[kind]}"
    save_model(model, ours, force=False)
    model.save_weights(theirs) if kind is FileKind.WEIGHTS_H5 else model.save(theirs)
    if kind is not FileKind.KERAS:
        with h5py.File(ours) as one, h5py.File(theirs) as other:
            assert content(one) == content(other)
        return
    with ZipFile(ours) as one, ZipFile(theirs) as other:
        assert one.namelist() == other.namelist()
        assert one.read(WEIGHTS) == other.read(WEIGHTS)
        assert json.loads(one.read("config.json"))["class_name"] == "Sequential"


@pytest.mark.parametrize("kind", NAMES)
def test_a_write_that_fails_leaves_the_old_file(kind: FileKind, model: Any, tmp_path: Path) -> None:
    output = tmp_path / NAMES[kind]

    def tried(call: str, number: int) -> Any:
        output.write_bytes(b"old")
        with failing(call, number) as made:
            try:
                save_model(model, output, force=True)
            except EnvironmentProblem as error:
                return made, str(error)
        return made, ""

    made, _ = tried("none", 0)
    writes = [("pwrite", number) for number in some(made["pwrite"])]
    for call, number in [*writes, ("fsync", 1), ("ftruncate", 1), ("replace", 1), ("dup", 1)]:
        if made[call]:
            assert tried(call, number)[1].startswith(f"cannot write {output}: "), (call, number)
            assert names(tmp_path) == [output.name]
            assert output.read_bytes() == b"old"


@pytest.mark.parametrize("kind", NAMES)
def test_a_model_that_finds_no_room_leaves_the_old_file(kind: FileKind, model: Any, tmp_path: Path) -> None:
    output = tmp_path / NAMES[kind]
    save_model(model, output, force=False)
    size = output.stat().st_size
    for part in range(12):
        output.write_bytes(b"old")
        with files_of_at_most(size * part // 12), pytest.raises(EnvironmentProblem, match="File too large"):
            save_model(model, output, force=True)
        assert output.read_bytes() == b"old"
        assert names(tmp_path) == [output.name]
    with files_of_at_most(2 * size):
        save_model(model, output, force=True)
    assert output.stat().st_size == size


def test_a_model_that_cannot_be_saved_is_an_error_of_the_model(tmp_path: Path) -> None:
    class Shy(keras.layers.Layer):
        def get_config(self) -> Any:
            raise NotImplementedError("I do not say")

    model = keras.Sequential([keras.Input((2,)), Shy()])
    for name in NAMES.values():
        if name != "mutant.weights.h5":
            with pytest.raises(ModelError, match=r"Keras cannot save the mutant as .*I do not say"):
                save_model(model, tmp_path / name, force=False)
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", NAMES)
def test_a_file_that_the_disk_did_not_keep_is_found(kind: FileKind, model: Any, tmp_path: Path) -> None:
    output = tmp_path / NAMES[kind]
    save_model(model, output, force=False)
    writer = FORMATS[kind].writer
    assert writer is not None
    writer.check(output)
    whole = output.read_bytes()
    damages = [whole[: len(whole) * 2 // 3], bytes(len(whole))]
    if kind is FileKind.KERAS:  # HDF5 of this age has no checksums of values
        damages.append(whole[:-9000] + bytes(100) + whole[-8900:])
    for damaged in damages:
        output.write_bytes(damaged)
        with pytest.raises(OSError, match="does not read back as it was written"):
            writer.check(output)
