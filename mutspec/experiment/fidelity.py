"""How true a mutant stays to its base: how far its outputs are from the base's, whatever the labels say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_PROBABILITY = 1e-7
"""What a probability counts as at least, as in `keras.losses.KLDivergence`."""


@dataclass(frozen=True)
class Fidelity:
    """How far a mutant's outputs are from its base's.

    Arguments:
        agreement: the part of all choices that are as the base's; None if the outputs choose between nothing.
        flips: by class of the base, how many choices of it the mutant changed; classes without any are left out.
        divergence: the mean Kullback–Leibler divergence of the mutant's classes from the base's, in nats; None if
            the outputs are no classes.
        deviation: the mean of |mutant − base| over all numbers of the outputs.

    Outputs that are not finite disagree, and do not count for divergence and deviation, which are None if nothing is
    left.
    """

    agreement: float | None = None
    flips: Mapping[str, int] = field(default_factory=dict)
    divergence: float | None = None
    deviation: float | None = None


def of_itself(has_classes: bool, has_outputs: bool) -> Fidelity:
    """How true a base is to itself, as far as it can be measured."""
    agreement = 1.0 if has_classes else None
    return Fidelity(agreement, {}, 0.0 if has_classes and has_outputs else None, 0.0 if has_outputs else None)


class Comparison:
    """Adds up, batch by batch, how far outputs are from the base's."""

    def __init__(self) -> None:
        self._choices = self._same = self._divergences = self._deviations = 0
        self._divergence = self._deviation = 0.0
        self._flips: Counter[str] = Counter()

    def choices(self, base: NDArray[np.int64], mutant: NDArray[np.int64], prefix: str = "") -> None:
        """Take classes chosen, -1 where outputs were not finite; `prefix` tells an output's classes from others'."""
        same = (base == mutant) & (mutant >= 0)
        self._choices += base.size
        self._same += int(np.count_nonzero(same))
        classes, counts = np.unique(base[~same & (base >= 0)], return_counts=True)
        self._flips.update({f"{prefix}{number}": int(count) for number, count in zip(classes, counts, strict=True)})

    def outputs(self, base: NDArray[Any], mutant: NDArray[Any], *, are_classes: bool, from_logits: bool) -> None:
        """Take outputs of one shape."""
        base, mutant = (np.asarray(each, np.float64) for each in (base, mutant))
        both = np.isfinite(base) & np.isfinite(mutant)
        self._deviations += int(np.count_nonzero(both))
        self._deviation += float(np.abs(mutant[both] - base[both]).sum())
        if are_classes:
            rows = both if both.ndim < 2 else both.all(axis=-1)
            self._divergences += int(np.count_nonzero(rows))
            self._divergence += float(_divergence(base[rows], mutant[rows], from_logits=from_logits).sum())

    def result(self) -> Fidelity:
        """What has been added up."""
        return Fidelity(
            self._same / self._choices if self._choices else None,
            dict(sorted(self._flips.items())),
            self._divergence / self._divergences if self._divergences else None,
            self._deviation / self._deviations if self._deviations else None,
        )


def _divergence(base: NDArray[Any], mutant: NDArray[Any], *, from_logits: bool) -> NDArray[Any]:
    """The Kullback–Leibler divergence of each row of classes; of a single number, of the two classes it decides on."""
    p, q = (_log_probabilities(each, from_logits=from_logits) for each in (base, mutant))
    divergence: NDArray[Any] = (np.exp(p) * (p - q)).sum(axis=-1)
    return divergence


def _log_probabilities(outputs: NDArray[Any], *, from_logits: bool) -> NDArray[Any]:
    if outputs.ndim < 2 or outputs.shape[-1] == 1:
        one = outputs if outputs.ndim < 2 else outputs[..., 0]
        outputs = np.stack([np.zeros_like(one), one] if from_logits else [1 - one, one], axis=-1)
    if not from_logits:
        return np.asarray(np.log(np.clip(outputs, LEAST_PROBABILITY, 1)))
    shifted = outputs - outputs.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
