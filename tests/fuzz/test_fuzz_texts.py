"""Some seconds of damaged and hostile plans, results and data; and of what needs Keras."""

from __future__ import annotations

from tests.fuzz.gate import assert_nothing_is_found


def test_plans_results_and_data_are_read_right_or_refused_in_a_sentence() -> None:
    assert_nothing_is_found("plan,results,npz,csv,structure,run")
