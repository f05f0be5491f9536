"""The table on the page on formats is true: each cell is tried again, and compared with NumPy and h5py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.generations import COMMANDS, DATA, PAGE, RIGHT, Form, forms, outcomes, read_table

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

ROWS = read_table(PAGE.read_text(encoding="utf-8"))
FORMS = {(form.generation, form.path.name): form for form in forms(Path())}


def test_the_page_has_every_form_that_there_is_and_no_other() -> None:
    assert ROWS.keys() == FORMS.keys()
    assert all(tuple(cells) == tuple(COMMANDS) for cells in ROWS.values())


@pytest.mark.parametrize("row", FORMS, ids=" ".join)
def test_what_the_page_says_of_a_form_is_what_happens(row: tuple[str, str], tmp_path: Path) -> None:
    assert outcomes(Form(FORMS[row].path, tmp_path)) == ROWS[row]


def test_every_cell_is_right_or_a_refusal() -> None:
    cells = {cell for row in ROWS.values() for cell in row.values()}
    assert RIGHT in cells
    assert all(cell == RIGHT or cell.startswith("refused: ") for cell in cells)


def test_the_files_are_small() -> None:
    sizes = [path.stat().st_size for path in DATA.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert max(sizes) < 30_000
    assert sum(sizes) < 500_000
