"""The weights of Keras 2.12 to 2.14 by the paths at which Keras 3 stores them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mutspec.model.build import placed
from mutspec.model.outline import LAYERS_UNTIL_2_14, Outline, OutlineNode, around, join
from mutspec.model.stored import StoredTree


def is_old_layout(stored: Iterable[str]) -> bool:
    """Tells whether Keras 2.12 to 2.14 wrote a file, by the paths of what it stores."""
    return any(path.startswith(f"{LAYERS_UNTIL_2_14}/") for path in stored)


def layers_in_keras_3(outline: Outline, tree: StoredTree) -> Mapping[str, tuple[str, str]]:
    """Maps the path of each layer in a file to the path at which Keras 3 stores it, and the layer's name."""
    found: dict[str, tuple[str, str]] = {}
    pending: list[tuple[OutlineNode, str, str]] = [(outline.root, "", "")]
    while pending:
        node, here, there = pending.pop()
        found[here] = (there, node.name)
        for child, at in zip(node.children, placed(node, here, tree), strict=True):
            options = (join(here, option) for option in at.stored)
            old = next((option for option in options if option in tree), "")
            if old:
                pending.append((child, old, join(there, child.stored[0])))
    return found


def path_in_keras_3(path: str, layers: Mapping[str, tuple[str, str]]) -> str:
    """Returns the path at which Keras 3 stores what a file has at a path.

    Arguments:
        path: the file's path.
        layers: what `layers_in_keras_3` returns.
    """
    head = around(path, layers)
    return join(layers[head][0], path[len(head) :].lstrip("/"))
