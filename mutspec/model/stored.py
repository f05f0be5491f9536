"""The variables in a model file, as a tree of groups: `layers/dense/vars/0` is variable 0 of `layers/dense`."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping

Stored = tuple[tuple[int, ...], str]
"""A stored tensor's shape, and its dtype by NumPy's name."""

NOT_THE_MODELS = frozenset(
    {"optimizer", "_optimizer", "compile_metrics", "_compile_metrics", "_loss_tracker", "metrics", "_metrics"}
)
"""Top-level groups that training leaves in a file."""

_SEEDS = re.compile(r"(^|/)_?(seed_generator|generator|random_generator)/")


class StoredTree:
    """The stored variables by group, without seeds."""

    def __init__(self, stored: Mapping[str, Stored]) -> None:
        groups: dict[str, dict[str, Stored]] = {}
        for path, value in stored.items():
            head, _, key = path.rpartition("/")
            if head != "vars" and not head.endswith("/vars"):
                continue
            # Lookup layers store tables in named entries, which are not variables.
            if not key.isdecimal() and not key.startswith("lora_"):
                continue
            if _SEEDS.search(path):  # older versions of Keras 3 store seeds, newer ones do not
                continue
            groups.setdefault(head.removesuffix("vars").rstrip("/"), {})[key] = value
        self._groups = {
            path: dict(sorted(group.items(), key=lambda item: natural(item[0]))) for path, group in groups.items()
        }
        self._sorted = sorted(self._groups, key=lambda path: path + "/")
        self._keys = [path + "/" for path in self._sorted]

    def __contains__(self, path: str) -> bool:
        """Returns whether something is stored at or below a path."""
        at = bisect_left(self._keys, path + "/")
        return at < len(self._keys) and self._keys[at].startswith(path + "/")

    def group(self, path: str) -> Mapping[str, Stored]:
        """Returns the variables of a group itself, by their key in natural order; nothing if there is no such group.

        Keys are `0`, `1`, …; the keys of LoRA's adapters, which only live layers have, are their names.
        """
        return self._groups.get(path, {})

    def groups_below(self, path: str) -> list[str]:
        """Returns the groups below a path, without itself, in natural order."""
        if not path:
            return sorted((below for below in self._groups if below), key=natural)
        at = bisect_left(self._keys, path + "/")
        below = []
        while at < len(self._keys) and self._keys[at].startswith(path + "/"):
            below.append(self._sorted[at])
            at += 1
        return sorted((item for item in below if item != path), key=natural)


def natural(path: str) -> list[tuple[int, int | str]]:
    """Returns a sort key under which `dense_2` comes before `dense_10`, and a path before those below it."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+|/)", path) if part]
