"""Selectors: the layers of a model, and the weights in them, that a step's target selects.

The rules: `name`, `regex` and `type` are claims about a layer, which must match all of them. They select the weights of
the matching layers *and of all layers below them*. `weights` is a claim about a weight, and so is the full path of a
weight as a name. `any`, `all` and `not` are the union, intersection and complement of sets of weights, and the keys of
a selector intersect. A part without a claim about weights is undecided: it is narrowed by the parts that it intersects
with, which may be the enclosing selector or a sibling in `all`; and at the end by the default, the learned weights. So
`{all: [{type: Dense}, {weights: bias}]}` selects the biases of Dense layers, `{type: Dense, not: logits}` the learned
weights of all other Dense layers, and `{weights: kernels, not: {name: conv_1}}` every kernel outside `conv_1`.

A path with wildcards is matched with layers first, and with weights only if no layer matches. If its last part is only
wildcards (`bn/*`), it makes no claim about weights; otherwise (`bn*/moving_*`) it names them, also statistics.

`pick` and `expect` count the layers that match the claims and hold a selected weight: a Bidirectional that is selected
by its type counts once, not once for each of its cells. If a selector makes no claim about layers, they count the
layers that own the selected weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from mutspec.errors import PlanError, Problem
from mutspec.keras_facts.roles import LEARNED, Group
from mutspec.language.types import Target
from mutspec.model._bits import members
from mutspec.model._evaluate import (
    Chosen,
    ContractUnmet,
    LayerEvaluation,
    RandomIndices,
    TargetEvaluation,
    TensorEvaluation,
)
from mutspec.model._index import ModelIndex
from mutspec.model._patterns import as_glob, exact_pattern, has_wildcards
from mutspec.model._unknown import GenerousIndex, left_out
from mutspec.model._why_nothing import why_nothing
from mutspec.model.spec import LayerSpec, ModelSpec, TensorSpec

__all__ = [
    "NothingMatched",
    "Selection",
    "SelectorIndex",
    "SharingNote",
    "as_glob",
    "exact_pattern",
    "has_wildcards",
]


class SharingNote(str):
    """A note that selected weights belong to several places of the model, which a lint rule is about."""

    __slots__ = ()
    rule = "tied-weights"


@dataclass(frozen=True)
class Selection:
    """The layers and tensors of a model that a target selects.

    Arguments:
        layers: from `SelectorIndex.tensors`, the layers that own at least one selected tensor; from
            `SelectorIndex.layers`, the selected layers. In model order.
        tensors: the selected tensors; from `SelectorIndex.layers`, all tensors of the selected layers and of those
            below them. In model order, each storage once.
        notes: notes for the user, such as "`encoder/dense` is reached by 2 paths; counted once".
        matched: from `SelectorIndex.tensors`, the layers that `pick` and `expect` count: those that match the claims,
            such as a Bidirectional for the weights in it, or else the owners. In model order.
    """

    layers: tuple[LayerSpec, ...]
    tensors: tuple[TensorSpec, ...]
    notes: tuple[str, ...]
    matched: tuple[LayerSpec, ...] = ()


class NothingMatched(PlanError):
    """A target selects nothing in this model. The explanation is made when it is first read.

    Arguments:
        explain: the problems, or a function that finds them.
        notes: notes for the user that matter even if the target may be empty, such as weights of unknown role.
    """

    def __init__(
        self, explain: Iterable[Problem] | Callable[[], Iterable[Problem]], notes: tuple[str, ...] = ()
    ) -> None:
        Exception.__init__(self)
        self._explain = explain
        self.notes = notes
        self._problems: tuple[Problem, ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:  # type: ignore[override]
        """The reasons why nothing matches, each with its path below the target."""
        if not self._problems:
            self._problems = tuple(self._explain() if callable(self._explain) else self._explain)
        return self._problems

    def __str__(self) -> str:
        return "\n".join(problem.message for problem in self.problems)


class SelectorIndex:
    """Finds what targets select in one model. It is built once for a spec.

    Arguments:
        spec: the model.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self._index = ModelIndex(spec)

    @cached_property
    def _generous(self) -> GenerousIndex | None:
        spec = self._index.spec
        return None if all(tensor.has_role for tensor in spec.tensors) else GenerousIndex(spec)

    def tensors(
        self, target: Target, *, default_groups: frozenset[Group] = LEARNED, random: RandomIndices | None = None
    ) -> Selection:
        """Returns the weights that a target selects.

        Arguments:
            target: as in a plan.
            default_groups: the weights to select where the target makes no claim about weights.
            random: draws for `pick: {random: n}`.

        Raises:
            NothingMatched: the target selects nothing; the paths of its problems begin at the target.
            PlanError: a contract (`expect`) does not hold, or a pattern is not valid.
        """
        index = self._index
        default = sum(index.groups.get(group, 0) for group in default_groups)
        evaluation = TensorEvaluation(index, random, default)
        evaluated = _evaluate(evaluation, target, default)
        chosen = evaluated.decided(default)
        goes_by_roles = Group.OTHER not in default_groups
        missed = left_out(self._generous, evaluation, target, chosen, default, goes_by_roles)
        if not chosen:
            raise NothingMatched(lambda: (*why_nothing(evaluation, target), *map(Problem, missed)), tuple(missed))
        layers = tuple(index.spec.layers[number] for number in index.owners(chosen))
        tensors = tuple(members(index.spec.tensors, chosen))
        matched = tuple(index.spec.layers[number] for number in sorted(evaluation.parts(evaluated, default)))
        notes = (*evaluation.notes(), *missed, *_sharing_notes(index.spec, layers, tensors))
        return Selection(layers, tensors, notes, matched)

    def layers(self, target: Target, *, random: RandomIndices | None = None) -> Selection:
        """Returns the layers that a target selects: those that match its claims, without the layers below them.

        `weights` selects the layers that own such a weight; together with a claim about layers, those that hold one at
        any depth. `any`, `all` and `not` are the union, intersection and complement of sets of layers.

        Arguments:
            target: as in a plan.
            random: draws for `pick: {random: n}`.

        Raises:
            NothingMatched: the target selects no layer; the paths of its problems begin at the target.
            PlanError: a contract (`expect`) does not hold, or a pattern is not valid.
        """
        index = self._index
        evaluation = LayerEvaluation(index, random)
        chosen = _evaluate(evaluation, target, 0).all
        if not chosen:
            raise NothingMatched(lambda: why_nothing(evaluation, target))
        layers = tuple(members(index.spec.layers, chosen))
        tensors = tuple(members(index.spec.tensors, index.below(chosen)))
        return Selection(layers, tensors, (*evaluation.notes(), *_sharing_notes(index.spec, layers, ())))


def _evaluate(evaluation: TargetEvaluation, target: Target, weights: int) -> Chosen:
    try:
        return evaluation.target(target, (), weights)
    except ContractUnmet as error:
        raise PlanError((*error.problems, *why_nothing(evaluation, target))) from None


def _sharing_notes(spec: ModelSpec, layers: tuple[LayerSpec, ...], tensors: tuple[TensorSpec, ...]) -> Iterator[str]:
    """Yields a note for each shared layer or tied tensor. A shared model has one note for all that is in it."""
    shared: dict[str, int] = {}
    noted_layers = set()
    for layer in layers:
        if not layer.aliases:
            continue
        noted_layers.add(layer.path)
        while layer.path.count("/"):
            owner = spec.layer_by_path.get(layer.path.rpartition("/")[0])
            if owner is None or not owner.aliases:
                break
            layer = owner
        shared[layer.path] = 1 + len(layer.aliases)
    for tensor in tensors:
        if tensor.aliases and tensor.layer not in noted_layers:
            shared[tensor.path] = 1 + len(tensor.aliases)
    for path, paths in shared.items():
        yield SharingNote(f"`{path}` is reached by {paths} paths; counted once")
