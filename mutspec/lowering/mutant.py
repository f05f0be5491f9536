"""The mutant that a plan's edits of an architecture make. Plans of weight steps do not load this module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mutspec.errors import PlanError, Problem
from mutspec.language.plan import Plan
from mutspec.lowering.base import Op
from mutspec.lowering.limits_of_made import config_problem
from mutspec.lowering.mask_changes import MaskChange, mask_changes
from mutspec.model.spec import ModelSpec
from mutspec.structure.architecture import Architecture, with_masks
from mutspec.structure.compile_state import NOT_COMPILED, OutputChange, with_compile_state
from mutspec.structure.network import Network
from mutspec.structure.network_config import entry_of


@dataclass(frozen=True)
class Mutant:
    """A model after all edits of its architecture.

    Arguments:
        spec: its spec, with the masks that Keras makes.
        config: the serialised model.
        network: the model, taken apart.
        mask_changes: what each change did to masks.
        warnings: what was lost.
    """

    spec: ModelSpec
    config: Mapping[str, Any]
    network: Network
    mask_changes: Sequence[MaskChange]
    warnings: tuple[Problem, ...]


def mutant_of(
    plan: Plan[Op],
    model: ModelSpec,
    config: Mapping[str, Any],
    stages: Sequence[Architecture],
    steps: Sequence[int],
    renames: Sequence[Mapping[str, str]],
    output_change: OutputChange | None,
) -> Mutant:
    """Returns what edits have made of a model.

    Arguments:
        plan: the plan whose steps they are.
        model: the model before them.
        config: the serialised model before them.
        stages: the architecture before the first change, and after each.
        steps: the index of the step that made each change.
        renames: the former path of each layer that a change renames or moves.
        output_change: what they do to the outputs.

    Raises:
        PlanError: a layer cannot take what it gets, and no later step has changed that; or the configuration is above
            a limit, so that it could not be read.
    """
    _refuse_misfits(plan, stages[-1])
    masked = with_masks(stages[-1])
    masks = mask_changes(model, stages, masked, renames)
    entry = entry_of(masked.network)
    if config_problem(entry):
        _refuse_unreadable(plan, stages, steps)
    entry, lost = with_compile_state(entry, entry.get("compile_config"), output_change)
    is_dropped = bool(config.get("compile_config")) and not entry.get("compile_config")
    return Mutant(masked.spec, entry, masked.network, masks, lost if lost or not is_dropped else (NOT_COMPILED,))


def _refuse_unreadable(plan: Plan[Op], stages: Sequence[Architecture], steps: Sequence[int]) -> None:
    """Names the step that made the configuration of the mutant what cannot be read."""
    for step, stage in zip(steps, stages[1:], strict=True):
        if problem := config_problem(entry_of(with_masks(stage).network)):
            made = replace(problem, message=f"after this step, {problem.message}", path=("steps", step))
            raise PlanError(plan.placed(made))


def _refuse_misfits(plan: Plan[Op], architecture: Architecture) -> None:
    problems = [
        Problem(
            f"after this step, {message}",
            path=("steps", step),
            hint="choose what fits, or change that layer too, with a `replace_layer` after it",
        )
        for step, message in architecture.misfits.values()
    ]
    if problems:
        raise PlanError(plan.placed(problem) for problem in problems)
