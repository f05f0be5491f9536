"""What becomes of a golden plan: digests of what is exact, and a few numbers of what is compared by a tolerance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from json import dumps, loads
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import mutspec
from mutspec.access.fingerprint import fingerprint
from mutspec.access.read import TensorReader
from mutspec.execute.files import apply, prepare_files
from mutspec.graph.graph import reached
from mutspec.graph.primitives import PRIMITIVES, Exactness
from mutspec.lowering.compile import Program
from mutspec.model.files.archive import Archive
from mutspec.model.files.opening import open_archive

FOLDER = Path(__file__).parent
MODELS = FOLDER / "models"
PLANS = sorted((FOLDER / "plans").glob("*.yaml"))
CORRECTED: Mapping[str, str] = {}
"""The plans whose records were mistakes of an op, and the release that corrects it. They are no longer compared."""

COMPARED = [path for path in PLANS if path.stem not in CORRECTED]

TOLERANCE = 1e-5
"""How far a statistic of numeric values may be off, as a part of it: more than rounding, and less than an entry."""


@dataclass(frozen=True)
class Record:
    """What a plan makes of its model.

    Arguments:
        plan: the plan's digest.
        structure: the digest of the mutant's structure.
        exact: what each weight is, to the bit: its dtype, its shape, and a digest of its bytes, by path.
        numeric: of weights that are made by numeric primitives: their dtype and shape, and statistics that do not
            depend on the signs of singular vectors.
    """

    plan: str
    structure: str
    exact: dict[str, str]
    numeric: dict[str, dict[str, Any]]


def record_of(plan: Path) -> Path:
    """The file with the record of a plan."""
    return plan.with_suffix(".json")


def mutant_of(path: Path, folder: Path) -> Record:
    """Applies a golden plan to its model, from file to file."""
    given = yaml.safe_load(path.read_text(encoding="utf-8"))["x-golden"]
    plan = mutspec.load_plan(path)
    base = MODELS / given["model"]
    inputs = {name: MODELS / file for name, file in given.get("inputs", {}).items()}
    output = folder / f"{path.stem}.keras"
    numeric = numeric_weights(prepare_files(plan, base, inputs=inputs).program)
    report = apply(plan, base, output, inputs=inputs)
    assert not report.needs_keras, f"{path.name}: Keras would have a part in it: {report.needs_keras}"
    mutant = open_archive(output)
    found = fingerprint(mutant)
    exact = {name: digest for name, digest in found.tensors.items() if name not in numeric}
    return Record(plan.digest, found.structure, exact, statistics(mutant, numeric))


def numeric_weights(program: Program) -> set[str]:
    """The paths of the weights that a numeric primitive has a part in."""
    graph = program.graph
    nodes = {**graph.created, **{origin: version.node for origin, version in graph.outputs.items()}}

    def is_numeric(node: int) -> bool:
        made_of = reached(graph.nodes, [node])
        return any(PRIMITIVES[graph.nodes[each].primitive].exactness is Exactness.NUMERIC for each in made_of)

    return {each.path for each in program.after.tensors if each.origin in nodes and is_numeric(nodes[each.origin])}


def statistics(mutant: Archive, paths: set[str]) -> dict[str, dict[str, Any]]:
    """What is recorded of numeric values."""
    found: dict[str, dict[str, Any]] = {}
    with TensorReader(mutant) as reader:
        for tensor in mutant.spec.tensors:
            if tensor.path in paths:
                values = reader.read(tensor.path, 0, tensor.size).astype("float64")
                found[tensor.path] = {
                    "form": f"{tensor.dtype} {'×'.join(map(str, tensor.shape))}",
                    "norm": float(np.linalg.norm(values)),
                    "mean_size": float(np.abs(values).mean()),
                    "largest": float(np.abs(values).max()),
                }
    return found


def read(path: Path) -> Record:
    """Reads a record."""
    return Record(**loads(path.read_text(encoding="utf-8")))


def write(record: Record, path: Path) -> None:
    """Writes a record that is new.

    Raises:
        FileExistsError: there is one. Records are kept for good.
    """
    with path.open("x", encoding="utf-8") as file:
        file.write(dumps(asdict(record), indent=1, ensure_ascii=False) + "\n")
