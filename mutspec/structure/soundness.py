"""Checks that the calls of a network can be made one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mutspec.errors import ModelError
from mutspec.model.spec import TensorRef
from mutspec.structure.network import RESAVE, SEQUENTIAL_INPUT, Network, called_otherwise, refs

CYCLE = "the model's graph has a cycle, so no layer in it can be called first"
"""How the message about a cycle begins."""


def sound(network: Network) -> Network:
    """Returns the network, if its calls can be made one after the other.

    Raises:
        ModelError: a call uses a tensor that does not exist, or that depends on the call itself.
    """
    _check(network, network.uses)
    return network


def unsound(network: Network, before: Network) -> str:
    """Returns why the calls of an edited network cannot be made one after the other; empty if they can.

    Arguments:
        network: the network after the edit.
        before: the network before, which is sound: only what differs is looked at.
    """
    orphans = [user for name in before.layers.keys() - network.layers.keys() for user in network.consumers(name)]
    try:
        _check(network, [*called_otherwise(network, before), *orphans])
    except ModelError as error:
        return error.problems[0].message
    return "" if network.is_sequential or next(refs([network.outputs]), None) else "the model has no output"


def _check(network: Network, names: Iterable[str]) -> None:
    for name in names:
        for ref in (ref for call in network.uses[name] for ref in call):
            _check_ref(network, ref, f"`{name}` is called on")
    for ref in refs([network.inputs, network.outputs]):
        _check_ref(network, ref, f"`{network.name}` begins or ends with")
    if cycle := _cycle(network, names):
        shown = " → ".join(f"`{name}`" for name in (*cycle, cycle[0]))
        raise ModelError(
            f"{CYCLE}: {shown}",
            hint="Keras cannot build such a model; save it again from its source",
        )


def _check_ref(network: Network, ref: TensorRef, subject: str) -> None:
    if ref == SEQUENTIAL_INPUT and network.is_sequential:
        return
    calls = network.calls.get(ref.layer)
    if calls is None:
        raise ModelError(f"{subject} an output of `{ref.layer}`, but the model has no such layer", hint=RESAVE)
    is_input = not calls and not isinstance(network.layers[ref.layer], Network)
    if not 0 <= ref.call < max(len(calls), int(is_input)):
        what = f"call {ref.call} of `{ref.layer}`, which is called {len(calls)} times"
        raise ModelError(f"{subject} an output of {what}", hint=RESAVE)


def _cycle(network: Network, names: Iterable[str]) -> tuple[str, ...]:
    """Returns the layers of a cycle before some layers, in the order of its calls; nothing if there is none."""
    # Depth-first search with a stack instead of recursion, because a chain of layers is as long as the model is deep.
    # `under_way` is the stack: each call on the current path, with the inputs that are still to be visited.
    done: set[tuple[str, int]] = set()
    under_way: dict[tuple[str, int], Iterator[TensorRef]] = {}
    for name in names:
        for start in ((name, number) for number in range(len(network.uses[name]))):
            if start in done:
                continue
            under_way[start] = iter(network.uses[name][start[1]])
            while under_way:
                at = next(reversed(under_way))
                before = next(((ref.layer, ref.call) for ref in under_way[at] if network.calls.get(ref.layer)), None)
                if before is None:
                    del under_way[at]
                    done.add(at)
                elif before in under_way:
                    path = list(under_way)
                    return tuple(each for each, _ in reversed(path[path.index(before) :]))
                elif before not in done:
                    under_way[before] = iter(network.uses[before[0]][before[1]])
    return ()
