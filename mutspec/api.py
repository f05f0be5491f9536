"""The Python API: the same plans, dry-runs and diffs as on the command line, as functions and values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mutspec.execute.diff import DiffReport
    from mutspec.execute.report import Report
    from mutspec.language.plan import Plan
    from mutspec.ops.base import Op

File = str | PathLike[str]


def load_plan(path: File, *, overrides: Iterable[str] = ()) -> Plan[Op]:
    """Read and validate a plan file.

    Arguments:
        path: a YAML file.
        overrides: `key=value` texts as on the command line: `params.std=0.05`, `seed=3`, `steps.jitter.std=0.1`.

    Raises:
        PlanError: the plan is wrong; it carries every problem with its place.
    """
    from mutspec.language import load_plan as load
    from mutspec.ops import catalogue

    return load(Path(path), catalogue(), overrides=tuple(overrides))


def plan(document: Mapping[str, Any]) -> Plan[Op]:
    """A plan from Python values: the mapping that a plan file would hold. `mutspec: 1` may be left out.

    Raises:
        PlanError: the plan is wrong; it carries every problem with its path.
    """
    from mutspec.language import plan_from
    from mutspec.ops import catalogue

    return plan_from(document, catalogue())


def dry_run(
    plan: Plan[Op], model: File, *, inputs: Mapping[str, File] | None = None, architecture: File | None = None
) -> Report:
    """What a plan would do to a model file. It reads no weights and writes nothing; printing it shows a table.

    Arguments:
        plan: the plan.
        model: a `.keras`, whole-model `.h5` or `.weights.h5` file.
        inputs: the files of the plan's inputs, by name.
        architecture: a file with the architecture, for a `.weights.h5` model.

    Raises:
        PlanError: the plan does not fit the model.
        ModelError: a file cannot be read.
        CallError: an input is not bound.
    """
    from mutspec.execute import files

    return files.dry_run(plan, Path(model), inputs=_paths(inputs), architecture=_path(architecture))


def apply(
    plan: Plan[Op],
    model: File,
    output: File,
    *,
    inputs: Mapping[str, File] | None = None,
    architecture: File | None = None,
    force: bool = False,
    threads: int | None = None,
    max_memory: int | None = None,
) -> Report:
    """Apply a plan to a model file, and write the mutant as a file of the same kind.

    Arguments:
        plan: the plan.
        model: a `.keras`, whole-model `.h5` or `.weights.h5` file. It is never changed.
        output: the file to write. It comes to be whole or not at all.
        inputs: the files of the plan's inputs, by name.
        architecture: a file with the architecture, for a `.weights.h5` model.
        force: whether to replace the output if it exists.
        threads: how many chunks to compute at once; by default one per processor, up to 8. The bytes do not depend on
            it.
        max_memory: the bytes that the process may use.

    Raises:
        PlanError, ModelError, CallError: as for `dry_run`; or the output exists, or is an input.
        CheckError: entries become infinite or NaN, and neither step nor plan say `non_finite: report`.
        EnvironmentProblem: the disk is full.
    """
    from mutspec.execute import files

    return files.apply(
        plan,
        Path(model),
        Path(output),
        inputs=_paths(inputs),
        architecture=_path(architecture),
        force=force,
        threads=threads,
        max_memory=max_memory,
    )


def diff(before: File, after: File) -> DiffReport:
    """The difference of two model files, of any structure and kind: layers, tensors, values. Printing it shows a table.

    Raises:
        ModelError: a file cannot be read.
    """
    from mutspec.execute.diff import diff as difference
    from mutspec.model.files import open_archive

    return difference(open_archive(Path(before)), open_archive(Path(after)))


def _path(file: File | None) -> Path | None:
    return None if file is None else Path(file)


def _paths(files: Mapping[str, File] | None) -> dict[str, Path]:
    return {name: Path(file) for name, file in (files or {}).items()}
