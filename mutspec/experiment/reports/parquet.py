"""The tidy table as `results.parquet`, which keeps what is a number and what is text, where pyarrow is installed."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from mutspec.experiment.reports.aggregate import rows_table
from mutspec.experiment.result import Result
from mutspec.text import words

FILE_NAME = "results.parquet"

_INT64 = range(-(2**63), 2**63)


def parquet_files(results: Sequence[Result]) -> dict[str, bytes]:
    """The file by its name; none if pyarrow is not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return {}
    table = rows_table(results)
    columns = zip(*table.rows, strict=True)
    data = BytesIO()
    made = {name: pyarrow.array(*_typed(values)) for name, values in zip(table.columns, columns, strict=True)}
    parquet.write_table(pyarrow.table(made), data)
    return {FILE_NAME: data.getvalue()}


def _typed(values: Sequence[Any]) -> tuple[list[Any], str]:
    """A column's values, and the type that all of them are of: text where they are of several."""
    kinds = {type(value) for value in values if value is not None}
    if kinds and kinds <= {bool}:
        return list(values), "bool"
    fits = all(value in _INT64 for value in values if type(value) is int)
    if kinds and kinds <= {int} and fits:
        return list(values), "int64"
    if kinds and kinds <= {int, float} and fits:
        return [None if value is None else float(value) for value in values], "float64"
    return [None if value is None else _text(value) for value in values], "string"


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else words.flow(value)
    return text.encode("utf-8", errors="backslashreplace").decode()
