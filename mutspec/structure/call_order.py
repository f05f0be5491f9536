"""The order in which the calls of a network can be made."""

from __future__ import annotations

from collections.abc import Iterator

from mutspec.structure.network import Network


def calls_in_order(network: Network) -> Iterator[tuple[str, int]]:
    """Yields all calls of a network, as a layer's name and the number of its call, each after those that it uses."""
    # A loop with a stack instead of recursion, because a chain of layers is as long as the model is deep.
    done: set[tuple[str, int]] = set()
    for name, calls in network.calls.items():
        for number in range(len(calls)):
            pending = [(name, number)]
            while pending:
                at = pending[-1]
                before = [
                    (ref.layer, ref.call)
                    for ref in network.uses[at[0]][at[1]]
                    if network.calls.get(ref.layer) and (ref.layer, ref.call) not in done
                ]
                if at in done or not before:
                    pending.pop()
                    if at not in done:
                        done.add(at)
                        yield at
                    continue
                pending += before
