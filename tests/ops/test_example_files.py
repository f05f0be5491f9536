"""The examples of structural ops, from file to file: mutspec writes the bytes that it gets by way of Keras."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import mutspec
from mutspec.cli.manual import example
from mutspec.execute.files import apply
from mutspec.lowering.base import is_structural
from tests.execute.test_new_file import by_keras, config_of, weights_of
from tests.keras_facts.installed import without_newer
from tests.ops.test_examples import PAGES, PREPARED, model

PLANS = {
    op: mutspec.plan({"steps": steps})
    for op, steps in ((op, yaml.safe_load(example(PAGES[op]))) for op in PAGES)
    if not re.search(r"'\w+:", str([*steps[0].values()]))
}
STRUCTURAL = {op: plan for op, plan in PLANS.items() if is_structural(plan)}


@pytest.fixture(scope="module")
def base() -> Any:
    import keras

    keras.backend.clear_session(free_memory=False)
    return model(0)


@pytest.mark.filterwarnings("ignore:.*becomes a Functional model", "ignore:.*put between Permute layers")
@pytest.mark.parametrize("op", STRUCTURAL)
def test_an_ops_example_has_the_bytes_of_the_mutant_that_keras_builds(op: str, base: Any, tmp_path: Path) -> None:
    path = tmp_path / "base.keras"
    PREPARED.get(op, lambda model: model)(base).save(path)
    assert apply(STRUCTURAL[op], path, tmp_path / "ours.keras").needs_keras == ""
    by_keras(STRUCTURAL[op], path, tmp_path / "keras.keras")
    assert weights_of(tmp_path / "ours.keras") == weights_of(tmp_path / "keras.keras")
    assert without_newer(config_of(tmp_path / "ours.keras")) == without_newer(config_of(tmp_path / "keras.keras"))
