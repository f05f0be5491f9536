"""Some seconds of damaged and hostile model files."""

from __future__ import annotations

from tests.fuzz.gate import assert_nothing_is_found


def test_model_files_are_read_right_or_refused_in_a_sentence() -> None:
    assert_nothing_is_found("keras,h5,weights,input")
