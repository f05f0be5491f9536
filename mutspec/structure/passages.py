"""Passages: how tensors go through some layers of a network, from what enters the layers to what leaves them.

A layer that is called once has one passage. A shared layer has one for each of its calls, and so has a chain of layers
that are all shared. To remove layers is to let what leaves each passage be what enters it. To duplicate layers is to
make their calls again on what leaves, and to swap two groups of layers is to exchange what enters and what leaves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from mutspec.model.spec import TensorRef
from mutspec.structure.network import Arguments, Network, refs


@dataclass(frozen=True)
class Passage:
    """What becomes of some tensors in a group of layers.

    Arguments:
        leaves: the tensor that others use: layers outside the group, the model's outputs, or other passages.
        enters: the tensors that it is made of, from outside or from other passages, in the order of use.
        calls: the calls of layers of the group that make it: names and numbers.
    """

    leaves: TensorRef
    enters: tuple[TensorRef, ...]
    calls: frozenset[tuple[str, int]]


def passages(network: Network, names: Collection[str]) -> tuple[Passage, ...]:
    """Returns the passages through some layers of a network: one for each tensor that is used outside of them."""
    ends = _leaving(network, names)
    return tuple(_passage(network, names, end, ends) for end in ends)


def _leaving(network: Network, names: Collection[str]) -> dict[TensorRef, None]:
    """Returns the tensors that passages end with.

    Of a layer whose output is used outside at one call, the outputs of the other calls are ends, too. So a shared layer
    that is called on its own output has a passage for each call.
    """
    users = dict.fromkeys(user for name in names for user in network.consumers(name))
    used = [(ref, user) for user in users for call in network.uses[user] for ref in call if ref.layer in names]
    used += [(ref, "") for ref in refs(network.outputs) if ref.layer in names]
    leaving = {(ref.layer, ref.output) for ref, user in used if user not in names}
    found = {ref for ref, _ in used if (ref.layer, ref.output) in leaving}
    position = {name: number for number, name in enumerate(network.layers)} if len(found) > 1 else {}
    return dict.fromkeys(sorted(found, key=lambda ref: (position.get(ref.layer, 0), ref.call, ref.output)))


def _passage(network: Network, names: Collection[str], end: TensorRef, ends: Collection[TensorRef]) -> Passage:
    enters: dict[TensorRef, None] = {}
    calls: set[tuple[str, int]] = set()
    pending = [(end.layer, end.call)]
    while pending:
        at = pending.pop(0)
        if at in calls:
            continue
        calls.add(at)
        inner = [ref for ref in network.uses[at[0]][at[1]] if ref.layer in names and ref not in ends]
        pending += [(ref.layer, ref.call) for ref in inner]
        enters |= dict.fromkeys(ref for ref in data_of(network.calls[at[0]][at[1]]) if ref not in inner)
    return Passage(end, tuple(enters), frozenset(calls))


def data_of(call: Arguments) -> tuple[TensorRef, ...]:
    """Returns the tensors that a call is about, each once: not masks and states, which stand in keyword arguments."""
    return tuple(dict.fromkeys(refs(call["args"]))) or tuple(dict.fromkeys(refs(call.get("kwargs", {}))))


def connected(network: Network, names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Returns some layers in groups that are connected by their calls, each in model order."""
    chosen = set(names)
    groups: list[tuple[str, ...]] = []
    grouped: set[str] = set()
    for first in (name for name in network.layers if name in chosen):
        if first in grouped:
            continue
        found, pending = {first}, [first]
        while pending:
            name = pending.pop()
            before = (ref.layer for call in network.uses[name] for ref in call)
            near = {each for each in (*before, *network.consumers(name)) if each in chosen} - found
            found |= near
            pending += near
        grouped |= found
        groups.append(tuple(name for name in network.layers if name in found))
    return tuple(groups)
