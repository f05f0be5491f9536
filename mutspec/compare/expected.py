"""The difference that a plan will make, as far as the structure shows it."""

from __future__ import annotations

from mutspec.lowering.compile import Program
from mutspec.model.spec import TensorSpec
from mutspec.show.diff import DiffReport, TensorDiff, TensorStatus
from mutspec.show.report import Report


def expected_diff(report: Report, program: Program) -> DiffReport:
    """Returns the layers and tensors that will differ according to a dry-run, as a diff without measures.

    Arguments:
        report: the report of a dry-run.
        program: the compiled plan.
    """
    before, after = program.before.tensor_by_path, program.after.tensor_by_path
    touched = {
        write.tensor.origin
        for step, shown in zip(program.steps, report.steps, strict=True)
        for write, target in zip(step.writes, shown.targets, strict=True)
        if target.touched and target.may_change
    }
    new = [each.path for each in program.after.tensors if each.path not in before]
    paths = [*(each.path for each in program.before.tensors), *new]
    found = (_expected(before.get(path), after.get(path), touched) for path in paths)
    return DiffReport(report.structure, tuple(each for each in found if each is not None))


def _expected(before: TensorSpec | None, after: TensorSpec | None, touched: set[str]) -> TensorDiff | None:
    last, first = after or before, before or after
    assert last is not None
    assert first is not None
    if before is None or after is None:
        status = TensorStatus.ADDED if before is None else TensorStatus.REMOVED
    elif before.shape != after.shape:
        status = TensorStatus.RESHAPED
    elif after.origin != before.origin or after.origin in touched:
        status = TensorStatus.CHANGED
    else:
        return None
    return TensorDiff(first.layer, first.role, status, last.shape, last.dtype, first.shape, first.dtype, last.size)
