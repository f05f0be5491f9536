"""Which weight of a source belongs to which weight of a target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mutspec.errors import PlanError
from mutspec.model.select import Selection
from mutspec.model.spec import ModelSpec, TensorSpec

Pair = tuple[TensorSpec, TensorSpec]
"""A weight of the source, and the weight of the model that takes its values."""


def roots(selection: Selection) -> Iterator[Mapping[str, TensorSpec]]:
    """Yields the tensors below each outermost layer that was matched, by their path below it."""
    layers = [layer.path for layer in selection.matched]
    outermost = [path for path in layers if not any(path.startswith(f"{other}/") for other in layers)]
    for root in outermost:
        below = {
            tensor.path.removeprefix(f"{root}/"): tensor
            for tensor in selection.tensors
            if tensor.path.startswith(f"{root}/")
        }
        if below:
            yield below


def pairs_of_layers(sources: Mapping[str, TensorSpec], targets: Mapping[str, TensorSpec]) -> list[Pair]:
    """Returns the weights of the same role in two layers; of one weight each, these two whatever their roles.

    Arguments:
        sources: the weights of the one layer, by their path below it.
        targets: those of the other.

    Raises:
        PlanError: no weight belongs to another.
    """
    if len(sources) == len(targets) == 1:
        return [(next(iter(sources.values())), next(iter(targets.values())))]
    shared = [(source, targets[path]) for path, source in sources.items() if path in targets]
    by_role = [tensor.role for tensor in sources.values()] == [tensor.role for tensor in targets.values()]
    if not shared and by_role:
        shared = list(zip(sources.values(), targets.values(), strict=True))
    if not shared:
        one, other = (f"`{next(iter(each.values())).layer}` ({', '.join(each)})" for each in (sources, targets))
        raise PlanError(
            f"{one} and {other} have no weight in common",
            path=("target",),
            hint="name one weight of each, such as `layer/kernel`",
        )
    return shared


def pairs_by_path(
    source: ModelSpec, targets: Iterable[TensorSpec], *, by_origin: bool
) -> tuple[list[Pair], list[TensorSpec]]:
    """Returns the weights of the same path in two models, and those that the source does not have.

    Arguments:
        source: the model to copy from.
        targets: weights of the other model.
        by_origin: whether the source is the model before the plan. There a weight whose layer was renamed since is
            found too, because its origin is its path before the plan.
    """
    pairs, missing = [], []
    for target in targets:
        names = (target.origin, *target.names) if by_origin else target.names
        partner = next((source.tensor_by_path[name] for name in names if name in source.tensor_by_path), None)
        if partner is None:
            missing.append(target)
        else:
            pairs.append((partner, target))
    return pairs, missing
