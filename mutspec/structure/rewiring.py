"""Edits that move layers, or make their calls again: copies, exchanges, and layers that take another tensor."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mutspec.errors import PlanError
from mutspec.model.spec import TensorRef
from mutspec.structure.edits import renamed_layer, without_unused
from mutspec.structure.fragments import Fragment
from mutspec.structure.network import Arguments, Network, mapped
from mutspec.structure.passages import Passage, passages


@dataclass(frozen=True)
class Way:
    """A passage of which one tensor is its input, and what leaves it its output.

    Arguments:
        input: the tensor that another may take the place of.
        passage: the passage.
    """

    input: TensorRef
    passage: Passage

    @property
    def output(self) -> TensorRef:
        """The tensor that leaves the passage."""
        return self.passage.leaves


def ways(network: Network, names: Collection[str], entering: str = "", hint: str = "") -> tuple[Way, ...]:
    """Returns the ways through some layers, one for each call of the last of them.

    Arguments:
        network: the network.
        names: the layers.
        entering: where several tensors enter, the layer whose output is the input; the others stay as they are.
        hint: what would be right where several enter; `{name}` stands for the layer of one of them.

    Raises:
        PlanError: not exactly one tensor leaves the layers, or it is not clear which one enters them.
    """
    found = passages(network, names)
    leaving = dict.fromkeys(f"{each.leaves.layer}:{each.leaves.output}" for each in found)
    shown = [each.removesuffix(":0") for each in leaving]
    what = f"`{next(iter(names))}`" if len(names) == 1 else f"the {len(names)} layers"
    if len(leaving) != 1:
        listing = f": {', '.join(f'`{each}`' for each in shown)}" if leaving else ""
        raise PlanError(
            f"{len(leaving) or 'no'} tensors leave {what}{listing}",
            hint="choose layers that one tensor leaves, such as a chain or a whole block",
        )
    return tuple(Way(_input(each, what, entering, hint), each) for each in found)


def _input(passage: Passage, what: str, entering: str, hint: str) -> TensorRef:
    """Returns the one tensor that a passage takes, or the one that a step names."""
    inputs = [ref for ref in passage.enters if not entering or ref.layer == entering]
    if len(inputs) == 1:
        return inputs[0]
    names = list(dict.fromkeys(ref.layer for ref in passage.enters))
    listing = ", ".join(f"`{name}`" for name in names)
    if entering:
        message = f"`{entering}` does not enter {what}"
        raise PlanError(message, path=("input",), hint=f"what enters is {listing or 'nothing'}")
    if not inputs:
        raise PlanError(f"no tensor enters {what}", hint="leave inputs of the model out")
    hint = (hint or "choose layers that one tensor enters, such as a chain").replace("{name}", names[0])
    raise PlanError(f"{len(inputs)} tensors enter {what}: {listing}", hint=hint)


def copied(network: Network, on: Sequence[tuple[TensorRef, Way]], names: Mapping[str, str]) -> Fragment:
    """Returns a copy of some layers, which goes each of some ways once more, on other tensors.

    Arguments:
        network: the network.
        on: for each call of the copy the tensor that it stands on, and the way that it goes.
        names: the name of the copy of each layer.

    Returns:
        The layers of all ways, with an output for each call.
    """
    calls: dict[str, list[Arguments]] = {}
    outputs = []
    for tensor, way in on:
        moves = _Moves(way, tensor, names, {})
        for name in (name for name in network.layers if name in names):
            made = calls.setdefault(names[name], [])
            for number, call in enumerate(network.calls[name]):
                if (name, number) in way.passage.calls:
                    moves.numbers[name, number] = len(made)
                    made.append(call)
        for (name, _), number in moves.numbers.items():
            calls[names[name]][number] = mapped(calls[names[name]][number], moves)
        outputs.append(moves(way.output))
    layers = {new: renamed_layer(network.layers[name], new) for name, new in names.items() if calls[new]}
    inputs = tuple(dict.fromkeys(tensor for tensor, _ in on))
    return Fragment(layers, {name: tuple(calls[name]) for name in layers}, inputs, tuple(outputs))


@dataclass(frozen=True)
class _Moves:
    """Where the tensors of a way are in a copy of it.

    Arguments:
        way: the way.
        tensor: the tensor that the copy stands on.
        names: the name of the copy of each layer.
        numbers: for each call of the way the number of the call in the copy.
    """

    way: Way
    tensor: TensorRef
    names: Mapping[str, str]
    numbers: dict[tuple[str, int], int]

    def __call__(self, ref: TensorRef) -> TensorRef:
        if ref == self.way.input:
            return self.tensor
        number = self.numbers.get((ref.layer, ref.call))
        return ref if number is None else TensorRef(self.names[ref.layer], number, ref.output)


def swapped(network: Network, one: Sequence[Way], other: Sequence[Way]) -> Network:
    """Returns the network in which two groups of layers have each other's places.

    Arguments:
        network: the network.
        one: the ways through the first group.
        other: the ways through the second, as many.
    """
    exchanged: dict[TensorRef, TensorRef] = {}
    for mine, theirs in zip(one, other, strict=True):
        exchanged |= {mine.output: theirs.output, theirs.output: mine.output}
    inputs: dict[tuple[str, int], tuple[TensorRef, TensorRef]] = {}
    for mine, theirs in (*zip(one, other, strict=True), *zip(other, one, strict=True)):
        # Where one group stands right before the other, what enters the other is what leaves the one.
        now = exchanged.get(theirs.input, theirs.input)
        inputs |= dict.fromkeys(mine.passage.calls, (mine.input, now))
    names = {name for name, _ in inputs}
    calls = {
        name: tuple(
            mapped(call, partial(_exchanged, at=inputs.get((name, number)), exchanged=exchanged))
            for number, call in enumerate(network.calls[name])
        )
        for name in (*names, *(user for ref in exchanged for user in network.consumers(ref.layer)))
    }
    outputs = mapped(network.outputs, lambda ref: exchanged.get(ref, ref))
    return _in_order(
        network, {name for name, _ in one[0].passage.calls}, {name for name, _ in other[0].passage.calls}
    ).changed(calls=calls, outputs=outputs)


def _exchanged(
    ref: TensorRef, at: tuple[TensorRef, TensorRef] | None, exchanged: Mapping[TensorRef, TensorRef]
) -> TensorRef:
    if at is not None:
        return at[1] if ref == at[0] else ref
    return exchanged.get(ref, ref)


def _in_order(network: Network, one: Collection[str], other: Collection[str]) -> Network:
    """Returns the network with two groups of layers in each other's places in model order."""
    first, second = (next(name for name in network.layers if name in group) for group in (one, other))
    names: list[str] = []
    for name in network.layers:
        if name in (first, second):
            moved = other if name == first else one
            names += [each for each in network.layers if each in moved]
        elif name not in one and name not in other:
            names.append(name)
    return network.ordered(names)


def rewired(network: Network, name: str, others: Sequence[tuple[TensorRef, TensorRef]]) -> Network:
    """Returns the network in which the calls of a layer take other tensors. What is unused then is removed.

    Arguments:
        network: the network.
        name: the layer.
        others: for each call the tensor that it takes, and the one that it is to take.
    """
    calls = tuple(
        mapped(call, partial(_instead, old=old, new=new))
        for call, (old, new) in zip(network.calls[name], others, strict=True)
    )
    return without_unused(network.changed(calls={name: calls}), [old.layer for old, _ in others])


def _instead(ref: TensorRef, old: TensorRef, new: TensorRef) -> TensorRef:
    return new if ref == old else ref
