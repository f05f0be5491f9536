"""A call can look at a compiled plan and at the finished file, and nothing is written if it raises or keeps nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from mutspec.access.fingerprint import fingerprint
from mutspec.errors import CheckError
from mutspec.execute.files import apply
from mutspec.execute.hooks import Hooks
from mutspec.model.files.opening import open_archive
from tests.execute.model_files import ROOT
from tests.toys import plan_of

NOISE = plan_of({"op": "gaussian_noise", "target": {"weights": "kernels"}, "std": 0.1})
LONGER = plan_of({"op": "insert_layer", "after": "fc1", "layer": {"type": "Dropout", "rate": 0.5}})
FILES = ROOT / "tests/data/generations/keras-3.6"


@pytest.mark.parametrize(
    ("plan", "base", "output"),
    [
        (NOISE, FILES / "dense.keras", "out.keras"),
        (NOISE, FILES / "dense.h5", "out.h5"),
        (NOISE, FILES / "dense.keras", "out.safetensors"),
        (LONGER, FILES / "dense.keras", "out.keras"),
    ],
    ids=["a copy", "HDF5", "converted", "a new file"],
)
def test_the_finished_file_is_looked_at_before_it_has_its_name(
    plan: object, base: Path, output: str, tmp_path: Path
) -> None:
    seen: list[object] = []

    def look(path: Path) -> None:
        seen.append(fingerprint(open_archive(path)))
        assert not (tmp_path / output).exists()

    def fail(*_: object) -> None:
        raise CheckError("no")

    for hooks in (Hooks(written=look, keeps_output=False), Hooks(written=fail), Hooks(compiled=fail)):
        try:
            assert apply(plan, base, tmp_path / output, hooks=hooks).output is None  # type: ignore[arg-type]
        except CheckError:
            assert hooks.keeps_output
        assert list(tmp_path.iterdir()) == []
    apply(plan, base, tmp_path / output, hooks=Hooks(written=look))  # type: ignore[arg-type]
    assert seen == [fingerprint(open_archive(tmp_path / output))] * 2
