"""The cells of the table: steps are applied from file to file, and plain Keras judges what came out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mutspec
from mutspec.show.report import Report
from tests.architecture_table.plain_keras import prepare
from tests.architecture_table.steps import FINITE, STEPS, Json, Outline, candidates

ROOT = Path(__file__).parents[2]
CELLS = ROOT / "tests" / "data" / "architecture_table.json"

Row = dict[str, dict[str, Any]]


def build(name: str, folder: Path) -> None:
    """Makes the model of a row in this process."""
    from tests.architecture_table.models import MODELS

    folder.mkdir(parents=True, exist_ok=True)
    prepare(MODELS[name], folder)


def mutate(folder: Path, ops: Iterable[str] = STEPS) -> Row:
    """Applies each op to the model in a folder. Returns its cells so far."""
    outline = Outline.of(json.loads((folder / "outline.json").read_text()))
    row: Row = {}
    expectations = {}
    for op in ops:
        for step, expectation in candidates(op, outline):
            row[op], report = _applied(step, folder / "base.keras", folder / f"{op}.keras", folder / "second.keras")
            if report is not None:
                is_mixed = any(group.mixtures for each in report.steps for group in each.coupled)
                if is_mixed and expectation["kind"] in {"masked", "classes"}:
                    expectation = FINITE  # a layer that computes with all channels makes something else of those left
                if expectation["kind"] == "masked":
                    _mask(step, folder)
                row[op]["held"] = expectation["kind"]
                expectations[op] = expectation
            if row[op]["mark"] != "refused":
                break
    (folder / "expectations.json").write_text(json.dumps(expectations))
    return row


def _mask(step: Json, folder: Path) -> None:
    """Writes the model in which the units are zero that a step removes."""
    masking = mutspec.plan({"steps": [{**step, "op": "mask_neurons"}]})
    mutspec.apply(masking, folder / "base.keras", folder / f"{step['op']}.masked.keras", force=True)


def _applied(step: Json, base: Path, output: Path, second: Path) -> tuple[dict[str, Any], Report | None]:
    uses_second = "source" in step
    try:
        plan = mutspec.plan({**({"inputs": {"second": {}}} if uses_second else {}), "steps": [step]})
        report = mutspec.apply(plan, base, output, inputs={"second": second} if uses_second else None, force=True)
    except mutspec.OpError as error:
        return {"mark": "wrong", "step": step, "message": str(error)}, None
    except mutspec.MutspecError as error:
        return {"mark": "refused", "step": step, "message": error.problems[0].message}, None
    except Exception as error:
        return {"mark": "wrong", "step": step, "message": f"{type(error).__name__}: {error}"}, None
    by_keras = {"by_keras": report.needs_keras} if report.needs_keras else {}
    return {"mark": "ran", "step": step, **by_keras}, report


def judge(folders: Iterable[Path]) -> Mapping[Path, dict[str, str]]:
    """Judges the mutants of folders in a fresh process of plain Keras. Returns what is wrong, by folder and op."""
    folders = list(folders)
    command = [sys.executable, "-m", "tests.architecture_table.plain_keras", *map(str, folders)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    return {folder: json.loads((folder / "judged.json").read_text()) for folder in folders}


def judged(row: Row, wrong: Mapping[str, str]) -> Row:
    """A row with what plain Keras says of its mutants."""
    return {op: {**cell, "mark": "wrong", "message": wrong[op]} if wrong.get(op) else cell for op, cell in row.items()}


def rows(names: Iterable[str], folder: Path, ops: Sequence[str] = tuple(STEPS)) -> dict[str, Row]:
    """Returns the rows of some models, with the cells of some ops."""
    folders = {name: folder / name for name in names}
    for name, place in folders.items():
        build(name, place)
    found = {name: mutate(place, ops) for name, place in folders.items()}
    wrong = judge(folders.values())
    return {name: judged(found[name], wrong[place]) for name, place in folders.items()}
