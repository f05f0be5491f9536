"""Folders with a recipe and its tests, and what becomes of the tests."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from mutspec.recipes.testing.reading import RecipeTestFile, read_test_file

PLAN = """\
mutspec: 1
params: {std: 0.1}
steps:
  - id: noise
    op: gaussian_noise
    target: {type: Dense, weights: kernel}
    std: ${params.std}
"""
MODELS = """\
models:
  tiny: {input: [4], layers: [{type: Dense, units: 3, name: dense}, {type: Dense, units: 2, name: out}]}
"""


def write_recipe(folder: Path, tests: str, plan: str = PLAN) -> Path:
    """Writes a recipe and its test file, on a described model unless the tests name another; returns the test file."""
    (folder / "noise.yaml").write_text(plan)
    path = folder / "noise.test.yaml"
    path.write_text(f"mutspec_test: 1\nmodel: tiny\n{MODELS}tests:\n{dedent(tests)}")
    return path


def read(folder: Path, tests: str, plan: str = PLAN) -> RecipeTestFile:
    """Returns the test file, read."""
    return read_test_file(write_recipe(folder, tests, plan), folder)
