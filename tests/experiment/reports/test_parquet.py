"""results.parquet: the tidy table with its types."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mutspec.experiment.reports.aggregate import rows_table
from mutspec.experiment.reports.parquet import parquet_files
from mutspec.experiment.reports.report import make_report
from tests.experiment.made_up import failed, replace, result, sweep, write


def test_without_pyarrow_there_is_neither_a_file_nor_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    report = make_report(write(sweep(), tmp_path))
    assert "results.parquet" not in [path.name for path in report.files]
    assert not report.warnings


def test_it_holds_the_rows_of_results_csv(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    results = [*sweep(), failed(25, ["plan.params.std=-1"], "boom")]
    report = make_report(write(results, tmp_path))
    read = parquet.read_table(next(path for path in report.files if path.name == "results.parquet"))
    table = rows_table(report.found.results)
    assert tuple(read.column_names) == table.columns
    assert [tuple(each.values()) for each in read.to_pylist()] == list(table.rows)
    types = dict(zip(read.column_names, map(str, read.schema.types), strict=True))
    assert (types["seed"], types["metrics.accuracy"], types["plan"]) == ("int64", "double", "string")


def test_columns_of_several_types_are_text_and_nothing_is_too_big() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    from io import BytesIO

    values = [1, "10%", None, [1, 2], True, 2**70, "a\udcff"]
    results = [replace(result(index), parameters={"std": value}) for index, value in enumerate(values)]
    (data,) = parquet_files(results).values()
    column = parquet.read_table(BytesIO(data)).column("params.std").to_pylist()
    assert column == ["1", "10%", None, "[1, 2]", "true", str(2**70), "a\\udcff"]
