"""Sketches estimate how far apart two weights are, and stay the same for good: locks hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mutspec.access.sketch import Sketch, relative_distance, sketches
from mutspec.model.files.opening import open_archive
from tests.execute.model_files import write_stack

GOLDEN = (10, 4, -6, -4, 16, -12, -2, -8, -12, 8, 16, 6, -8, 12, 10, -2)


def sketch_of(values: np.ndarray, folder: Path) -> Sketch:
    """The sketch of the first kernel of a file that holds some values."""
    import zipfile

    import h5py

    from tests.execute.model_files import WEIGHTS, rezip

    units = int(values.size**0.5)
    write_stack(folder / "model.keras", layers=1, units=units)
    with zipfile.ZipFile(folder / "model.keras") as archive:
        (folder / "weights.h5").write_bytes(archive.read(WEIGHTS))
    with h5py.File(folder / "weights.h5", "r+") as file:
        (kernel,) = [each for each in _datasets(file) if each.shape == (units, units)]
        kernel[...] = values.reshape(units, units)
    rezip(folder / "model.keras", folder / "filled.keras", weights=(folder / "weights.h5").read_bytes())
    archive = open_archive(folder / "filled.keras")
    (path,) = (tensor.path for tensor in archive.spec.tensors if tensor.shape == (units, units))
    return sketches(archive, [path])[path]


def _datasets(group):  # type: ignore[no-untyped-def]
    for each in group.values():
        yield from _datasets(each) if hasattr(each, "values") else [each]


def test_the_signs_are_the_same_for_good(tmp_path: Path) -> None:
    sketch = sketch_of(np.ones(100, "float32"), tmp_path)
    assert (sketch.l2, sketch.non_finite) == (10.0, 0)
    assert sketch.projections == GOLDEN


@pytest.mark.parametrize("where", ["everywhere", "in one entry", "in the last rows"])
def test_the_estimated_distance_is_near_the_distance(where: str, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    before = random.normal(size=300 * 300).astype("float32")
    change = random.normal(size=before.size) * 1e-3
    if where != "everywhere":
        change[: -1 if where == "in one entry" else -900] = 0
    after = (before + change).astype("float32")
    one, other = sketch_of(before, tmp_path), sketch_of(after, tmp_path)
    real = float(np.linalg.norm(after.astype(float) - before) / np.linalg.norm(before.astype(float)))
    assert real / 2 < relative_distance(one.projections, other.projections, one.l2) < real * 2
    assert relative_distance(one.projections, one.projections, one.l2) == 0


def test_entries_that_are_not_finite_are_counted_and_left_out(tmp_path: Path) -> None:
    values = np.ones(100, "float32")
    values[[3, 50, 99]] = np.nan, np.inf, -np.inf
    sketch = sketch_of(values, tmp_path)
    assert (sketch.non_finite, sketch.l2) == (3, float(f"{97**0.5:.9g}"))
