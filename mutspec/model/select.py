"""Selectors: which layers of a model, and which of their weights, a step's target stands for.

What a target means, in a few sentences. `name`, `regex` and `type` are claims about a layer, and all of them must hold
for it; they stand for the weights of the layers that fit *and of all layers below them*. `weights` is a claim about a
weight, and so is the full path of a weight used as a name. `any`, `all` and `not` are the union, intersection and
complement of sets of weights, and the keys of one selector intersect. A part that says nothing about weights is
undecided: it takes on whatever a part that it intersects with says, be it the enclosing selector or a sibling in `all`,
and in the end the default, the learned weights. So `{all: [{type: Dense}, {weights: bias}]}` is the biases of Dense
layers, `{type: Dense, not: logits}` the learned weights of all other Dense layers, and
`{weights: kernels, not: {name: conv_1}}` every kernel outside `conv_1`.

A path with wildcards is tried on layers first, and on weights only if no layer fits. If its last part is nothing but
wildcards (`bn/*`) it says nothing about weights; otherwise (`bn*/moving_*`) it names them, statistics included.

`pick` and `expect` count the layers that the claims fit and that hold a chosen weight: a Bidirectional that was
selected by its type counts once, not once for each of its cells. Where a selector makes no claim about layers, they
count the layers that own the chosen weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from mutspec.errors import PlanError, Problem
from mutspec.keras_facts.roles import LEARNED, Group
from mutspec.language.types import Target
from mutspec.model._evaluate import (
    Chosen,
    ContractUnmet,
    LayerEvaluation,
    RandomIndices,
    TargetEvaluation,
    TensorEvaluation,
)
from mutspec.model._index import ModelIndex, members
from mutspec.model._patterns import as_glob, exact_pattern
from mutspec.model._unknown import GenerousIndex, left_out
from mutspec.model._why_nothing import why_nothing
from mutspec.model.spec import LayerSpec, ModelSpec, TensorSpec

__all__ = ["NothingMatched", "Selection", "SelectorIndex", "as_glob", "exact_pattern"]


@dataclass(frozen=True)
class Selection:
    """What a target stands for in one model.

    Arguments:
        layers: from `SelectorIndex.tensors`, the layers that own at least one chosen tensor; from
            `SelectorIndex.layers`, the chosen layers. In model order.
        tensors: the chosen tensors; from `SelectorIndex.layers`, all tensors of the chosen layers and of those below
            them. In model order, each storage once.
        matched: from `SelectorIndex.tensors`, the layers that stand for the chosen tensors: those that the claims fit,
            such as a Bidirectional for the weights in it, and where no claim fits, the owners. In model order.
        notes: what a person should know, such as "`encoder/dense` is reached by 2 paths; counted once".
    """

    layers: tuple[LayerSpec, ...]
    tensors: tuple[TensorSpec, ...]
    notes: tuple[str, ...]
    matched: tuple[LayerSpec, ...] = ()


class NothingMatched(PlanError):
    """A target stands for nothing in this model. The problems say why; they are worked out when they are first read.

    Arguments:
        explain: the problems, or what works them out.
        notes: what a person should know even if the target may be empty, such as weights without a known role.
    """

    def __init__(
        self, explain: Iterable[Problem] | Callable[[], Iterable[Problem]], notes: tuple[str, ...] = ()
    ) -> None:
        """Keep the explanation for later: a caller that allows an empty target never asks for it."""
        Exception.__init__(self)
        self._explain = explain
        self.notes = notes
        self._problems: tuple[Problem, ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:  # type: ignore[override]
        """Why nothing matched, each with its path below the target."""
        if not self._problems:
            self._problems = tuple(self._explain() if callable(self._explain) else self._explain)
        return self._problems

    def __str__(self) -> str:
        """The messages, a line each."""
        return "\n".join(problem.message for problem in self.problems)


class SelectorIndex:
    """Answers targets for one model. Built once for a spec; what it says never changes.

    Arguments:
        spec: the model.
    """

    def __init__(self, spec: ModelSpec) -> None:
        """Index the layers and tensors by name, path, class and role."""
        self._index = ModelIndex(spec)

    @cached_property
    def _generous(self) -> GenerousIndex | None:
        spec = self._index.spec
        return None if all(tensor.has_role for tensor in spec.tensors) else GenerousIndex(spec)

    def tensors(
        self, target: Target, *, default_groups: frozenset[Group] = LEARNED, random: RandomIndices | None = None
    ) -> Selection:
        """The weights that a target stands for.

        Arguments:
            target: as in a plan.
            default_groups: the weights to choose where the target says nothing about weights.
            random: draws for `pick: {random: n}`.

        Raises:
            NothingMatched: the target stands for nothing; the problems say why, with paths below the target.
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
        """The layers that a target stands for: those that its claims fit, without the layers below them.

        `weights` stands for the layers that own such a weight; beside a claim about layers, for those that hold one at
        any depth. `any`, `all` and `not` are set algebra over layers.

        Arguments:
            target: as in a plan.
            random: draws for `pick: {random: n}`.

        Raises:
            NothingMatched: the target stands for no layer; the problems say why, with paths below the target.
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
    """A note for each shared layer or tied tensor; for a shared model one, and none for what is in it."""
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
        yield f"`{path}` is reached by {paths} paths; counted once"
