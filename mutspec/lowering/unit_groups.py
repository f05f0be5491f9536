"""Which units a step chooses: groups of coupled channels, counted in each layer or over all, at random or by rank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isnan, sqrt

from msgspec import UNSET, UnsetType

from mutspec.errors import PlanError, Problem
from mutspec.graph.choice import StridedSlices, size_of
from mutspec.graph.exact_counts import rounded_share
from mutspec.graph.expression import Expression
from mutspec.graph.permutation import Permutation
from mutspec.language.types import Per, exact_share, or_default
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.widths import layer_weights
from mutspec.model.outline import around, join
from mutspec.model.spec import LayerSpec, TensorSpec
from mutspec.structure.coupling.axis_call import Use
from mutspec.structure.coupling.coupling import CoupledLayer, Coupling
from mutspec.structure.coupling.labels import Labels, Mark, MarkKind
from mutspec.structure.edits import level
from mutspec.text.words import listed, plural

AMOUNTS = ("fraction", "count", "indices")


class Measure(StrEnum):
    """What units are ranked by."""

    L2 = "l2"
    L1 = "l1"
    GAMMA = "gamma"


class UnitRank(StrEnum):
    """The units that are chosen. At random can be said, too, so that a parameter of a plan may say it."""

    RANDOM = "random"
    SMALLEST = "smallest"
    LARGEST = "largest"


class OnUnremovable(StrEnum):
    """What to do about a layer whose units must all stay."""

    ERROR = "error"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class UnitChoice:
    """A step's keys that say which units it removes or masks.

    Arguments:
        fraction, count, indices: how many, or which.
        per: what an amount counts over: layers that share channels, or all targets together.
        rank: whether those that come first in a ranking are chosen, those that come last, or random ones.
        by: what ranks them.
        argument: the argument of the layers that counts their units; empty for the first.
        round_to: the number of units that stay is a multiple of it.
        outputs: whether outputs of the model may be chosen.
        on_unremovable: what to do about layers whose units must stay.
    """

    fraction: float | str | UnsetType
    count: int | UnsetType
    indices: tuple[int, ...] | UnsetType
    per: Per
    rank: UnitRank | UnsetType
    by: Measure | UnsetType
    argument: str
    round_to: int
    outputs: bool
    on_unremovable: OnUnremovable

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the amounts that the step has."""
        return tuple(name for name in AMOUNTS if getattr(self, name) is not UNSET)

    @property
    def is_ranked(self) -> bool:
        """Whether a ranking chooses the units."""
        return self.by is not UNSET if self.rank is UNSET else self.rank is not UnitRank.RANDOM

    def problems(self) -> Iterator[Problem]:
        """Yields the problems of the keys by themselves. Paths are relative to the step."""
        for name in self.given[1:]:
            message = f"`{self.given[0]}` and `{name}` cannot be used together"
            yield Problem(message, path=(name,), hint="keep one amount per step")
        if not self.given:
            yield Problem("it needs an amount of units", path=("op",), hint="add `count: 2`, for example")
        if self.per is Per.TENSOR:
            message = "units are those of a layer, and its tensors share them"
            yield Problem(message, path=("per",), hint="say `per: layer` or `per: all`")
        if self.indices is not UNSET:
            for key in [name for name in ("rank", "by") if getattr(self, name) is not UNSET]:
                message = f"`{key}` and `indices` cannot be used together"
                yield Problem(message, path=(key,), hint="keep one of them")
            if self.per is Per.ALL:
                message = "`indices` count within each layer, so `per` cannot be `all`"
                yield Problem(message, path=("per",), hint="leave `per` out")
            if self.round_to > 1:
                message = "`indices` say exactly which units, so there is nothing to round"
                yield Problem(message, path=("round_to",), hint="leave `round_to` out")

    def count_of(self, size: int) -> int:
        """Returns the number of units to choose among some."""
        if self.fraction is not UNSET:
            return rounded_share(exact_share(self.fraction), size)
        assert self.count is not UNSET
        return self.count


@dataclass(frozen=True, slots=True)
class Pool:
    """Layers of a target that share channels, over which an amount counts.

    Arguments:
        layers: the layers, each with its units.
        groups: the groups of channels that the units are, in order.
        free: those that may go.
    """

    layers: tuple[tuple[CoupledLayer, Labels], ...]
    groups: tuple[int, ...]
    free: tuple[int, ...]

    @property
    def path(self) -> str:
        """The path of the first layer, for messages."""
        return self.layers[0][0].path


def units_of(coupling: Coupling, layer: LayerSpec, argument: str) -> tuple[CoupledLayer, Labels]:
    """Returns the channels of a layer, and its units.

    Arguments:
        coupling: the channels of the model.
        layer: the layer.
        argument: the argument that counts the units; empty for the layer's first.

    Raises:
        PlanError: it has none.
    """
    owner = around(layer.path, coupling.layers)
    found = coupling.layers.get(owner)
    inner = layer.path[len(owner) :].lstrip("/")  # of a layer in a layer, whose widths are among those of the other
    widths = found.widths_of(inner) if found is not None else {}
    if found is None or not widths:
        why = coupling.unknown.get(around(layer.path, coupling.unknown))
        raise PlanError(
            f"`{layer.path}` ({layer.class_name}) {why or 'has no units of its own'}",
            path=("target",),
            hint="name layers with units, filters or heads, such as Dense and Conv2D",
        )
    if not argument:
        return found, next(iter(widths.values()))
    if argument not in widths:
        raise PlanError(
            f"`{layer.path}` ({layer.class_name}) has no width `{argument}`",
            path=("argument",),
            hint=f"it has {listed(list(widths))}",
        )
    return found, widths[argument]


def refusal(coupling: Coupling, group: int, *, outputs: bool) -> Mark | None:
    """Returns why a group must stay; None if it need not."""
    kinds = {MarkKind.INPUT, MarkKind.BARRIER} | (set() if outputs else {MarkKind.OUTPUT})
    return next((mark for mark in coupling.marks.get(group, ()) if mark.kind in kinds), None)


def chosen_groups(
    context: LoweringContext, coupling: Coupling, layers: Sequence[LayerSpec], choice: UnitChoice
) -> tuple[int, ...]:
    """Returns the groups of channels that a step chooses, in no order that has a meaning.

    Raises:
        PlanError: units must stay, the amount does not fit, or no values can be read to rank them.
    """
    pools = _pools(context, coupling, layers, choice)
    if choice.indices is not UNSET:
        return _listed(coupling, pools, choice)
    chosen = _counted(context, coupling, pools, choice)
    if pools and not chosen and not context.step.allow_empty:
        (name,) = choice.given
        raise PlanError(
            f"the amount comes to 0 units{' after rounding' if choice.round_to > 1 else ''} in every target",
            path=(name,),
            hint="raise it, add `per: all`, or say `allow_empty: true`",
        )
    return chosen


def _pools(context: LoweringContext, coupling: Coupling, layers: Sequence[LayerSpec], choice: UnitChoice) -> list[Pool]:
    """Returns the layers of a target in pools of those that share channels."""
    pools: list[Pool] = []
    for layer in layers:
        found, labels = units_of(coupling, layer, choice.argument)
        groups = coupling.groups_of(labels)
        reasons = {group: refusal(coupling, group, outputs=choice.outputs) for group in groups}
        free = tuple(group for group, reason in reasons.items() if reason is None)
        if not free:
            problem = _must_stay(layer, next(reason for reason in reasons.values() if reason is not None))
            if choice.on_unremovable is OnUnremovable.ERROR:
                raise PlanError(problem)
            context.notes.append(problem.message)
            continue
        shared = [pool for pool in pools if not set(pool.groups).isdisjoint(groups)]
        pools = [pool for pool in pools if pool not in shared]
        parts = [*shared, Pool(((found, labels),), groups, free)]
        pools.append(
            Pool(
                tuple(each for pool in parts for each in pool.layers),
                tuple(dict.fromkeys(group for pool in parts for group in pool.groups)),
                tuple(dict.fromkeys(group for pool in parts for group in pool.free)),
            )
        )
    return pools


def why_pinned(mark: Mark) -> str:
    """Returns why units must stay as they are, as the end of a sentence that says so."""
    if mark.kind is MarkKind.OUTPUT:
        return f": they {mark.why}"
    if mark.kind is MarkKind.INPUT:
        return f": they {mark.why}, `{mark.layer}`"
    return f", because `{mark.layer}` {mark.why}"


def _must_stay(layer: LayerSpec, mark: Mark) -> Problem:
    """Returns the problem that all units of a layer must stay."""
    hint = {
        MarkKind.OUTPUT: "say `outputs: true` to remove outputs of the model, or leave the layer out",
        MarkKind.INPUT: "leave the layer out, or change the input first with `set_input`",
    }.get(
        mark.kind,
        "leave it out with `not:`, skip such layers with `on_unremovable: skip`, zero its units with `zero_neurons`, "
        "or declare the axes of the class in a plug-in",
    )
    its = f"the units of `{layer.path}` ({layer.class_name}) must stay"
    return Problem(f"{its}{why_pinned(mark)}", path=("target",), hint=hint)


def _listed(coupling: Coupling, pools: Sequence[Pool], choice: UnitChoice) -> tuple[int, ...]:
    """Returns the groups of the units that a step lists, in each layer."""
    assert choice.indices is not UNSET
    chosen: dict[int, None] = {}
    for layer, labels in (each for pool in pools for each in pool.layers):
        named: dict[int, int] = {}
        for position, index in enumerate(choice.indices):
            if not -len(labels) <= index < len(labels):
                raise PlanError(
                    f"index {index:,} is outside `{layer.path}`, which has {plural(len(labels), 'unit')}",
                    path=("indices", position),
                    hint=f"indices run from 0 to {len(labels) - 1:,}, or from -1 down to {-len(labels):,}",
                )
            if (at := index % len(labels)) in named:
                raise PlanError(
                    f"the indices {named[at]} and {index} name the same unit of `{layer.path}`",
                    path=("indices", position),
                    hint="name each unit once",
                )
            named[at] = index
            group = coupling.groups[labels[at]]
            if mark := refusal(coupling, group, outputs=choice.outputs):
                raise PlanError(
                    f"unit {index} of `{layer.path}` must stay, because `{mark.layer}` {mark.why}",
                    path=("indices", position),
                    hint="leave it out",
                )
            chosen[group] = None
    for pool in pools:
        _refuse_all(pool, sum(group in chosen for group in pool.groups), "indices")
    return tuple(chosen)


def _refuse_all(pool: Pool, count: int, key: str) -> None:
    """Refuses to choose all units of a layer."""
    if count < len(pool.groups):
        return
    raise PlanError(
        f"`{pool.path}` has {plural(len(pool.groups), 'unit')}, and none would stay",
        path=(key,),
        hint="choose fewer units, or take the layer out with `remove_layer`",
    )


def _counted(
    context: LoweringContext, coupling: Coupling, pools: Sequence[Pool], choice: UnitChoice
) -> tuple[int, ...]:
    """Returns the groups of an amount of units: of each pool, or of all together."""
    if not pools:
        return ()
    (key,) = choice.given
    scores = _scores(context, coupling, pools, choice) if choice.is_ranked else {}
    is_last = choice.rank is UnitRank.LARGEST
    together = [list(pools)] if choice.per is Per.ALL else [[pool] for pool in pools]
    chosen: list[int] = []
    for each in together:
        size, free = sum(len(pool.groups) for pool in each), [group for pool in each for group in pool.free]
        count = choice.count_of(size)
        if len(each) == 1:
            _refuse_all(each[0], count, key)
        if count > len(free):
            raise PlanError(
                f"{key} comes to {plural(count, 'unit')}, but only {len(free):,} of {size:,} may go",
                path=(key,),
                hint="lower it: the others are coupled to what must stay",
            )
        order: Iterable[int]
        if choice.is_ranked:
            order = sorted(free, key=lambda group: (isnan(scores[group]), -scores[group] if is_last else scores[group]))
        else:
            origin = "" if choice.per is Per.ALL else _origin(context, each[0].path)
            permutation = Permutation(len(free), context.key(origin, "choose"))
            order = (free[permutation.image(number, inverse=True)] for number in range(len(free)))
        chosen += _within(order, count, each, choice.round_to)
    return tuple(chosen)


def _origin(context: LoweringContext, layer: str) -> str:
    """Returns the immutable name of a layer, from that of a weight in it."""
    below, tensor = next(iter(layer_weights(context)[layer].items()))
    return tensor.origin.removesuffix(f"/{below}")


def _within(order: Iterable[int], count: int, pools: Sequence[Pool], round_to: int) -> Iterator[int]:
    """Yields the first groups of an order, so that in each pool some stay, and as many as rounding asks for."""
    owner = {group: number for number, pool in enumerate(pools) for group in pool.groups}
    taken: dict[int, list[int]] = {number: [] for number in range(len(pools))}
    left = count
    for group in order:
        if not left:
            break
        own = taken[owner[group]]
        if len(own) < len(pools[owner[group]].groups) - 1:
            own.append(group)
            left -= 1
    for number, groups in taken.items():
        stay = len(pools[number].groups) - len(groups)
        more = -stay % round_to
        yield from groups[: max(0, len(groups) - more)]


# Rankings


def _scores(
    context: LoweringContext, coupling: Coupling, pools: Sequence[Pool], choice: UnitChoice
) -> Mapping[int, float]:
    """Returns the score of each group. For one amount over several pools, it is relative to the mean of its pool."""
    measure = or_default(choice.by, Measure.L2)
    asked = [
        (number, each) for number, pool in enumerate(pools) for each in _measured(context, coupling, pool, measure)
    ]
    if not asked:
        return {}
    values = context.values([expression for _, (_, expression) in asked])
    scores: dict[int, float] = {}
    for number, pool in enumerate(pools):
        sums: Counter[int] = Counter()
        for (at, (labels, _)), entries in zip(asked, values, strict=True):
            if at == number:
                for label, entry in zip(labels, entries, strict=True):
                    sums[coupling.groups[label]] += entry  # type: ignore[assignment]
        own = {group: sqrt(sums[group]) if measure is Measure.L2 else float(sums[group]) for group in pool.groups}
        mean = sum(own.values()) / len(own) if choice.per is Per.ALL else 1.0
        scores |= {group: score / mean if mean else score for group, score in own.items()}
    return scores


def _measured(
    context: LoweringContext, coupling: Coupling, pool: Pool, measure: Measure
) -> Iterator[tuple[Labels, Expression]]:
    """Yields, for weights of a pool, the labels of an axis and a number for each index of it."""
    for layer, labels in pool.layers:
        groups = {coupling.groups[label] for label in labels}
        weights = _scales_after(context, coupling, layer) if measure is Measure.GAMMA else _kernels(context, layer)
        for owner, below, tensor in weights:
            for axis, each in enumerate(owner.weights[below]):
                if each.labels is None or groups.isdisjoint(coupling.groups[label] for label in each.labels):
                    continue
                if each.use is Use.SUMS:
                    continue
                value = context.read(tensor).cast(context.compute_dtype(tensor)).cast("float64")
                value = value * value if measure is Measure.L2 else abs(value)
                slices = StridedSlices(tensor.shape[axis], size_of(tensor.shape[axis + 1 :]))
                yield each.labels, value.sum_of_slices(slices)
                break


def _kernels(context: LoweringContext, layer: CoupledLayer) -> list[tuple[CoupledLayer, str, TensorSpec]]:
    """Returns the weights by which a layer makes its units: its kernels, and not its biases."""
    own = layer_weights(context)[layer.path]
    making = [below for below, axes in layer.weights.items() if any(axis.use is Use.PRODUCES for axis in axes)]
    scaling = [below for below, axes in layer.weights.items() if len(axes) > 1 and below not in making]
    return [(layer, below, own[below]) for below in making or scaling if below in own]


def _scales_after(
    context: LoweringContext, coupling: Coupling, layer: CoupledLayer
) -> list[tuple[CoupledLayer, str, TensorSpec]]:
    """Returns γ of the batch normalizations that a layer is followed by.

    Raises:
        PlanError: there is none.
    """
    owner, _, name = layer.path.rpartition("/")
    network = level(context.architecture.network, owner)
    found = []
    for user in network.consumers(name) if network is not None else ():
        path = join(owner, user)
        gamma = context.models[""].tensor_by_path.get(f"{path}/gamma")
        if gamma is not None and path in coupling.layers:
            found.append((coupling.layers[path], "gamma", gamma))
    if not found:
        raise PlanError(
            f"`{layer.path}` is not followed by a batch normalization with a γ to rank its units by",
            path=("by",),
            hint="say `by: l2`, or leave the layer out",
        )
    return found
