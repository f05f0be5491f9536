"""Makes locks: what a compiled plan says and chooses, what the models are, and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from mutspec.access.fingerprint import fingerprint, fingerprints_of_tensors
from mutspec.access.read import Readable
from mutspec.access.sketch import sketches
from mutspec.documents import as_json
from mutspec.execute.files import dry_report
from mutspec.execute.prepare import Prepared
from mutspec.graph.choice import Computed
from mutspec.graph.primitives import PRIMITIVES, Exactness
from mutspec.graph.streams import STREAM_VERSION
from mutspec.language import Plan
from mutspec.language.head import LANGUAGE_VERSION
from mutspec.language.steps import op_name
from mutspec.lowering.base import Op
from mutspec.lowering.compile import Program
from mutspec.recipes.lock_document import (
    RELATIVE_L2,
    Lock,
    LockedData,
    LockedModel,
    LockedPlan,
    LockedResult,
    LockedSketch,
    LockedStep,
    LockedTolerance,
    LockedVersions,
    written_name,
)
from mutspec.recipes.model_meaning import in_lock, layers_of, ports_of
from mutspec.show.report import edit_sentence
from mutspec.version import __version__


@dataclass(frozen=True)
class Names:
    """The names of files, as a lock has them.

    Arguments:
        plan: the plan's.
        model: the model's.
        architecture: that of the file with the model's architecture.
        inputs: those of the plan's inputs, by name.
        data: that of the data.
    """

    plan: str
    model: str
    architecture: str | UnsetType = UNSET
    inputs: Mapping[str, str] | None = None
    data: str | UnsetType = UNSET


NOTHING_YET = LockedResult(structure="", tensors={})
"""The result of a plan that was not applied."""


def facts(
    plan: Plan[Op],
    model: Readable,
    inputs: Mapping[str, Readable],
    names: Names,
    overrides: tuple[str, ...],
    data: str | None = None,
) -> Lock:
    """Returns the lock of a plan on a model, as far as it is known before the plan is compiled.

    The models' weights are read once.

    Arguments:
        plan: the plan.
        model: the model, as the call gives it.
        inputs: the other models, by name.
        names: what to call the files.
        overrides: those of the call.
        data: the digest of the data.

    Raises:
        ModelError: values cannot be read.
    """
    return Lock(
        plan=_plan(plan, names.plan, overrides),
        model=_model(model, names.model, names.architecture),
        inputs={name: _model(each, (names.inputs or {}).get(name, "")) for name, each in inputs.items()},
        data=UNSET if data is None else LockedData(file=names.data or "", digest=data),
        versions=LockedVersions(mutspec=__version__, language=LANGUAGE_VERSION, numpy=np.__version__),
        steps=tuple(_step(*each) for each in zip(plan.steps, plan.document["steps"], strict=True)),
        result=NOTHING_YET,
    )


def with_targets(lock: Lock, prepared: Prepared) -> Lock:
    """Returns a lock with what the steps of its plan choose, which is known when the plan is compiled."""
    report = dry_report(prepared)
    steps = tuple(
        replace(
            step,
            layers=tuple(written_name(edit_sentence(edit)) for edit in each.edits),
            targets={written_name(target.path): target.touched for target in each.targets},
        )
        for step, each in zip(lock.steps, report.steps, strict=True)
    )
    uses_keras = bool(report.needs_keras or report.asked_keras or lock.data is not UNSET)
    versions = replace(lock.versions, keras=_version_of_keras()) if uses_keras else lock.versions
    return replace(lock, steps=steps, versions=versions)


def _plan(plan: Plan[Op], name: str, overrides: tuple[str, ...]) -> LockedPlan:
    return LockedPlan(
        file=name,
        digest=plan.digest,
        stream=STREAM_VERSION,
        seed=plan.seed,
        non_finite=UNSET if plan.non_finite is None else str(plan.non_finite.value),
        overrides=overrides,
        params=as_json(plan.params),
        files=dict(plan.files),
    )


def _model(model: Readable, name: str, architecture: str | UnsetType = UNSET) -> LockedModel:
    found = fingerprint(model)
    return LockedModel(
        file=name,
        architecture=architecture,
        structure=found.structure,
        layers=layers_of(model.spec),
        ports=ports_of(model.spec),
        tensors=in_lock(found.tensors),
    )


def _version_of_keras() -> str | UnsetType:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("keras")
    except PackageNotFoundError:
        return UNSET


def _step(op: Op, written: Mapping[str, Any]) -> LockedStep:
    keys = {key: as_json(value) for key, value in written.items() if key not in ("id", "op")}
    return LockedStep(id=op.id, op=op_name(type(op)), keys=keys)


# -- the result


def with_result(lock: Lock, made: Readable, prepared: Prepared) -> Lock:
    """Returns a lock with the result of its plan.

    Weights that the plan does not touch are those of the model, whose digests the lock has already.

    Arguments:
        lock: what is known before anything is computed.
        made: the mutant.
        prepared: the compiled plan.
    """
    program = prepared.program
    kept = _kept(program, lock.model.tensors)
    computed = {tensor.path for tensor in made.spec.tensors} - kept.keys()
    digests = kept | fingerprints_of_tensors(made, computed)
    numeric = [path for path in numeric_weights(program) if path in made.spec.tensor_by_path]
    return replace(
        lock,
        result=_result(lock, made, in_lock({each.path: digests[each.path] for each in made.spec.tensors}), numeric),
    )


def result_of(lock: Lock, made: Readable, numeric: Collection[str]) -> LockedResult:
    """Returns what a model is, as the result of a lock. All of its weights are read.

    Arguments:
        lock: the lock that it is compared with.
        made: the model.
        numeric: the weights that are compared by a tolerance, by path as in a lock.
    """
    paths = [each.path for each in made.spec.tensors if written_name(each.path) in numeric]
    return _result(lock, made, in_lock(fingerprints_of_tensors(made)), paths)


def _result(lock: Lock, made: Readable, tensors: dict[str, str], numeric: list[str]) -> LockedResult:
    found, is_same = sketches(made, numeric), made.spec.structure_digest == lock.model.structure
    layers, ports = (lock.model.layers, lock.model.ports) if is_same else (layers_of(made.spec), ports_of(made.spec))
    return LockedResult(
        structure=made.spec.structure_digest,
        layers=UNSET if layers == lock.model.layers else layers,
        ports=UNSET if ports == lock.model.ports else ports,
        tensors=tensors,
        numeric={
            written_name(path): LockedSketch(l2=each.l2, non_finite=each.non_finite, projections=each.projections)
            for path, each in found.items()
        },
        tolerance=LockedTolerance(relative_l2=RELATIVE_L2) if found else UNSET,
    )


def _kept(program: Program, tensors: Mapping[str, str]) -> dict[str, str]:
    """Returns the digests of the weights that no step touches, by path in the mutant."""
    graph, before = program.graph, {tensor.origin: tensor for tensor in program.before.tensors}
    made = graph.created.keys() | graph.outputs.keys()
    kept = {}
    for tensor in program.after.tensors:
        source = before.get(tensor.origin)
        if source is None or tensor.origin in made or (source.shape, source.dtype) != (tensor.shape, tensor.dtype):
            continue
        if (name := written_name(source.path)) in tensors:
            kept[tensor.path] = tensors[name]
    return kept


def numeric_weights(program: Program) -> list[str]:
    """Returns the weights of a mutant whose values depend on numeric primitives, or are drawn by Keras, by path."""
    graph, kept = program.graph, {tensor.origin for tensor in program.before.tensors}
    is_numeric: list[bool] = []
    for node in graph.nodes:
        own = PRIMITIVES[node.primitive].exactness is Exactness.NUMERIC
        is_numeric.append(own or any(is_numeric[number] for number in node.inputs))
    values = {**graph.created, **{origin: each.node for origin, each in graph.outputs.items()}}
    chosen = {
        each.origin for each in graph.versions if isinstance(each.choice, Computed) and is_numeric[each.choice.node]
    }

    def depends(origin: str) -> bool:
        if origin in values:
            return origin in chosen or is_numeric[values[origin]]
        return origin not in kept  # Keras draws it when it builds the mutant

    return [tensor.path for tensor in program.after.tensors if depends(tensor.origin)]
