"""The table of structural ops on real architectures, docs/architecture-table.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import pytest

from mutspec.ops import catalogue
from tests.architecture_table.formats import content, differences
from tests.architecture_table.models import ALSO_RECOMPUTED, APPLICATIONS, MODELS, RECOMPUTED
from tests.architecture_table.page import PAGE, PARTS, page
from tests.architecture_table.steps import STEPS
from tests.architecture_table.table import CELLS, Row, rows
from tests.effort import IS_THOROUGH

TODAY = (*RECOMPUTED, *ALSO_RECOMPUTED) if IS_THOROUGH else RECOMPUTED
AGAIN = "run: python -m tests.architecture_table --write --only "


@pytest.fixture(scope="module")
def cells() -> dict[str, Row]:
    return json.loads(CELLS.read_text())


@pytest.fixture(scope="module")
def recomputed(tmp_path_factory: Any, reads_hdf5_here: Any) -> dict[str, Row]:
    with reads_hdf5_here():
        return rows(TODAY, tmp_path_factory.mktemp("table"))


def test_every_structural_op_has_a_column() -> None:
    structural = {name for name, op in catalogue(plugins=False).items() if op.is_structural}
    assert structural == set(STEPS) == {op for ops in PARTS.values() for op in ops}


def test_every_model_has_a_row_with_a_cell_for_each_op(cells: dict[str, Row]) -> None:
    assert [*cells] == [model for model in MODELS if model in cells]
    assert set(MODELS) - set(cells) <= set(APPLICATIONS), "large models may wait, and the page says so"
    assert {model: set(row) for model, row in cells.items()} == {model: set(STEPS) for model in cells}


def test_no_mutant_of_the_table_is_wrong(cells: dict[str, Row]) -> None:
    wrong = {op for row in cells.values() for op, cell in row.items() if cell["mark"] == "wrong"}
    assert wrong == set()


def test_the_page_shows_the_cells(cells: dict[str, Row]) -> None:
    assert PAGE.read_text() == page(cells), "run: python -m tests.architecture_table --page"


@pytest.mark.parametrize("model", TODAY)
def test_a_row_of_the_table_is_what_comes_out_today(
    model: str, cells: dict[str, Row], recomputed: dict[str, Row]
) -> None:
    assert recomputed[model] == cells[model], AGAIN + model


def _written(path: Path, value: float = 1.0, dtype: str = "f4", **attributes: Any) -> Path:
    config = {"config": {"units": 2, "name": "dense"}, "class_name": "Dense"}
    with h5py.File(path, "w") as file:
        file.attrs.update({"model_config": json.dumps(config), **attributes})
        file.create_group("dense").create_dataset("kernel", data=[value], dtype=dtype)
    return path


def test_the_comparison_of_formats_tells_what_differs(tmp_path: Path) -> None:
    base, other = content(_written(tmp_path / "base.h5")), tmp_path / "other.h5"
    config = {"class_name": "Dense", "config": {"name": "dense", "units": 2}}
    assert [*differences(base, content(_written(other, model_config=json.dumps(config))))] == []
    config["config"]["units"] = 3  # type: ignore[index]
    (found,) = differences(base, content(_written(other, model_config=json.dumps(config))))
    assert found.endswith("config.units: 2 / 3")
    for changed in ({"value": 1.5}, {"dtype": "f8"}, {"keras_version": "3.15.0"}):
        assert [*differences(base, content(_written(other, **changed)))] != []  # type: ignore[arg-type]
