"""Checks of what an op's edit makes of a network. An edit is any function, so it may make anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mutspec.model.outline import join
from mutspec.structure.edits import unused
from mutspec.structure.network import Network, refs
from mutspec.structure.soundness import unsound


def edit_problem(before: Network, after: object, owner: str, declared: Collection[str]) -> str:
    """Returns what an op does wrong in an edit of one network, as the rest of a sentence about it; empty if nothing.

    The report of a step follows from what its edits declare. So a change that is not declared is refused.

    Arguments:
        before: the network before the edit.
        after: what the edit returned.
        owner: the path of the network; empty for the outermost.
        declared: the paths of the layers that the edit adds, renames or gives another config.
    """
    where = f"`{owner}`" if owner else "the model"
    if not isinstance(after, Network):
        return f"edits {where} by a function that returns {type(after).__name__}, and not a network"
    if after.layers.keys() != after.calls.keys():
        name = next(iter(after.layers.keys() ^ after.calls.keys()))
        return f"edits {where} so that `{name}` is in only one of `layers` and `calls`"
    if message := unsound(after, before):
        return f"edits {where} wrongly: {message}"
    for name, entry in after.layers.items():
        path = join(owner, name)
        if path in declared or entry is before.layers.get(name):
            continue
        if name not in before.layers:
            return f"adds the layer `{path}` by `edit`, which does not give it weights: use `add_layer`"
        if entry != before.layers[name]:
            return f"changes the config of `{path}` without saying so: name it in `configured`"
    if lost := unused(after, _maybe_unused(before, after)):
        return f"edits {where} so that nothing uses `{lost[0]}`: remove it"
    return ""


def _maybe_unused(before: Network, after: Network) -> Iterator[str]:
    """Yields the layers that something used before an edit, and perhaps nothing uses now."""
    for name, calls in before.calls.items():
        if after.calls.get(name) is not calls:
            yield from (ref.layer for call in before.uses[name] for ref in call)
    yield from (ref.layer for ref in refs(before.outputs))
    yield from (name for name in after.layers if name not in before.layers)
