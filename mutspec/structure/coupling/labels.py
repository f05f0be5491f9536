"""Labels: the identity of each index along an axis, and the groups of those that come and go together."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from mutspec.model.limits import current_limits

Labels = tuple[int, ...]
Axis = Labels | None
"""The labels along an axis; None for an axis without channels, such as the batch, or the height of an image."""
Axes = tuple[Axis, ...]


class MarkKind(StrEnum):
    """What is special about labels."""

    INPUT = "input"
    OUTPUT = "output"
    BARRIER = "barrier"
    MIXED = "mixed"
    SUMMED = "summed"
    COUNTED = "counted"


@dataclass(frozen=True, slots=True)
class Mark:
    """A fact about some labels.

    Arguments:
        kind: INPUT or OUTPUT, they are those of a port of the model; BARRIER, nobody knows how a layer would follow;
            MIXED, the layer computes with all of them together, so that fewer of them give something else; SUMMED,
            so do more of them, but not fewer if those that go are zero; COUNTED, how the layer couples them depends on
            their number.
        layer: the path of the layer.
        why: the reason, as the rest of a sentence about the layer.
    """

    kind: MarkKind
    layer: str
    why: str


@dataclass
class Ties:
    """The labels of a network while it is walked through, and which of them are tied together.

    Arguments:
        parents: for each label another one of its group, or itself.
        marks: facts about labels.
    """

    parents: list[int] = field(default_factory=list)
    marks: list[tuple[Labels, Mark]] = field(default_factory=list)
    _inner: dict[tuple[Labels, int], Labels] = field(default_factory=dict)

    def fresh(self, count: int) -> Labels:
        """Returns labels that nothing is tied to."""
        start = len(self.parents)
        current_limits().check("channels", start + count, "the axes of the model")
        labels = tuple(range(start, start + count))
        self.parents.extend(labels)
        return labels

    def root(self, label: int) -> int:
        """Returns the label that stands for the group of a label."""
        parents = self.parents
        while parents[label] != label:
            parents[label] = parents[parents[label]]
            label = parents[label]
        return label

    def tie(self, one: Labels, other: Labels) -> bool:
        """Ties the labels of two axes, index by index.

        Returns:
            Whether the axes are equally long.
        """
        if one is other:
            return True
        for first, second in zip(one, other, strict=False):
            first, second = self.root(first), self.root(second)
            if first != second:
                self.parents[max(first, second)] = min(first, second)
        return len(one) == len(other)

    def repeated(self, labels: Labels, count: int) -> Labels:
        """Returns the labels of an axis in which each index is repeated some times in a row.

        The copies are labels of their own, so that a repeated channel stays together where it is moved or doubled.
        """
        if count == 1:
            return labels
        if (labels, count) not in self._inner:
            inner = self.fresh(len(labels) * count)
            for number, label in enumerate(inner):
                self.parents[label] = self.root(labels[number // count])
            self._inner[labels, count] = inner
        return self._inner[labels, count]

    def mark(self, axis: Axis, kind: MarkKind, layer: str, why: str) -> None:
        """States a fact about the labels of an axis."""
        if axis:
            self.marks.append((axis, Mark(kind, layer, why)))
