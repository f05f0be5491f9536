"""Makes a mutant again from its base and its provenance, and compares the two.

The plans in a provenance are data of whoever wrote the file. They go through the same loader as any plan.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mutspec.access.digests import data_digest
from mutspec.compare.diff import diff
from mutspec.errors import CallError, CheckError, EnvironmentProblem, PlanError, Problem
from mutspec.execute.files import apply
from mutspec.execute.output_kind import kind_by_default
from mutspec.execute.provenance import identity
from mutspec.graph.streams import unknown_streams
from mutspec.language import plan_from
from mutspec.language.plan import Plan
from mutspec.language.schema import Catalogue
from mutspec.language.types import NonFinite
from mutspec.lowering.base import Op, is_structural
from mutspec.model.files.archive import Archive
from mutspec.model.files.formats import FORMATS
from mutspec.model.files.opening import open_beside
from mutspec.model.provenance import Generation, ModelIdentity, Provenance
from mutspec.show.diff import DiffReport
from mutspec.version import __version__

_SHOWN_DIGITS = 12


@dataclass(frozen=True)
class Replay:
    """A mutant that was made again.

    Arguments:
        generations: how many mutations were made again.
        difference: how the mutant at hand differs from the one that was made.
    """

    generations: int
    difference: DiffReport


@dataclass(frozen=True)
class _Given:
    """A model file of the call, and what it is."""

    path: Path
    identity: ModelIdentity


def replay(
    provenance: Provenance,
    model: Path,
    base: Path,
    catalogue: Catalogue,
    *,
    inputs: Mapping[str, Path] | None = None,
    architecture: Path | None = None,
    data: Any = None,
    unsafe: bool = False,
) -> Replay:
    """Makes a mutant again and compares it with the one at hand. Files in between are temporary.

    Arguments:
        provenance: the mutant's.
        model: the mutant's file.
        base: the model that it was made of, or one between the two. It may have any name.
        catalogue: the ops by name.
        inputs: the other models that the plans read. They are recognised by what they are.
        architecture: a file with the architecture of those that hold weights alone.
        data: what models are called on, for steps that rank by activation.
        unsafe: whether code in model files (Lambda layers) may run.

    Raises:
        CheckError: the base, an input or the data are not those of the provenance; or a mutation does not lead to the
            model that the next one began with.
        CallError: an input is missing.
        PlanError, ModelError: a plan is invalid, or does not fit; a file cannot be read.
        EnvironmentProblem: this version of mutspec does not have the random streams of the provenance.
    """
    begun = identity(open_beside(base, architecture))
    generations = _from(provenance, begun, base)
    plans = [_plan(each, catalogue) for each in generations]
    others = _identified(inputs or {}, architecture, generations)
    for each, plan in zip(generations, plans, strict=True):
        _check_possible(each, plan, data)
    bound = [_bound(each, others) for each in generations]
    with tempfile.TemporaryDirectory(prefix="mutspec-") as folder:
        made = base
        for number, (each, plan) in enumerate(zip(generations, plans, strict=True)):
            archive = open_beside(made, architecture)
            if number and identity(archive) != each.parent:
                name, next_name = generations[number - 1].plan.name, each.plan.name
                raise CheckError(
                    f"the plan `{name}` does not make the model that `{next_name}` was applied to",
                    hint=_versions_hint(generations[number - 1]),
                )
            options: dict[str, Any] = {"inputs": bound[number], "data": data, "unsafe": unsafe}
            options["architecture"] = None if FORMATS[archive.kind].is_whole else architecture
            output = Path(folder) / f"{number}{_suffix(each.kind, archive, plan)}"
            apply(plan, made, output, **options)
            if number:  # the models in between may be large
                made.unlink()
            made = output
        difference = diff(open_beside(made, architecture), open_beside(model, architecture))
    return Replay(len(generations), difference)


def _from(provenance: Provenance, base: ModelIdentity, path: Path) -> Sequence[Generation]:
    """Returns the mutations that lead from a base to the mutant, the oldest first.

    Raises:
        CheckError: none of them began with the base.
    """
    oldest_first = tuple(reversed(provenance.generations))
    for number, each in enumerate(oldest_first):
        if each.parent == base:
            return oldest_first[number:]
    parents = [each.parent for each in oldest_first]
    has_structure = any(each.structure == base.structure for each in parents)
    what = "has the structure of it, but other weights" if has_structure else "has another structure"
    dropped = f"; {provenance.dropped:,} older mutations are not listed" if provenance.dropped else ""
    raise CheckError(
        f"the mutant was not made from {path}, which {what}",
        hint=f"its base is the model {_short(parents[0])}, and this one is {_short(base)}{dropped}",
    )


def _plan(generation: Generation, catalogue: Catalogue) -> Plan[Op]:
    """Returns the plan of a generation. In a sweep, entries may become infinite or NaN, unless the plan forbids it.

    Raises:
        PlanError: it is not a plan of this version.
    """
    name = generation.plan.name
    try:
        plan: Plan[Op] = plan_from(generation.standalone, catalogue, name=name)
    except PlanError as error:
        told = (
            replace(each, message=f"in the plan `{name}` of the provenance: {each.message}") for each in error.problems
        )
        raise PlanError(told) from None
    return plan if plan.non_finite else replace(plan, non_finite=NonFinite.REPORT)


def _check_possible(generation: Generation, plan: Plan[Op], data: Any) -> None:
    name = generation.plan.name
    if reason := unknown_streams(generation.versions.stream, f"`{name}`"):
        raise EnvironmentProblem(reason, hint=f"it was made by mutspec {generation.versions.mutspec[:20]}")
    if not any(step.reads_data for step in plan.steps):
        return
    if data is None:
        raise CallError(f"`{name}` ranks by activation, and needs the data", hint="give them: --data FILE")
    if data_digest(data) != generation.data:
        raise CheckError(f"the data are not those on which `{name}` was applied")


def _identified(
    inputs: Mapping[str, Path], architecture: Path | None, generations: Sequence[Generation]
) -> Mapping[str, _Given]:
    """Returns the inputs of a call, and what they are.

    Raises:
        CallError: no plan reads another model.
    """
    if inputs and not any(each.inputs for each in generations):
        raise CallError("--input is given, and the plans read no other model", hint="leave it out")
    return {name: _Given(path, identity(open_beside(path, architecture))) for name, path in inputs.items()}


def _bound(generation: Generation, others: Mapping[str, _Given]) -> dict[str, Path]:
    """Returns the files of a plan's inputs by name.

    Raises:
        CallError: one is not given.
        CheckError: what is given is another model.
    """
    found = {}
    for name, wanted in generation.inputs.items():
        same = next((each.path for each in others.values() if each.identity == wanted), None)
        if same is None and name in others:
            raise CheckError(
                f"--input {name}={others[name].path} is not the model that `{generation.plan.name}` read",
                hint=f"that one is {_short(wanted)}, and this one is {_short(others[name].identity)}",
            )
        if same is None:
            raise CallError(
                f"`{generation.plan.name}` reads another model, `{name}`", hint=f"give it: --input {name}=MODEL"
            )
        found[name] = same
    return found


def _suffix(kind: str, archive: Archive, plan: Plan[Op]) -> str:
    """Returns how the name of a file must end to become one of the stated kind."""
    known = FORMATS.get(kind)
    if known is None or known.writer is None:
        known = FORMATS[kind_by_default(archive.kind, is_structural=is_structural(plan))]
    return known.suffixes[0]


def other_versions(generations: Sequence[Generation]) -> tuple[Problem, ...]:
    """Returns a warning for each version that made a mutant and is another one now."""
    now = {"mutspec": __version__, "NumPy": np.__version__}
    found = {
        f"the mutant was made by {name} {stated[:20]}, and this is {name} {now[name]}": None
        for each in generations
        for name, stated in (("mutspec", each.versions.mutspec), ("NumPy", each.versions.numpy))
        if stated != now[name]
    }
    return tuple(Problem(message, is_warning=True) for message in found)


def _versions_hint(generation: Generation) -> str:
    made = {"mutspec": generation.versions.mutspec, "NumPy": generation.versions.numpy}
    if isinstance(generation.versions.keras, str):
        made["Keras"] = generation.versions.keras
    return "it was made by " + ", ".join(f"{name} {version[:20]}" for name, version in made.items())


def _short(identity: ModelIdentity) -> str:
    return identity.digest[:_SHOWN_DIGITS]
