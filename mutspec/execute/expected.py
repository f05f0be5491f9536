"""What will differ once a plan is applied, as far as structure tells."""

from __future__ import annotations

from mutspec.execute.diff import DiffReport, TensorDiff, TensorStatus
from mutspec.execute.report import Report
from mutspec.execute.structure import StructureDiff
from mutspec.model.spec import ModelSpec


def expected_diff(report: Report, before: ModelSpec) -> DiffReport:
    """The tensors that a dry-run says would be touched, as a diff without measures.

    Arguments:
        report: a dry-run's.
        before: the spec of the model that the plan is put on.
    """
    touched = {(target.layer, target.weight) for step in report.steps for target in step.targets if target.touched}
    tensors = tuple(
        TensorDiff(
            tensor.layer,
            tensor.role,
            TensorStatus.CHANGED,
            tensor.shape,
            tensor.dtype,
            tensor.shape,
            tensor.dtype,
            tensor.size,
        )
        for tensor in before.tensors
        if (tensor.layer, tensor.role) in touched
    )
    return DiffReport(StructureDiff(), tensors)
